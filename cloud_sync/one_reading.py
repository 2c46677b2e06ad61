"""Whether all readers read the same in a JSON text. Pure.

RFC 8259 leaves open what a name means that stands twice, how exact a number is, and how deep lists may nest; RFC 7493
(I-JSON) closes most of it. What Python, DuckDB, Flink, Athena and a browser would read differently is refused here, in
members that nobody knows as well. Half a surrogate, which it leaves open too, msgspec refuses wherever it stands.
"""

from __future__ import annotations

import json
from typing import Any, NoReturn

import msgspec

from heat.errors import DataError
from heat.identity import SAFE_INTEGER

MAX_DEPTH = 32
"""Lists and objects in each other; our own nest five deep, and DuckDB and Flink's Jackson have bounds of their own."""
_TO_NINES = bytes.maketrans(b"012345678", b"9" * 9)
_LONG = b"9" * 16
"""As many digits as a number beyond 2**53 - 1 has at least. To look for them so takes a fifth of a regex's time."""


def check_one_reading(text: bytes) -> None:
    """Pass what means one thing to all readers.

    Raises:
        DataError: it is no JSON; or there is a name twice in one object (whatever its case, in Unicode: Athena folds
            it), an integer beyond 2**53 - 1, a zero with a sign, a number beyond a double, a member `data_base64`
            (whatever its case) beside `data`, or more than 32 levels.
    """
    if _is_plain(text):
        return
    try:
        document = json.loads(
            text.decode(),
            object_pairs_hook=_members,
            parse_int=_integer,
            parse_float=_number,
            parse_constant=_constant,
        )
    except UnicodeDecodeError as error:
        raise DataError(f"not UTF-8 at byte {error.start}") from None
    except json.JSONDecodeError as error:
        raise DataError(f"no JSON from character {error.pos} on") from None
    if isinstance(document, dict) and "data_base64" in map(str.lower, document):
        raise DataError("data stands there twice, once as data_base64")
    _check_depth(document)


def _is_plain(text: bytes) -> bool:
    """Whether a text is sure to mean one thing, at a sixth of the cost: what other releases write nearly always is.

    Read without knowing its members and written again, it is the same: so no name was dropped, and no number changed.
    """
    try:
        lowered = text.decode().lower().encode()  # names that differ in case alone fall together
        if msgspec.json.encode(msgspec.json.decode(lowered)) != lowered:
            return False
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return False
    levels = text.count(b"[") + text.count(b"{")
    return levels <= MAX_DEPTH and _LONG not in text.translate(_TO_NINES) and b'"data_base64"' not in lowered


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len({name.lower() for name in members}) < len(pairs):
        raise DataError("a name twice in one object")
    return members


def _integer(literal: str) -> int:
    # the length first: to read a million digits takes long
    if len(literal) > 17 or abs(value := int(literal)) > SAFE_INTEGER:
        raise DataError("an integer beyond 2^53 - 1")
    if literal == "-0":
        raise DataError("a zero with a sign")
    return value


def _number(literal: str) -> float:
    value = float(literal)
    if value in {float("inf"), float("-inf")}:
        raise DataError("a number that no double holds")
    return value


def _constant(_: str) -> NoReturn:
    raise DataError("NaN or an infinity")


def _check_depth(document: Any) -> None:
    level, depth = [document], 0
    while level := [node for node in level if isinstance(node, dict | list)]:
        depth += 1
        if depth > MAX_DEPTH:
            raise DataError("nested too deeply")
        level = [inner for node in level for inner in (node.values() if isinstance(node, dict) else node)]
