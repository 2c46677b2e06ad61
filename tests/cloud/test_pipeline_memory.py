"""What a pipeline has in memory: no more of it after the millionth event, and no more for customers of many years."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import pytest

from cloud.kafka import Producer
from cloud.pipeline import identities
from cloud.pipeline.again import Again
from cloud.pipeline.dead_letters import DeadLetters
from cloud.pipeline.partition import Partition
from cloud.pipeline.publish import Publisher
from cloud.pipeline.state import Log as LogKey
from cloud.pipeline.state import PartitionState
from cloud.pipeline.subjects import Subject
from cloud_sync.record import Consumed, Record
from heat.identity import keyed_event_id
from tests.cloud.logs import NOON_MS, TODAY, Log, pour, value_of

KEY = LogKey("events", 0)
CUSTOMERS = 60
DAYS = 100
"""With pours, of each: 57 kB of Python in sums."""
MB = 1_000_000


@pytest.fixture
def state(tmp_path: Path) -> Iterator[PartitionState]:
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        yield state


@contextmanager
def measured() -> Iterator[list[int]]:
    """Bytes of Python at most, beyond what was there before; one figure, once the block is left."""
    most: list[int] = []
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield most
        most.append(tracemalloc.get_traced_memory()[1] - before)
    finally:
        tracemalloc.stop()


class Nowhere:
    """Takes everything, and keeps nothing."""

    position = 0

    def __init__(self) -> None:
        self.keys: set[bytes | None] = set()

    def send(self, record: Record, *_: object) -> None:
        """Remember whose it was; verdicts of dead letters are nobody's."""
        self.keys.add(getattr(record, "key", None))

    def flush(self) -> None:
        """Nothing waits."""


def test_lives_without_end_take_no_more_memory_than_the_first(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of an app's events is a life of its own. With all of them held, the second half would add 0.35 MB."""
    monkeypatch.setattr(identities, "MAX_LIVES", 200)

    def fold(numbers: range) -> None:
        for first in numbers[::100]:
            records = []
            for number in range(first, first + 100):
                _, generation, sequence = keyed_event_id("app-x", str(number))
                key, value = value_of(sequence, pour(), source="app-x", generation=generation)
                records.append(Consumed("events", 0, number, NOON_MS, key, value, ()))
            state.apply(records)

    fold(range(400))
    with measured() as warm:
        fold(range(400, 500))
    with measured() as later:
        fold(range(500, 1_500))
    assert later[0] < warm[0] + 0.1 * MB


def test_customers_of_many_years_take_the_memory_of_some(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.pipeline.subjects.AT_ONCE", 10)
    monkeypatch.setattr("cloud.pipeline.state.CHUNK", 10)
    with measured() as whole:
        known = [Subject(f"p1-{number:032x}", 0, 0) for number in range(CUSTOMERS)]
        for subject in known:
            for day in range(DAYS):
                subject.tally.add(pour(), "gw-1", TODAY - day)
    assert whole[0] > 3 * MB
    state.seed([known], 1)
    del known, subject
    log = Log()
    for number in range(CUSTOMERS + 1):
        log.append(*value_of(number + 1, pour(), f"p1-{max(number - 1, 0):032x}"))
    sent = Nowhere()
    partition = Partition(state, cast("DeadLetters", sent), cast("Again", sent), Publisher(KEY, "/cloud/test"))
    producer = cast("Producer", sent)
    with measured() as folded:
        partition.take(log.records)
    assert folded[0] < 1 * MB
    with measured() as published:
        while partition.publish(producer):
            pass
    assert published[0] < 1.5 * MB
    assert len(sent.keys - {None}) == CUSTOMERS
    assert {state.digest(f"p1-{number:032x}")[0] for number in range(CUSTOMERS)} == {DAYS + 1}


def test_no_more_names_are_looked_for_at_once_than_are_published(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cloud.pipeline.partition.CHUNK", 7)
    sent = Nowhere()
    partition = Partition(state, cast("DeadLetters", sent), cast("Again", sent), Publisher(KEY, "/cloud/test"))
    assert partition.publish(cast("Producer", sent)) == 0
    log = Log()
    for number in range(20):
        log.append(*value_of(number + 1, pour(), f"p1-{number:032x}"))
    partition.take(log.records)
    assert [partition.publish(cast("Producer", sent)) for _ in range(4)] == [7, 7, 6, 0]
    assert partition.told == 20
