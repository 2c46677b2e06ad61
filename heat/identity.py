"""Who did it and which event it is: event identities, sets of sequences, subjects, pseudonyms.

An event is identified by `(source, generation, sequence)`, never by a time window: people do press twice within a
minute. The source is a dispenser or, for what the gateway itself observes, the gateway. A generation is one life of a
dispenser's ring (or of a gateway's database); within it the sequence starts at 1 and never restarts.

Written out, an identity is `source:generation:sequence` with the generation as 8 hex digits:
`hot-bar-1:5e3a09c1:42`. Sources that don't count their events (apps, the web, surveys) know each by a key of their own;
`keyed_event_id` makes the identity of it.
"""

from __future__ import annotations

import bisect
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from heat.errors import DataError

NAME = "[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?"
SOURCE_NAME = re.compile(rf"{NAME}\Z")
"""Names of dispensers, gateways, stores: lower case, digits, inner hyphens, at most 32 characters."""
SAUCE_ID = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,22}[a-z0-9])?\Z")
"""Ids of sauces, and flavour tags: at most 24 characters, so that twelve nozzles fit into one frame."""
MAX_FLAVOURS = 16
"""Tags of one sauce."""
SAFE_INTEGER = 2**53 - 1
"""Every integer that leaves in JSON stays at or below this, so that any reader can hold it."""


def check_name(name: str, what: str) -> str:
    """`name`, if it can name a dispenser, gateway or store. Raises DataError otherwise."""
    if not SOURCE_NAME.match(name):
        raise DataError(
            f"{what} {name[:40]!r} is not a name", hint="Use 1 to 32 of a-z, 0-9 and '-', no '-' at the ends"
        )
    return name


class EventId(NamedTuple):
    """The identity of an event."""

    source: str
    generation: int
    sequence: int

    def __str__(self) -> str:
        return f"{self.source}:{self.generation:08x}:{self.sequence}"


_EVENT_ID = re.compile(rf"({NAME}):([0-9a-f]{{8}}):([1-9][0-9]{{0,15}})\Z")


def parse_event_id(text: str) -> EventId:
    """The identity written as `source:generation:sequence`. Raises DataError, without the text, if it is none."""
    match = _EVENT_ID.match(text)
    if match is None or (sequence := int(match[3])) > SAFE_INTEGER:
        raise DataError("not an event id", hint="It reads source:generation:sequence")
    return EventId(match[1], int(match[2], 16), sequence)


def keyed_event_id(source: str, key: str) -> EventId:
    """The identity of what a source knows by a key that is unique there: a survey's answer, an app's idempotency key.

    The first 12 bytes of the key's SHA-256: 4 are the generation, 8, taken modulo 2**53 - 1, the sequence less one. 85
    bits: among a thousand million keys of one source, two share an identity with a chance of one in seventy million.
    """
    digest = hashlib.sha256(key.encode()).digest()
    return EventId(source, int.from_bytes(digest[:4], "big"), 1 + int.from_bytes(digest[4:12], "big") % SAFE_INTEGER)


class SequenceSet:
    """A set of sequences as sorted, disjoint, non-adjacent closed intervals: exact, and O(gaps) in memory."""

    __slots__ = ("_firsts", "_lasts")

    def __init__(self, intervals: Iterable[tuple[int, int]] = ()) -> None:
        self._firsts: list[int] = []
        self._lasts: list[int] = []
        for first, last in intervals:
            self.add(first, last)

    def __contains__(self, sequence: int) -> bool:
        i = bisect.bisect_right(self._firsts, sequence) - 1
        return i >= 0 and sequence <= self._lasts[i]

    def __iter__(self) -> Iterator[tuple[int, int]]:
        return iter(list(zip(self._firsts, self._lasts, strict=True)))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SequenceSet) and list(self) == list(other)

    __hash__ = None  # type: ignore[assignment]  # a mutable set

    def add(self, first: int, last: int | None = None) -> None:
        """Add one sequence, or all of `first..last`. Adding again changes nothing."""
        last = first if last is None else last
        if last < first:
            raise ValueError(f"interval {first}..{last} runs backwards")
        # every interval that touches or overlaps first..last melts into it
        i = bisect.bisect_left(self._lasts, first - 1)
        j = bisect.bisect_right(self._firsts, last + 1)
        if i < j:
            first, last = min(first, self._firsts[i]), max(last, self._lasts[j - 1])
        self._firsts[i:j] = [first]
        self._lasts[i:j] = [last]

    def missing(self, first: int, last: int) -> list[tuple[int, int]]:
        """The parts of `first..last` that are not in the set, as closed intervals."""
        result = []
        for low, high in self:
            if high < first:
                continue
            if low > last:
                break
            if low > first:
                result.append((first, low - 1))
            first = high + 1
        if first <= last:
            result.append((first, last))
        return result

    def count(self) -> int:
        """How many sequences are in the set."""
        return sum(self._lasts) - sum(self._firsts) + len(self._firsts)

    @property
    def unbroken(self) -> int:
        """The highest sequence of the interval that begins with 1; 0 if 1 is not in the set."""
        return self._lasts[0] if self._firsts and self._firsts[0] <= 1 else 0

    @property
    def highest(self) -> int:
        """The highest sequence in the set; 0 if it is empty."""
        return self._lasts[-1] if self._lasts else 0


def session_subject(dispenser: str, generation: int, session: int) -> str:
    """The subject of a customer session that nobody has claimed: `s-dispenser-generation-session`."""
    return f"s-{dispenser}-{generation:08x}-{session}"


def is_session(subject: str) -> bool:
    """Whether a subject is an unclaimed session: ephemeral, and outside the digests."""
    return subject.startswith("s-")


def pseudonym(token: str, key: bytes, key_version: int) -> str:
    """The pseudonym of a loyalty token: `p<key version>-<128 bits of HMAC-SHA-256, hex>`.

    The token itself is neither stored, logged nor sent.
    """
    mac = hmac.new(key, b"picante loyalty token\x00" + token.encode(), hashlib.sha256)
    return f"p{key_version}-{mac.hexdigest()[:32]}"


PSEUDONYM = re.compile(r"p[1-9][0-9]{0,3}-[0-9a-f]{32}\Z")
SESSION = re.compile(r"s-[a-z0-9-]{1,32}-[0-9a-f]{8}-[0-9]{1,10}\Z")


def check_subject(subject: str) -> str:
    """`subject`, if it is a pseudonym or a session. Raises DataError otherwise; the text is not repeated."""
    if not (PSEUDONYM.match(subject) or SESSION.match(subject)):
        raise DataError("not a subject", hint="Give a pseudonym (p1-<32 hex digits>) or a session, never a token")
    return subject
