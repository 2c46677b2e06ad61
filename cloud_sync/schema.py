"""The released JSON Schemas (2020-12): made from the msgspec types, one file a type and version, one for the envelope.

    python -m cloud_sync.schema           write them into cloud_sync/schemas/
    python -m cloud_sync.schema --check   say which files differ; exit status 1 if any does

A released type only grows, by members with defaults; anything else is a new type with its own file.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from cloud_sync.envelope import SCHEMA_URN, Envelope
from cloud_sync.published import PUBLISHED, PublishedEnvelope
from heat.events import TYPES

DIRECTORY = Path(__file__).parent / "schemas"
DRAFT = "https://json-schema.org/draft/2020-12/schema"
ENVELOPE = "picante.envelope.v1"
PUBLISHED_ENVELOPE = "picante.published-envelope.v1"


def types() -> dict[str, type[msgspec.Struct]]:
    """Every type that has a schema, by the name of its file without the suffix."""
    return {**TYPES, **PUBLISHED, ENVELOPE: Envelope, PUBLISHED_ENVELOPE: PublishedEnvelope}


def schemas() -> dict[str, dict[str, Any]]:
    """Every schema by the name of its file, without the suffix."""
    return {name: schema_of(name, type_) for name, type_ in types().items()}


def schema_of(name: str, type_: type[msgspec.Struct]) -> dict[str, Any]:
    """The schema of one type, as its file holds it."""
    made = msgspec.json.schema(type_)
    return {"$schema": DRAFT, "$id": SCHEMA_URN + name, **_portable(made)}


def _portable(node: Any) -> Any:
    """The schema with Python's anchors written as ECMA 262 has them, which JSON Schema's `pattern` means."""
    match node:
        case dict():
            return {key: _anchors(value) if key == "pattern" else _portable(value) for key, value in node.items()}
        case list() | tuple():
            return [_portable(value) for value in node]
        case _:
            return node


def _anchors(pattern: str) -> str:
    return pattern.replace(r"\A", "^").replace(r"\Z", "$")


def render(schema: dict[str, Any]) -> str:
    """A schema as its file holds it."""
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def differing() -> Iterator[str]:
    """The names of the files that are missing, differ from the types, or belong to no type."""
    made = {f"{name}.json": render(schema) for name, schema in schemas().items()}
    kept = {path.name: path.read_text(encoding="utf-8") for path in DIRECTORY.glob("*.json")}
    return (name for name in sorted(made.keys() | kept.keys()) if made.get(name) != kept.get(name))


def main() -> int:
    """Write the schemas, or compare them."""
    options = argparse.ArgumentParser(prog="python -m cloud_sync.schema", description=(__doc__ or "").split("\n\n")[0])
    options.add_argument("--check", action="store_true", help="write nothing, say which files differ")
    if options.parse_args().check:
        different = list(differing())
        for name in different:
            sys.stdout.write(f"cloud_sync/schemas/{name} differs from the types\n")
        return 1 if different else 0
    DIRECTORY.mkdir(exist_ok=True)
    for name, schema in schemas().items():
        (DIRECTORY / f"{name}.json").write_text(render(schema), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
