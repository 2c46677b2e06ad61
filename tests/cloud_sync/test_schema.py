"""The released schemas: equal to the types, sound in themselves, and as strict as the reader."""

from __future__ import annotations

import json
import subprocess
import sys

import jsonschema_rs
import pytest

from cloud_sync.published import PUBLISHED
from cloud_sync.schema import DIRECTORY, differing, schemas
from heat.events import TYPES
from tests.cloud_sync.examples import POURED, stored


def test_the_files_equal_the_types() -> None:
    assert list(differing()) == [], "run: python -m cloud_sync.schema (and only grow what was released)"


def test_every_type_has_a_file() -> None:
    envelopes = {"picante.envelope.v1", "picante.published-envelope.v1"}
    assert {path.stem for path in DIRECTORY.glob("*.json")} == {*TYPES, *PUBLISHED, *envelopes}


@pytest.mark.parametrize("name", sorted(schemas()))
def test_every_file_is_a_schema_under_its_urn(name: str) -> None:
    schema = json.loads((DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))
    assert jsonschema_rs.meta.is_valid(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["$id"] == f"urn:picante:schema:{name}"
    assert "additionalProperties" not in json.dumps(schema), "readers ignore what they don't know"


@pytest.mark.parametrize(
    ("member", "value"),
    [("consent", "yes"), ("region", None), ("channel", "drone"), ("pick_id", 7), ("w", 0), ("volume_ul", -1)],
)
def test_the_schema_refuses_what_the_reader_refuses(member: str, value: object) -> None:
    schema = json.loads((DIRECTORY / f"{POURED.type}.json").read_text(encoding="utf-8"))
    validator = jsonschema_rs.validator_for(schema)
    data = json.loads(stored().data)
    assert validator.is_valid(data)
    assert not validator.is_valid({**data, member: value})


def test_the_command_says_what_differs() -> None:
    command = [sys.executable, "-m", "cloud_sync.schema", "--check"]
    assert subprocess.run(command, check=False, capture_output=True).returncode == 0
