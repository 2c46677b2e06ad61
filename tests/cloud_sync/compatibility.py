"""Whether readers of one release read what another one writes: by examples that are made from both schemas.

An old reader is the frozen schema, a new one the type of today. Examples have every member that they must, any of the
others, and members that nobody knows.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from typing import Any

import jsonschema_rs
import msgspec
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from cloud_sync.schema import schema_of

EXAMPLES = 40
"""Of each schema and direction: what breaks breaks in nearly all, and every bound is tried."""
Schema = dict[str, Any]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
    max_leaves=3,
)
SIMPLE = {"boolean": st.booleans(), "null": st.none(), None: JSON}
"""By the name of the type; a schema without one allows anything."""
LATER = "of a later release"


def check_compatible(frozen: Schema, type_: type[msgspec.Struct]) -> None:
    """Raise AssertionError with an example that one side can't read, or that it doesn't get whole."""
    old_reader = jsonschema_rs.validator_for(frozen)
    new_reader = msgspec.json.Decoder(type_)
    patient = settings(
        max_examples=EXAMPLES,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        report_multiple_bugs=False,
        derandomize=True,  # a bound is met by most examples, and not by all: the same ones each time
    )

    @patient
    @given(examples(frozen, frozen, later=False))
    def new_reads_old(value: Any) -> None:
        try:
            again = msgspec.json.encode(new_reader.decode(json.dumps(value)))
        except msgspec.ValidationError as error:
            raise AssertionError(f"new readers refuse what old writers wrote: {error}: {value}") from None
        assert holds(json.loads(again), value), f"new readers lose something of what old writers wrote: {value}"

    newest = schema_of("newest", type_)

    @patient
    @given(examples(newest, newest, later=True))
    def old_reads_new(value: Any) -> None:
        errors = [str(error).splitlines()[0] for error in old_reader.iter_errors(value)]
        assert not errors, f"old readers refuse what new writers write: {errors[0]}: {value}"

    new_reads_old()
    old_reads_new()


def examples(node: Schema, root: Schema, *, later: bool) -> st.SearchStrategy[Any]:
    """Values that a schema allows; with `later`, members and items that it doesn't know stand among them."""
    match node:
        case {"$ref": str(ref)}:
            return examples(root["$defs"][ref.removeprefix("#/$defs/")], root, later=later)
        case {"anyOf": list(kinds)}:
            return st.one_of([examples(kind, root, later=later) for kind in kinds])
        case {"enum": list(values)}:
            return st.sampled_from(values)
        case {"type": "object"}:
            return _objects(node, root, later=later)
        case {"type": "array"}:
            return _arrays(node, root, later=later)
        case {"type": "string"}:
            return _strings(node)
        case {"type": "integer"}:
            low, high = node.get("minimum", -(2**53) + 1), node.get("maximum", 2**53 - 1)
            return st.sampled_from([low, high]) | st.integers(low, high)
        case {"type": "number"}:
            low = node.get("minimum", node.get("exclusiveMinimum"))
            return st.floats(low, node.get("maximum"), exclude_min="exclusiveMinimum" in node, allow_nan=False,
                             allow_infinity=False)  # fmt: skip
        case _:
            return SIMPLE[node.get("type")]


def _objects(node: Schema, root: Schema, *, later: bool) -> st.SearchStrategy[Any]:
    members = {name: examples(inner, root, later=later) for name, inner in node["properties"].items()}
    needed = {name: members[name] for name in node.get("required", ())}
    optional = {name: inner for name, inner in members.items() if name not in needed}
    return st.fixed_dictionaries(needed, optional=optional | ({LATER: JSON} if later else {}))


def _arrays(node: Schema, root: Schema, *, later: bool) -> st.SearchStrategy[Any]:
    if (places := node.get("prefixItems")) is None:
        least, most = node.get("minItems", 0), node.get("maxItems", 3)
        return st.lists(examples(node["items"], root, later=later), min_size=least, max_size=max(least, min(most, 3)))
    items = [examples(place, root, later=later) for place in places]
    least = node.get("minItems", len(items))
    lengths = [st.tuples(*items[:length]).map(list) for length in range(least, len(items) + 1)]
    if later:
        lengths.append(st.tuples(*items, st.just(LATER)).map(list))
    return st.one_of(lengths)


def _strings(node: Schema) -> st.SearchStrategy[str]:
    if "pattern" in node:
        texts = st.from_regex(node["pattern"].removeprefix("^").removesuffix("$"), fullmatch=True)
        if node.get("format") == "date-time":
            return st.datetimes().map(lambda moment: moment.isoformat(timespec="milliseconds") + "Z")
        return texts
    if node.get("format") == "date-time":
        return st.datetimes(timezones=st.just(UTC)).map(datetime.isoformat)
    if node.get("contentEncoding") == "base64":
        return st.binary(max_size=4).map(lambda content: base64.b64encode(content).decode())
    least, most = node.get("minLength", 0), node.get("maxLength", 40)
    edges = st.sampled_from(["x" * least, "x" * most])
    return edges | st.text(st.characters(codec="utf-8"), min_size=least, max_size=min(most, least + 5))


def holds(whole: Any, part: Any) -> bool:
    """Whether all that `part` says, `whole` says, too; it may say more."""
    match whole, part:
        case dict(), dict():
            return all(name in whole and holds(whole[name], inner) for name, inner in part.items())
        case list(), list():
            return len(whole) >= len(part) and all(holds(*pair) for pair in zip(whole, part, strict=False))
        case str(), str() if whole != part:
            return _moment(whole) is not None and _moment(whole) == _moment(part)
        case _:
            return bool(whole == part and isinstance(whole, bool) == isinstance(part, bool))


def _moment(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None
