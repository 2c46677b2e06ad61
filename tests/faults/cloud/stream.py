"""Events without end, and what is true of them: doubles, contradictions, poison, a gateway that was away for a month.

    stream = Stream(seed=7)
    with Producer(cluster) as producer:
        for sent in stream.go_on(500):
            producer.send(sent.record)

Each record says in a header which one of the stream it is, so whoever sends one again, not knowing whether Kafka has
it, changes nothing of what is true.
"""

from __future__ import annotations

import hashlib
import json
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, get_args

import msgspec

from cloud_sync.record import Record
from cloud_sync.topics import DAY_MS, EVENTS
from heat.events import AnyData, Poured, Rated, Stated, Verdict
from heat.scale import heat_from_shu
from tests import reference
from tests.cloud.logs import value_of
from tests.cloud_sync.test_poison import RECORDS, part
from tests.strategies import PLACE

NUMBER = "n"
"""The header that says which record of the stream this is."""
CUSTOMERS = 150
DUPLICATES = 0.3
CONTRADICTIONS = 0.02
"""Share of records with another content under an identity that there was."""
REFUSED = 0.06
LATE_DAYS = 30
TOO_OLD_DAYS = 100
AWAY = "gw-away"


@dataclass(frozen=True, slots=True)
class Event:
    """A content, and under which identity."""

    identity: str
    key: bytes
    value: bytes
    evidence: dict[str, Any]
    """For `tests.reference`."""


@dataclass(frozen=True, slots=True)
class Sent:
    """One record of the stream."""

    record: Record
    event: Event | None
    """None: nothing that could be read."""
    reason: str | None = None
    """Why it is refused."""


class Stream:
    """See the module. One thread's own while it goes on."""

    def __init__(self, seed: int) -> None:
        self.sent: list[Sent] = []
        self._chance = random.Random(seed)
        self._customers = [f"p1-{self._chance.getrandbits(128):032x}" for _ in range(CUSTOMERS)]
        self._events: list[Event] = []
        self._sequences: dict[str, int] = {}
        self._made = 0
        self._today = time.time_ns() // 1_000_000 // DAY_MS

    def go_on(self, count: int, *, late: bool = False) -> list[Sent]:
        """So many records more; `late`: half of them are of the gateway that was away."""
        made = [self._next(late=late) for _ in range(count)]
        self.sent += made
        return made

    def _next(self, *, late: bool) -> Sent:
        chance = self._chance.random()
        if chance < REFUSED:
            return self._refused()
        if self._events and chance < REFUSED + DUPLICATES:
            return self._again(self._chance.choice(self._events))
        if self._events and chance < REFUSED + DUPLICATES + CONTRADICTIONS:
            return self._contradicting(self._chance.choice(self._events))
        away = late and self._chance.random() < 0.5
        event = self._event(AWAY if away else self._chance.choice(["gw-1", "gw-2"]), LATE_DAYS if away else 0)
        self._events.append(event)
        return self._said(event, event.value)

    def _refused(self) -> Sent:
        if self._chance.random() < 0.2:
            old = self._event("gw-1", TOO_OLD_DAYS)
            return self._said(old, old.value, "too_old")
        if self._chance.random() < 0.2:
            event = self._event("gw-1", 0)
            return self._numbered(b"somebody-else", event.value, None, "wrong_key")
        key, value, reason = self._chance.choice(poison())
        return self._numbered(key, value, None, reason)

    def _again(self, event: Event) -> Sent:
        marked = self._chance.random() < 0.5
        value = event.value.replace(b',"data":', b',"redelivered":true,"data":', 1) if marked else event.value
        return self._said(event, value)

    def _contradicting(self, event: Event) -> Sent:
        source, _, sequence = event.identity.split(":")
        told = event.evidence
        other = self._event(told["origin"], self._today - told["day"], (source, int(sequence), told["subject"]))
        return self._said(other, other.value)

    def _event(self, origin: str, age_days: int, under: tuple[str, int, str] | None = None) -> Event:
        """A new content; `under` an identity and a subject that there are, or new ones."""
        if under is None:
            source = f"bar-{origin}-{self._chance.randrange(3)}"
            self._sequences[source] = sequence = self._sequences.get(source, 0) + 1
            subject = self._chance.choice(self._customers)
        else:
            source, sequence, subject = under
        day, data = self._today - age_days, self._deed()
        key, value = value_of(sequence, data, subject, source=source, origin=origin, day=day)
        evidence = {"subject": subject, "origin": origin, "day": day, "type": data.type}
        evidence["data"] = json.loads(msgspec.json.encode(data))
        return Event(json.loads(value)["id"], key, value, evidence)

    def _deed(self) -> AnyData:
        chance = self._chance
        heat = heat_from_shu(chance.randrange(200_000), source="label")
        match chance.choice(["poured", "poured", "rated", "stated"]):
            case "poured":
                volume_ul = chance.randrange(1_000, 9_000)
                return Poured(
                    **PLACE, sauce="verde", heat=heat, flavours=("green",), w=16, nozzle=1, volume_ul=volume_ul,
                    duration_ms=900,
                )  # fmt: skip
            case "rated":
                verdict = chance.choice(get_args(Verdict))
                return Rated(**PLACE, sauce="verde", heat=heat, flavours=("green",), w=8, verdict=verdict)
            case _:
                return Stated(**PLACE, heat=heat, w=4, said="hot")

    def _said(self, event: Event, value: bytes, reason: str | None = None) -> Sent:
        return self._numbered(event.key, value, event, reason)

    def _numbered(self, key: bytes | None, value: bytes, event: Event | None, reason: str | None) -> Sent:
        headers = ((NUMBER, str(self._made).encode()), ("repeated", b"1"), ("repeated", b"2"))
        self._made += 1
        return Sent(Record(EVENTS.name, key, value, headers), event, reason)

    # -- what is true of all that was sent -----------------------------------------------------------------------------

    def counted(self) -> list[Event]:
        """Of each identity the content that counts: the one with the smallest SHA-256."""
        best: dict[str, Event] = {}
        for event in self._accepted():
            best[event.identity] = min(best.get(event.identity, event), event, key=_sha)
        return list(best.values())

    def digests(self) -> dict[str, str]:
        """Each customer's, by the naive reader."""
        found = reference.profiles(event.evidence for event in self.counted())
        return {subject: rows["digest"] for subject, rows in found.items()}

    def _accepted(self) -> Iterator[Event]:
        return (sent.event for sent in self.sent if sent.event is not None and sent.reason is None)


@lru_cache(None)
def poison() -> list[tuple[bytes | None, bytes, str]]:
    """Key, value and reason of the golden records that are none, but for those of a megabyte."""
    refused = [record for record in RECORDS if "reason" in record and not record.keys() & {"padded_to", "topic"}]
    found = [(part(record, "key"), part(record, "value") or b"", record["reason"]) for record in refused]
    return [(key, value, reason) for key, value, reason in found if len(value) < 100_000]


def _sha(event: Event) -> bytes:
    return hashlib.sha256(event.value).digest()
