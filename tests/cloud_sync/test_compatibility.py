"""What is released only grows: old readers read new records, and new readers old ones.

`released/` holds the schemas as they were released. At a release, what was added since joins them:

    cp cloud_sync/schemas/*.json tests/cloud_sync/released/
    cd tests/cloud_sync/released && sha256sum *.json >> SHA256SUMS

Lines are added to that list, and none is changed: a schema that was rewritten between releases has a sum that it lacks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from msgspec import Meta, Struct, defstruct

from cloud_sync.schema import schema_of, types
from tests.cloud_sync.compatibility import check_compatible

RELEASED = {path.stem: path for path in (Path(__file__).parent / "released").glob("*.json")}


def test_no_released_type_is_gone() -> None:
    assert set(RELEASED) <= types().keys()
    assert len(RELEASED) >= 18


def test_no_released_schema_was_rewritten() -> None:
    lines = (Path(__file__).parent / "released/SHA256SUMS").read_text(encoding="utf-8").splitlines()
    last = {name: digest for digest, _, name in (line.partition("  ") for line in lines)}
    assert last == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in RELEASED.values()}


@pytest.mark.parametrize("name", sorted(RELEASED))
def test_what_was_released_and_what_is_written_now_read_each_other(name: str) -> None:
    check_compatible(json.loads(RELEASED[name].read_text(encoding="utf-8")), types()[name])


# -- and what would break is noticed --------------------------------------------------------------------------------

Row = defstruct("Row", [("day", int), ("n", int)], array_like=True)
Heat = defstruct("Heat", [("shu", int), ("table", str | None, None)])
MEMBERS: dict[str, Any] = {
    "sauce": Annotated[str, Meta(pattern=r"\A[a-z]{1,8}\Z")],
    "said": Annotated[str, Meta(max_length=64)],
    "w": Annotated[int, Meta(ge=1, le=400)],
    "verdict": Literal["too_hot", "more"],
    "heat": Heat,
    "rows": tuple[Row, ...],  # type: ignore[valid-type]
    "flags": (tuple[str, ...], ()),
    "pick_id": (str | None, None),
}


def made(**changes: Any) -> type[Struct]:
    """The type with other members; None takes one away."""
    members = {name: what for name, what in {**MEMBERS, **changes}.items() if what is not None}
    fields = [(name, *what) if isinstance(what, tuple) else (name, what) for name, what in members.items()]
    return defstruct("Evolved", fields, kw_only=True)


OLD = schema_of("old", made())

FINE: dict[str, Callable[[], type[Struct]]] = {
    "nothing": made,
    "a member with a default": lambda: made(table=(str | None, None)),
    "a list with a default": lambda: made(offered=(tuple[int, ...], ())),
    "a member with a default further down": lambda: made(
        heat=defstruct("Heat", [("shu", int), ("table", str | None, None), ("lab", str, "")])
    ),
    "a last item with a default": lambda: made(
        rows=tuple[defstruct("Row", [("day", int), ("n", int), ("w", int, 0)], array_like=True), ...]  # type: ignore[misc]
    ),
}
BREAKS: dict[str, Callable[[], type[Struct]]] = {
    "a member is gone": lambda: made(w=None),
    "a member with a default is gone": lambda: made(pick_id=None),
    "a member has another name": lambda: made(w=None, weight=int),
    "a member with a default has another name": lambda: made(flags=None, marks=(tuple[str, ...], ())),
    "a number is a text": lambda: made(w=str),
    "a number has fractions": lambda: made(w=Annotated[float, Meta(ge=1, le=400)]),
    "a text is a list": lambda: made(said=tuple[str, ...]),
    "a member may be null": lambda: made(said=Annotated[str, Meta(max_length=64)] | None),
    "a member may no longer be null": lambda: made(pick_id=(str, "")),
    "a member is needed": lambda: made(table=str),
    "a member that had a default is needed": lambda: made(flags=tuple[str, ...]),
    "a member that was needed has a default": lambda: made(w=(Annotated[int, Meta(ge=1, le=400)], 1)),
    "a bound is wider": lambda: made(w=Annotated[int, Meta(ge=1, le=401)]),
    "a bound is narrower": lambda: made(w=Annotated[int, Meta(ge=1, le=399)]),
    "a text may be longer": lambda: made(said=Annotated[str, Meta(max_length=65)]),
    "a text must be shorter": lambda: made(said=Annotated[str, Meta(max_length=63)]),
    "a pattern lets more pass": lambda: made(sauce=Annotated[str, Meta(pattern=r"\A[a-z0-9]{1,8}\Z")]),
    "a pattern lets less pass": lambda: made(sauce=Annotated[str, Meta(pattern=r"\A[a-m]{1,8}\Z")]),
    "a choice more": lambda: made(verdict=Literal["too_hot", "more", "just_right"]),
    "a choice less": lambda: made(verdict=Literal["too_hot"]),
    "a member further down is gone": lambda: made(heat=defstruct("Heat", [("table", str | None, None)])),
    "a member further down has another name": lambda: made(
        heat=defstruct("Heat", [("shu", int), ("words", str | None, None)])
    ),
    "an item more": lambda: made(
        rows=tuple[defstruct("Row", [("day", int), ("n", int), ("w", int)], array_like=True), ...]  # type: ignore[misc]
    ),
    "an item less": lambda: made(rows=tuple[defstruct("Row", [("day", int)], array_like=True), ...]),  # type: ignore[misc]
    "an item is a text": lambda: made(
        rows=tuple[defstruct("Row", [("day", int), ("n", str)], array_like=True), ...]  # type: ignore[misc]
    ),
}


@pytest.mark.parametrize("evolved", FINE.values(), ids=FINE.keys())
def test_growth_is_fine(evolved: Callable[[], type[Struct]]) -> None:
    check_compatible(OLD, evolved())


@pytest.mark.parametrize("evolved", BREAKS.values(), ids=BREAKS.keys())
def test_what_breaks_a_reader_is_noticed(evolved: Callable[[], type[Struct]]) -> None:
    with pytest.raises((AssertionError, BaseExceptionGroup), match="readers"):
        check_compatible(OLD, evolved())
