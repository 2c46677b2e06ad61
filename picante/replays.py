"""Impressions, out of a file or the lake -> how many of them the same bundle shows again, to the bit."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from heat.errors import DataError
from heat.events import Impression
from models.explore import agrees, replay
from models.ranker import Ranker

NAMED = 20
"""Picks that are named; of more it's the number that counts."""


class Replayed(msgspec.Struct, kw_only=True):
    """Of how many impressions what can be said. `unknown` and `silent` are no fault of the picks'."""

    impressions: int = 0
    replayed: int = 0
    differ: int = 0
    """Shown otherwise than their bundle shows them: an altered log, or a bug."""
    differing: list[str] = msgspec.field(default_factory=list)
    """The first of their pick ids."""
    unknown: dict[str, int] = msgspec.field(default_factory=dict)
    """Of bundles that were not given, by their short ids."""
    silent: int = 0
    """Of older gateways, which did not keep what was known at the pick."""


def again(impressions: Iterable[Impression], rankers: Mapping[str, Ranker]) -> Replayed:
    """Replay impressions, each by the ranker that it names."""
    told, unknown = Replayed(), Counter[str]()
    for impression in impressions:
        told.impressions += 1
        if (ranker := rankers.get(impression.ranker)) is None:
            unknown[impression.ranker] += 1
        elif (chosen := replay(impression, ranker)) is None:
            told.silent += 1
        elif agrees(impression, chosen):
            told.replayed += 1
        else:
            told.differ += 1
            if len(told.differing) < NAMED:
                told.differing.append(impression.pick_id)
    told.unknown = dict(unknown.most_common())
    return told


def in_lines(lines: Iterable[bytes]) -> Iterator[Impression]:
    """The impressions among lines of JSON: records, CloudEvents or their data, as Kafka's tail or the lake tell them.

    Other events are passed over. Raises DataError for what is no JSON, and for an impression that is none.
    """
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            found = _impression(msgspec.json.decode(line))
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise DataError(
                f"line {number}: {error}",
                hint="Give an impression a line, as `picante cloud tail events --no-wait --json` writes them",
            ) from error
        if found is not None:
            yield found


def in_lake(folder: Path) -> Iterator[Impression]:
    """The impressions of a lake. Needs the extra `cloud`. Raises LakeMissing, SinkUnavailable, DataError."""
    from cloud.lake.lake import Lake
    from cloud.lake.query import connected, select

    with connected(Lake(str(folder))) as connection:
        found = select(connection, f"SELECT data FROM events WHERE type = '{Impression.type}'")  # noqa: S608
        for batch in found:
            for text in batch["data"].to_pylist():
                yield msgspec.json.decode(text, type=Impression)


def in_words(told: Replayed) -> Iterator[str]:
    """What can be said, line by line."""
    yield f"{told.impressions:>9,} impressions"
    yield f"{told.replayed:>9,} replay to the bit"
    yield f"{told.differ:>9,} differ" + (f": {', '.join(told.differing)}" if told.differ else "")
    for ranker, count in told.unknown.items():
        yield f"{count:>9,} of bundle {ranker}, which was not given"
    if told.silent:
        yield f"{told.silent:>9,} of older gateways, which did not keep what was known at the pick"


def _impression(found: Any) -> Impression | None:
    while isinstance(found, dict) and "pick_id" not in found:
        if found.get("type", Impression.type) != Impression.type:
            return None
        found = found.get("value", found.get("data"))
        if isinstance(found, str):
            found = msgspec.json.decode(found)
    if isinstance(found, dict) and "candidates" in found:
        return msgspec.convert(found, Impression)
    return None
