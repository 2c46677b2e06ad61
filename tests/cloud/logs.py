"""Logs without a Kafka: events as records of one partition, and what reads them again."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec

from cloud.pipeline.verdict import judge
from cloud_sync.envelope import Received, encode
from cloud_sync.outbox import StoredEvent
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS
from heat.events import AnyData, ClockState, Poured
from heat.identity import EventId
from heat.scale import heat_from_shu

TODAY = 20_782
"""2026-11-25."""
NOON_MS = TODAY * DAY_MS + DAY_MS // 2
ANNA, BERT = f"p1-{'a' * 32}", f"p1-{'b' * 32}"


def pour(shu: int = 2_500, region: str = "eu") -> Poured:
    """A pour of a smoky sauce."""
    return Poured(
        store="lyon-2", region=region, channel="dispenser", consent="profile", sauce="smoky-chipotle",
        heat=heat_from_shu(shu, source="label"), flavours=("smoky",), w=16, nozzle=2, volume_ul=3_000, duration_ms=900,
    )  # fmt: skip


def value_of(  # noqa: PLR0913 -- what an event is
    sequence: int,
    data: AnyData,
    subject: str | None = ANNA,
    *,
    source: str = "hot-bar-1",
    generation: int = 0x5E3A09C1,
    origin: str = "gw-1",
    day: int = TODAY,
    redelivered: bool = False,
) -> tuple[bytes, bytes]:
    """Key and value of an event's record. A negative day is a boot's whose time was never known."""
    time_ms = day * DAY_MS + 1000 if day >= 0 else 5_000
    clock: ClockState = "known" if day >= 0 else "unknown"
    id_ = EventId(source, generation, sequence)
    row = StoredEvent(
        1,
        id_,
        data.type,
        subject,
        time_ms,
        day,
        clock,
        origin,
        msgspec.json.encode(data),
        redelivered,
    )
    record = encode(row)
    assert record.key is not None
    assert record.value is not None
    return record.key, record.value


class Log:
    """One partition. Its records are stamped with the time of their receipt."""

    def __init__(self, topic: str = "events") -> None:
        self.records: list[Consumed] = []
        self.topic = topic
        self.read_again: list[int] = []
        """Offsets that were asked for once more."""

    def append(self, key: bytes | None, value: bytes | None, received_ms: int = NOON_MS) -> Consumed:
        """Add a record at the end."""
        record = Consumed(self.topic, 0, len(self.records), received_ms, key, value, ())
        self.records.append(record)
        return record

    def earlier(self, offsets: AbstractSet[int]) -> Mapping[int, Received]:
        """What a state's `earlier` is to be."""
        self.read_again += sorted(offsets)
        found = {offset: judge(self.records[offset]).event for offset in offsets}
        return {offset: event for offset, event in found.items() if event is not None}


def batches(records: Sequence[Consumed], sizes: Iterable[int]) -> Iterable[Sequence[Consumed]]:
    """The records in batches of these sizes; the last one has the rest."""
    at = 0
    for size in sizes:
        if at < len(records):
            yield records[at : at + size]
            at += size
    if at < len(records):
        yield records[at:]


def sha(value: bytes) -> bytes:
    """What decides between two contents."""
    return hashlib.sha256(value).digest()
