"""Write the API's types: python -m tests.web_tools.api_types FILE (scripts/api-types does)."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.gateway.web.conftest import inside_of
from tests.web_tools import node

HEAD = "// Made from the daemon's OpenAPI document by `make api-types`.\n"


def types_of(document: object) -> str:
    """The TypeScript of an OpenAPI document."""
    with tempfile.TemporaryDirectory() as directory:
        source, made = Path(directory) / "openapi.json", Path(directory) / "api.d.ts"
        source.write_text(json.dumps(document), encoding="utf-8")
        ran = node("openapi-typescript/bin/cli.js", str(source), "--output", str(made))
        assert ran.returncode == 0, ran.stderr
        return HEAD + made.read_text(encoding="utf-8")


async def document() -> object:
    """What the daemon answers."""
    with tempfile.TemporaryDirectory() as directory:
        async with inside_of(Path(directory)) as inside:
            return await inside.json("/openapi.json")


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(types_of(asyncio.run(document())), encoding="utf-8")
