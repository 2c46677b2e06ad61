"""A batch of verdicts and what is known of their identities -> what changes, for whom, and how it is counted. Pure.

The rules, each a function of the log alone:

- an identity is folded once; the same content again is a duplicate;
- of two contents under one identity the one with the smaller SHA-256 counts, whichever came first: if that is the later
  one, the earlier one is taken back;
- what is refused marks no identity;
- a session that is forgotten takes no more events.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import NamedTuple

from cloud.pipeline.verdict import Verdict
from cloud_sync.envelope import Received, content_hash
from cloud_sync.topics import HOUR_MS
from heat.events import ConsentChanged, SessionClaimed
from heat.identity import EventId, is_session
from heat.tally import is_evidence

FOLDED, DUPLICATE, CONFLICT, SESSION_OVER = "folded", "duplicate", "conflict", "session_over"
"""Outcomes beside the reasons of refusals: each record has one of all of them."""
NOBODY = ""
"""Origin of what can't be read."""

Hour = tuple[int, str, str]
"""Hours since 1970 at receipt, origin, outcome."""
Earlier = Callable[[AbstractSet[int]], Mapping[int, Received]]
"""Reads events again that lie at these offsets of the partition."""


class Mark(NamedTuple):
    """What counts under an identity: where it lies, and the hash of its content."""

    offset: int
    content: int


class Effect(NamedTuple):
    """An event to be added to its subject's sums (sign 1) or taken back (-1), by the record at `offset`."""

    offset: int
    sign: int
    event: Received
    day: int
    """Of receipt."""


@dataclass(slots=True)
class Folding:
    """What a batch does."""

    marks: dict[EventId, Mark] = field(default_factory=dict)
    effects: defaultdict[str, list[Effect]] = field(default_factory=lambda: defaultdict(list))
    """By subject, in the order of the log."""
    claimed: set[str] = field(default_factory=set)
    """Sessions that belong to a customer from now on."""
    counts: Counter[Hour] = field(default_factory=Counter)
    irreversible: int = 0
    """Conflicts in which the earlier content should have been taken back, and is not in Kafka any more."""


@dataclass(frozen=True, slots=True)
class Memory:
    """What the state knows that a batch is judged by."""

    marks: Mapping[EventId, Mark]
    """Of the batch's identities, as far as they are known."""
    floor: Callable[[int], int]
    """By day of receipt: the first offset whose identity is still remembered."""
    sessions_from_day: int
    """Sessions that were received earlier are forgotten."""
    earlier: Earlier


def fold(verdicts: Sequence[Verdict], memory: Memory) -> Folding:
    """What these records, in the order of one partition, change."""
    hashes = [
        content_hash(v.record.value, v.event) if v.event and v.record.value and not v.refusal else 0 for v in verdicts
    ]
    earlier = _earlier(verdicts, hashes, memory)
    result = Folding()
    for verdict, content in zip(verdicts, hashes, strict=True):
        outcome = verdict.refusal.reason if verdict.refusal else _fold_one(result, verdict, content, memory, earlier)
        origin = verdict.event.origin if verdict.event else NOBODY
        result.counts[verdict.record.timestamp_ms // HOUR_MS, origin, outcome] += 1
    return result


def _fold_one(result: Folding, verdict: Verdict, content: int, memory: Memory, earlier: Mapping[int, Received]) -> str:
    event, offset = verdict.event, verdict.record.offset
    assert event is not None
    known = result.marks.get(event.id) or memory.marks.get(event.id)
    if known is None or known.offset < memory.floor(verdict.day):
        result.marks[event.id] = Mark(offset, content)
        if verdict.day < memory.sessions_from_day and event.subject and is_session(event.subject):
            return SESSION_OVER
        _take(result, Effect(offset, 1, event, verdict.day))
        return FOLDED
    if known.content == content:
        return DUPLICATE
    if content < known.content:
        if (loser := earlier.get(known.offset)) is None:
            result.irreversible += 1
        else:
            result.marks[event.id] = Mark(offset, content)
            for effect in (Effect(offset, -1, loser, verdict.day), Effect(offset, 1, event, verdict.day)):
                # a session may be forgotten since, and nobody compares its sums
                if not (effect.event.subject and is_session(effect.event.subject)):
                    _take(result, effect)
    return CONFLICT


def _take(result: Folding, effect: Effect) -> None:
    event = effect.event
    if event.subject is None:
        return
    if isinstance(event.data, SessionClaimed) and effect.sign > 0:
        result.claimed.add(event.data.session)
    if is_evidence(event.data) or isinstance(event.data, ConsentChanged):
        result.effects[event.subject].append(effect)


def _earlier(verdicts: Iterable[Verdict], hashes: Iterable[int], memory: Memory) -> Mapping[int, Received]:
    """The events that may have to be taken back, by offset: those of the batch itself, and what lies in Kafka."""
    first: dict[EventId, Verdict] = {}
    found: dict[int, Received] = {}
    wanted: set[int] = set()
    for verdict, content in zip(verdicts, hashes, strict=True):
        if (event := verdict.event) is None or verdict.refusal is not None:
            continue
        if (known := memory.marks.get(event.id)) is not None and content < known.content:
            wanted.add(known.offset)
        if (before := first.setdefault(event.id, verdict)) is not verdict and before.event is not None:
            found[before.record.offset], found[verdict.record.offset] = before.event, event
    return {**memory.earlier(wanted), **found} if wanted else found
