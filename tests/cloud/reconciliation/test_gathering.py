"""What is read from where it lies: topics, states and lake, and what is said of those that are not there."""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from cloud.kafka import Producer
from cloud.lake.lake import Lake
from cloud.lake.table import LakeTable
from cloud.librdkafka import Cluster
from cloud.pipeline.state import Log, PartitionState
from cloud.reconciliation import gathering
from cloud.reconciliation.findings import Books, Folded, reconcile
from cloud.reconciliation.gathering import SLACK_MS, read_lake, read_states, read_topics
from cloud.reconciliation.ledger import Ledger
from cloud_sync.record import Record
from cloud_sync.topics import DAY_MS, EVENTS, HOUR_MS
from tests.cloud.lake.records import RECEIVED_MS, consumed, opened, put
from tests.servers import KafkaServer, ServerElsewhere

HOUR = RECEIVED_MS // HOUR_MS
HOURS = range(HOUR, HOUR + 1)
PLACE = EVENTS.name, 0


async def test_topics_are_read_from_a_little_before_the_first_hour_on(
    kafka: KafkaServer | ServerElsewhere, topic: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transaction lies in two hours: without its beginning, numbers would lack."""
    name, cluster = await topic(settings={"retention.ms": "-1"}), Cluster(kafka.bootstrap)
    begin_ms = HOUR * HOUR_MS
    with Producer(cluster) as producer:
        for time_ms in (begin_ms - SLACK_MS - 1, begin_ms - SLACK_MS, begin_ms + 5):
            producer.send(Record(name, b"k", b"{", (), timestamp_ms=time_ms))
            producer.flush()
    monkeypatch.setattr(gathering, "TOPICS", (name,))
    read = read_topics(cluster, HOURS, threading.Event())
    assert SLACK_MS >= 60_000
    assert [cell.hour for place in list(read.lines) for _, cell in read.of(place)] == [HOUR - 1, HOUR]


# -- states -------------------------------------------------------------------------------------------------------


@pytest.fixture
def states(tmp_path: Path) -> Path:
    """The states of partitions 0 and 1, after ten records each."""
    for partition in (0, 1):
        path = tmp_path / f"{EVENTS.name}-{partition}.db"
        with PartitionState.open(path, Log(EVENTS.name, partition, 4)) as state:
            state.apply([consumed(offset, partition=partition) for offset in range(10)])
    return tmp_path


def nobody() -> bool:
    return False


def somebody() -> bool:
    return True


def test_states_that_are_here_are_read_and_nobody_is_asked_for_others(states: Path) -> None:
    def asked() -> bool:
        raise AssertionError

    found, lacking = read_states(states, HOURS, {0: 10, 1: 10}, asked)
    assert {number: (one.position, sum(one.counts.values())) for number, one in found.items()} == {
        0: (10, 10), 1: (10, 10),
    }  # fmt: skip
    assert lacking == {}


def test_a_state_that_another_process_has_got_further_with_is_not_ours(states: Path) -> None:
    found, lacking = read_states(states, HOURS, {0: 10, 1: 11, 2: 4}, somebody)
    assert (set(found), dict(lacking)) == ({0}, {})


def test_a_state_that_is_old_or_lost_and_nobody_elses_is_lacking(states: Path) -> None:
    found, lacking = read_states(states, HOURS, {0: 10, 1: 11, 2: 4}, nobody)
    assert found.keys() == {0}
    assert lacking == {
        number: f"the state of partition {number} is not here, or an old one, and nobody else has it"
        for number in (1, 2)
    }


@pytest.mark.parametrize("others", [nobody, somebody])
def test_a_state_that_cannot_be_read_is_lacking_whoever_else_is_there(states: Path, others: Callable[[], bool]) -> None:
    (states / f"{EVENTS.name}-1.db").write_bytes(b"nothing of a database" * 400)
    found, lacking = read_states(states, HOURS, {0: 10, 1: 10}, others)
    assert (set(found), set(lacking)) == ({0}, {1})
    assert "can't be read" in lacking[1]


# -- the lake -----------------------------------------------------------------------------------------------------


def in_raw(directory: Path) -> LakeTable:
    return opened(directory).tables["raw"]


def test_rows_are_read_by_hour_as_often_as_they_are_there(tmp_path: Path) -> None:
    put(opened(tmp_path), map(consumed, range(30)))
    lake = read_lake(in_raw(tmp_path), HOURS, [PLACE], 0)
    assert lake is not None
    assert (lake[PLACE].position, lake[PLACE].from_hour) == (30, 0)
    assert {hour: list(offsets) for hour, offsets in lake[PLACE].rows.items()} == {HOUR: list(range(30))}
    assert [lake[PLACE].count(HOUR, offset) for offset in (0, 29, 30)] == [1, 1, 0]


def test_what_the_lake_drops_for_its_age_is_not_looked_for(tmp_path: Path) -> None:
    put(opened(tmp_path), [consumed(0)])
    lake = read_lake(in_raw(tmp_path), HOURS, [PLACE], 2)
    assert lake is not None
    assert lake[PLACE].from_hour == (HOURS.stop * HOUR_MS // DAY_MS - 1) * 24


def test_where_there_was_never_a_lake_there_is_none(tmp_path: Path) -> None:
    assert read_lake(Lake(str(tmp_path / "none")).tables["raw"], HOURS, [PLACE], 0) is None


def test_a_file_of_the_lake_that_is_gone_or_damaged_lacks_with_its_rows(tmp_path: Path) -> None:
    records = [consumed(offset) for offset in range(30)]
    lake, ledger = opened(tmp_path), Ledger()
    for batch in (records[:10], records[10:20], records[20:]):
        put(lake, batch, start=batch[0].offset)
    for record in records:
        ledger.add(record)
    first, second, _ = sorted((tmp_path / "raw").rglob("*.parquet"), key=lambda path: path.stat().st_mtime_ns)
    first.unlink()
    second.write_bytes(b"no rows")
    books = Books(
        folded={0: Folded(30, ledger.counts(EVENTS.name))}, lake=read_lake(in_raw(tmp_path), HOURS, [PLACE], 0)
    )
    [finding] = reconcile(ledger, books, HOURS).findings
    assert (finding.kind, finding.count) == ("lake_missing", 20)
