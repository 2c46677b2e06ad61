"""Edge, cloud and a naive reader agree on every customer, to the byte, whatever the order in which events arrive.

Two real gateways take 100,000 events; three tenths of what Kafka holds came before, in part marked as such; a twentieth
is a month late; the first gateway learns the time in between; technicians take pours back.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiokafka.partitioner import DefaultPartitioner

from cloud.pipeline.state import Log, PartitionState
from cloud_sync.record import Consumed, Record
from heat.identity import is_session
from tests import reference
from tests.cloud.two_shops import Shop, live
from tests.flow import truth
from tests.gateway.conftest import NOON_MS

pytestmark = pytest.mark.timeout(400)  # the shops' months are the first test's set-up

EVENTS = 36_000
DEEDS = 30_000
"""What dispensers send; claims and impressions make up the rest."""
DUPLICATES = 0.3
PARTITIONS = 4
RECEIVED_MS = NOON_MS + 40 * 86_400_000
"""When Kafka got it: after all of it had happened, and no more than 90 days."""


@dataclass(frozen=True)
class History:
    """The two shops' months, and every customer's rows by the naive reader."""

    shops: list[Shop]
    expected: dict[str, dict[str, Any]]

    @property
    def records(self) -> list[Record]:
        """All that both uplinks send."""
        return [record for shop in self.shops for record in shop.records]


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    """It takes half a minute, so all tests look at one."""
    shops = live(tmp_path_factory.mktemp("shops"), DEEDS, seed=11)
    assert all(len(shop.voided) > 80 for shop in shops)
    evidence = [
        event
        for shop in shops
        for event in truth.evidence(shop.journal, shop.owners, shop.days, shop.gateway, shop.voided)
    ]
    return History(shops, reference.profiles(event for event in evidence if not is_session(event["subject"])))


def text(record: Record) -> bytes:
    assert record.value is not None  # no event is a tombstone
    return record.value


def read(record: Record) -> dict[str, Any]:
    value: dict[str, Any] = msgspec.json.decode(text(record))
    return value


def as_kafka_has_it(records: Sequence[Record], seed: int, *, ordered: bool = False) -> dict[int, list[Consumed]]:
    """The records by partition, each some times, in any order (or that of their sending, a copy right behind)."""
    chance = random.Random(seed)
    copies = [record for record in records for _ in range(1 + int(chance.random() < DUPLICATES / (1 - DUPLICATES)))]
    if not ordered:
        chance.shuffle(copies)
    place = lru_cache(None)(lambda key: DefaultPartitioner()(key, list(range(PARTITIONS)), []))
    partitions: dict[int, list[Consumed]] = defaultdict(list)
    seen: set[int] = set()
    for record in copies:
        value = text(record)
        if id(record) in seen and chance.random() < 0.5:
            value = value.replace(b',"data":', b',"redelivered":true,"data":', 1)
        seen.add(id(record))
        number = place(record.key)
        offset = len(partitions[number])
        partitions[number].append(
            Consumed(record.topic, number, offset, RECEIVED_MS, record.key, value, record.headers)
        )
    return partitions


def cloud(directory: Path, partitions: dict[int, list[Consumed]], seed: int) -> dict[str, dict[str | None, str]]:
    """Each customer's digests, whole (None) and by origin, once the cloud has folded it all in batches of any size."""
    chance, found = random.Random(seed), {}
    for number, records in partitions.items():
        with PartitionState.open(directory / f"{number}.db", Log("events", number, PARTITIONS)) as state:
            after = 0
            while after < len(records):
                size = chance.randrange(1, 4_000)
                state.apply(records[after : after + size])
                after += size
            for subject in state.names():
                if not is_session(subject):
                    origins = {key.origin for key in state.profile(subject).buckets}
                    found[subject] = {origin: state.digest(subject, origin)[1] for origin in (None, *origins)}
    return found


def by_origin(rows: dict[str, Any]) -> Iterator[tuple[str | None, str]]:
    """The digests that a customer's rows have."""
    yield None, rows["digest"]
    for origin in {row[0] for row in rows["buckets"]}:
        own = [[row for row in rows[kind] if row[0] == origin] for kind in ("buckets", "flavours")]
        yield origin, reference.digest(*own)


def test_the_history_is_what_it_should_be(history: History) -> None:
    values = [read(record) for record in history.records]
    assert len(values) >= EVENTS
    assert len({value["id"] for value in values}) == len(values)
    clocks = Counter(value["clockstate"] for value in values)
    assert clocks["estimated"] > 500, "the first gateway learnt the time in between"
    newest = max(value["heatday"] for value in values)
    late = sum(value["heatday"] <= newest - 28 for value in values)
    assert 0.03 < late / len(values) < 0.08
    both = [rows for rows in history.expected.values() if len({row[0] for row in rows["buckets"]}) == 2]
    assert len(both) > 80, "customers go to both shops"


def test_each_gateways_digests_are_those_of_the_naive_reader(history: History) -> None:
    for shop in history.shops:
        expected = {}
        for subject, rows in history.expected.items():
            digests = dict(by_origin(rows))
            if shop.gateway in digests:
                expected[subject] = digests[shop.gateway]
        assert shop.digests == expected


def test_the_clouds_digests_are_those_of_the_naive_reader(history: History, tmp_path: Path) -> None:
    partitions = as_kafka_has_it(history.records, 1)
    total = sum(map(len, partitions.values()))
    assert 0.28 < 1 - len(history.records) / total < 0.32
    expected = {subject: dict(by_origin(rows)) for subject, rows in history.expected.items()}
    assert cloud(tmp_path, partitions, 1) == expected


def test_in_the_order_of_their_sending_they_are_the_same(history: History, tmp_path: Path) -> None:
    records = as_kafka_has_it(history.records, 2, ordered=True)[0]
    found = cloud(tmp_path, {0: records}, 2)
    customers = {record.key.decode() for record in records if record.key and not is_session(record.key.decode())}
    assert len(customers) > 30, "a partition has a fourth of them"
    assert found == {
        subject: dict(by_origin(history.expected[subject])) for subject in customers & set(history.expected)
    }


def test_one_event_that_was_altered_is_seen(history: History, tmp_path: Path) -> None:
    chance = random.Random(3)
    shop = history.shops[0]
    pours = [record for record in shop.records if read(record)["type"] == "picante.poured.v1"]
    altered = chance.choice([record for record in pours if not is_session(read(record)["subject"])])
    value = read(altered)
    value["data"]["w"] += 1
    replaced = [
        Record(record.topic, record.key, msgspec.json.encode(value), record.headers) if record is altered else record
        for record in history.records
    ]
    partitions = as_kafka_has_it(replaced, 3, ordered=True)
    where = next(number for number, records in partitions.items() if any(r.key == altered.key for r in records))
    found = cloud(tmp_path, {where: partitions[where]}, 3)
    different = {
        (subject, origin)
        for subject, rows in history.expected.items()
        for origin, digest in by_origin(rows)
        if subject in found and found[subject][origin] != digest
    }
    assert different == {(value["subject"], None), (value["subject"], shop.gateway)}
