"""Event types as JSON."""

from __future__ import annotations

import json
from collections.abc import Iterator

import msgspec
import pytest
from hypothesis import given

from heat.events import TYPES, AnyData, Event, Stamp, decode_data
from heat.identity import EventId
from tests.cloud_sync.examples import EVERY_TYPE
from tests.strategies import EVIDENCE, poured


@given(EVIDENCE)
def test_data_survives_json(evidence: tuple[AnyData, str, int]) -> None:
    body, _, day = evidence
    event = Event(EventId("d-1", 1, 1), "p1-" + "0" * 32, Stamp(1, 1, day, "known"), body)
    text = event.encode_data()
    assert decode_data(body.type, text) == body
    assert decode_data(body.type, json.loads(text)) == body


def test_readers_ignore_what_they_do_not_know() -> None:
    text = msgspec.json.encode(msgspec.to_builtins(poured(2200)) | {"colour": "red"})
    assert decode_data("picante.poured.v1", text) == poured(2200)


@pytest.mark.parametrize(
    ("field", "value"), [("w", 0), ("w", 401), ("volume_ul", 0), ("nozzle", 256), ("consent", "maybe"), ("heat", None)]
)
def test_values_outside_their_bounds_are_refused(field: str, value: object) -> None:
    fields = msgspec.to_builtins(poured(2200)) | {field: value}
    with pytest.raises(msgspec.ValidationError, match=field):
        decode_data("picante.poured.v1", fields)


def test_an_unknown_type_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        decode_data("picante.guessed.v1", "{}")


def test_types_are_named_after_themselves() -> None:
    assert all(cls.type == name and name.startswith("picante.") for name, cls in TYPES.items())


def structs(value: object) -> Iterator[msgspec.Struct]:
    """A value and all that is in it."""
    if isinstance(value, msgspec.Struct):
        yield value
        value = msgspec.structs.astuple(value)
    if isinstance(value, tuple):
        for inner in value:
            yield from structs(inner)


def test_no_value_is_known_to_the_collector() -> None:
    found = {type(value) for value in structs(EVERY_TYPE)}
    assert len(found) > len(TYPES)
    assert {type_.__name__ for type_ in found if type_.__struct_config__.gc} == set()
