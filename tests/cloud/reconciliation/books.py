"""A small world of records for tests: two gateways, three hours, four partitions, and what others make of them."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from cloud.fleet import Heard
from cloud.kafka import partition_of
from cloud.pipeline.state import Log, PartitionState
from cloud.reconciliation.findings import Books, Folded, InLake
from cloud.reconciliation.ledger import Cell, Ledger
from cloud_sync.dead_letter import from_record, from_refusal
from cloud_sync.envelope import encode
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import DAY_MS, DEAD_LETTERS, EVENTS, HOUR_MS, POSITION
from heat.identity import EventId
from tests.cloud.test_fleet import WELL
from tests.cloud_sync.examples import POURED, refused, stored

HOUR = 497_000
"""The first of three hours since 1970; the third is open."""
HOURS = range(HOUR, HOUR + 2)
PARTITIONS = 4


@dataclass
class Topics:
    """The topics as lists of records; what is appended gets an offset, and a gap after each ten, as markers leave."""

    records: dict[tuple[str, int], list[Consumed]] = field(default_factory=lambda: defaultdict(list))

    def append(self, record: Record, time_ms: int) -> Consumed:
        partitions = 1 if record.topic == DEAD_LETTERS.name else PARTITIONS
        place = record.topic, partition_of(record.key or b"", partitions)
        there = self.records[place]
        offset = there[-1].offset + (2 if len(there) % 10 == 0 else 1) if there else 0
        there.append(Consumed(*place, offset, time_ms, record.key, record.value, record.headers))
        return there[-1]

    def all(self, topic: str = EVENTS.name) -> list[Consumed]:
        return [record for place, records in self.records.items() if place[0] == topic for record in records]

    def remove(self, record: Consumed) -> None:
        self.records[record.topic, record.partition].remove(record)

    def ledger(self) -> Ledger:
        ledger = Ledger()
        for records in self.records.values():
            for record in records:
                ledger.add(record)
        return ledger


@dataclass
class Gateway:
    """One that sends a pour each minute, and now and then a refusal."""

    name: str
    topics: Topics
    position: int = 0
    epoch: int = 1

    def send(self, time_ms: int, *, happened_ms: int | None = None, again: bool = False, **changes: Any) -> Consumed:
        """The next row; with `again`, this position once more."""
        happened_ms = time_ms if happened_ms is None else happened_ms
        self.position += not again
        number = self.position
        row = stored(
            POURED, number, id=EventId(f"bar-{self.name}-{number % 5}", 7, number), origin=self.name,
            day=happened_ms // DAY_MS, time_ms=happened_ms, subject=f"p1-{number % 31:032x}", **changes,
        )  # fmt: skip
        return self.topics.append(self.numbered(encode(row)), time_ms)

    def refuse(self, time_ms: int) -> Consumed:
        """A row that was refused at the door."""
        self.position += 1
        return self.topics.append(self.numbered(from_refusal(refused(self.position, origin=self.name))), time_ms)

    def numbered(self, record: Record, position: int | None = None) -> Record:
        return record.with_header(POSITION, b"%d:%d" % (self.epoch, position or self.position))

    def heard(self, at_ms: int) -> Heard:
        told = msgspec.structs.replace(
            WELL, gateway=self.name, epoch=self.epoch, confirmed=self.position, sent_ms=at_ms - 1_000
        )
        return Heard(told, at_ms)


@dataclass
class Shops:
    """Two gateways after two hours and a half."""

    topics: Topics
    gateways: tuple[Gateway, Gateway]

    @property
    def end_ms(self) -> int:
        return (HOUR + 2) * HOUR_MS + HOUR_MS // 2

    def fold(self, directory: Path) -> None:
        """The pipeline comes by, for the first time: it folds, and writes dead letters."""
        for earlier in self.topics.all(DEAD_LETTERS.name):
            if by_pipeline(earlier):
                self.topics.remove(earlier)
        self.states = {}
        for partition in range(PARTITIONS):
            with PartitionState.open(directory / f"{partition}.db", Log(EVENTS.name, partition, PARTITIONS)) as state:
                applied = state.apply(self.topics.records[EVENTS.name, partition])
                for verdict in applied.refused:
                    assert verdict.refusal
                    letter = from_record(verdict.record, verdict.refusal, verdict.event)
                    self.topics.append(letter, verdict.record.timestamp_ms + 1_000)
                counts, refused = Counter[Cell](), Counter[Cell]()
                for (hour, origin, outcome), n in state.counts().items():
                    counts[Cell(hour, origin)] += n
                    refused[Cell(hour, origin)] += n if outcome == "too_old" else 0
                self.states[partition] = Folded(state.position, counts, refused)

    def books(self) -> Books:
        """What everybody says when all goes well."""
        lake = {
            place: InLake(records[-1].offset + 1, in_lake((r.timestamp_ms // HOUR_MS, r.offset) for r in records))
            for place, records in self.topics.records.items()
            if records
        }
        return Books([each.heard(self.end_ms) for each in self.gateways], dict(self.states), lake=lake)


def shops(directory: Path) -> Shops:
    """Two gateways, 150 minutes, a refusal at the door each half hour, and one in the topic each hour."""
    topics = Topics()
    gateways = Gateway("gw-1", topics), Gateway("gw-2", topics)
    made = Shops(topics, gateways)
    for minute in range(150):
        time_ms = HOUR * HOUR_MS + minute * 60_000
        for gateway in gateways:
            if minute % 30 == 7:
                gateway.refuse(time_ms)
            elif minute % 60 == 9:
                gateway.send(time_ms, happened_ms=time_ms - 100 * DAY_MS)
            else:
                gateway.send(time_ms)
    made.fold(directory)
    return made


def in_lake(rows: Iterable[tuple[int, int]]) -> dict[int, array[int]]:
    """Rows of hours and offsets, in any order, as the lake tells of them."""
    made: defaultdict[int, array[int]] = defaultdict(lambda: array("q"))
    for hour, offset in sorted(rows):
        made[hour].append(offset)
    return dict(made)


def by_pipeline(letter: Consumed) -> bool:
    """Whether a dead letter is one of the pipeline's."""
    return "__connect.errors.offset" in dict(letter.headers)


def sent_by(record: Consumed, gateway: str) -> bool:
    """Whether a gateway's outbox sent it."""
    name = gateway.encode()
    in_header = dict(record.headers).get("picante.origin") == name and not by_pipeline(record)
    return in_header or b'"origin":"%s"' % name in (record.value or b"")


def said(findings: Iterable[Any]) -> list[tuple[int, str, str, int]]:
    """Findings without their words, hours from `HOUR` on."""
    return [(one.hour - HOUR, one.source, one.kind, one.count) for one in findings]
