"""What a partition has to publish, and when: each change, whatever happens while others are published."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from cloud.kafka import Place, Producer
from cloud.librdkafka import Cluster
from cloud.pipeline import loop as loop_module
from cloud.pipeline import partition as module
from cloud.pipeline import publish as publish_module
from cloud.pipeline import state as state_module
from cloud.pipeline.again import Again
from cloud.pipeline.dead_letters import DeadLetters
from cloud.pipeline.loop import Pipeline
from cloud.pipeline.partition import Partition, Settings
from cloud.pipeline.publish import Publisher
from cloud.pipeline.state import Log as LogKey
from cloud.pipeline.state import PartitionState
from cloud_sync.published import ClockTick, Profile, publish, read_published
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import DAY_MS, PROFILES
from heat.errors import SinkUnavailable
from heat.events import BucketRow, ConsentChanged, SessionClaimed
from heat.identity import SAFE_INTEGER, session_subject
from heat.profile import contribution, merge, profile_of_rows
from heat.scale import BANDS, MAX_MO, band
from tests.cloud.logs import TODAY, Log, pour, value_of
from tests.strategies import PLACE
from tests.waiting import wait_until

KEY = LogKey("events", 0)
SESSION = session_subject("hot-bar-1", 0x5E3A09C1, 9)


class Sent:
    """A producer's place: what was sent, and whether it arrives."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.broken = False
        self._waiting: list[Record] = []

    def send(self, record: Record) -> None:
        self._waiting.append(record)

    def flush(self) -> None:
        if self.broken:
            raise SinkUnavailable("away")
        self.records += self._waiting
        self._waiting = []

    def digests(self) -> dict[str, str]:
        """Of the last profile of each key."""
        found = {}
        for record in self.records:
            if record.value is not None and isinstance(profile := read_published(record.value), Profile):
                found[(record.key or b"").decode()] = profile_of_rows(profile.buckets, profile.flavours).digest()
        return found


class NoLetters:
    """Nothing is refused here."""

    position = 0

    def send(self, *_: object) -> None:
        pass

    def close(self) -> None:
        pass


@pytest.fixture
def state(tmp_path: Path) -> Iterator[PartitionState]:
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        yield state


def partition_of(state: PartitionState) -> Partition:
    letters, again = cast("DeadLetters", NoLetters()), cast("Again", NoLetters())
    return Partition(state, letters, again, Publisher(KEY, "/cloud/test"))


def customer(number: int) -> str:
    return f"p1-{number:032x}"


def test_who_changes_while_others_are_searched_for_is_published_too(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(state_module, "CHUNK", 2)
    log, sent = Log(), Sent()
    producer = cast("Producer", sent)
    for number in range(5):
        log.append(*value_of(number + 1, pour(), customer(number)))
    state.apply(log.records)
    partition = partition_of(state)
    assert partition.publish(producer) > 0
    assert sent.digests().keys() == {customer(0), customer(1)}
    partition.take([log.append(*value_of(9, pour(900), customer(0)))])
    while partition.publish(producer):
        pass
    assert len(sent.records) == 2 * 6, "profile and features of five, and of one of them again"
    one = contribution(pour(), "gw-1", TODAY)
    assert sent.digests() == {
        customer(0): merge([one, contribution(pour(900), "gw-1", TODAY)]).digest(),
        **{customer(number): one.digest() for number in range(1, 5)},
    }


def test_more_than_are_kept_by_name_are_found_in_the_state(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_CHANGED", 3)
    log, sent = Log(), Sent()
    partition = partition_of(state)
    assert partition.publish(cast("Producer", sent)) == 0
    for number in range(9):
        partition.take([log.append(*value_of(number + 1, pour(), customer(number)))])
    while partition.publish(cast("Producer", sent)):
        pass
    assert len(sent.digests()) == 9


def test_a_profile_that_no_reader_would_take_stops_nobody(
    state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publish_module, "MAX_ENVELOPE_BYTES", 2_000)
    log, sent = Log(), Sent()
    for number in range(40):
        log.append(*value_of(number + 1, pour(), customer(1), day=TODAY - number))
    log.append(*value_of(99, pour(), customer(2)))
    state.apply(log.records)
    partition = partition_of(state)
    while partition.publish(cast("Producer", sent)):
        pass
    assert sent.digests().keys() == {customer(2)}
    assert list(state.unpublished()) == []
    # that somebody opted out is told all the same
    out = ConsentChanged(**{**PLACE, "consent": "none"})
    partition.take([log.append(*value_of(100, out, customer(1)))])
    while partition.publish(cast("Producer", sent)):
        pass
    profiles = [read_published(record.value or b"") for record in sent.records if record.topic == PROFILES.name]
    told = [(profile.opted_out, profile.buckets) for profile in profiles if isinstance(profile, Profile)]
    assert (True, ()) in told


@pytest.fixture
def pipeline(state: PartitionState, tmp_path: Path) -> Pipeline:
    """One that has a partition with a customer to be published, and has caught up."""
    pipeline = Pipeline(Settings(Cluster("localhost:1"), tmp_path))
    partition = pipeline.partitions[Place("events", 0)] = partition_of(state)
    partition.take([Log().append(*value_of(1, pour(), customer(1)))])
    partition.caught_up = True
    return pipeline


def test_nobody_is_told_of_the_past(pipeline: Pipeline) -> None:
    sent = Sent()
    pipeline.partitions[Place("events", 0)].caught_up = False
    pipeline._publish(cast("Producer", sent), time.monotonic(), busy=False)
    assert sent.records == []
    pipeline.partitions[Place("events", 0)].caught_up = True
    pipeline._publish(cast("Producer", sent), time.monotonic(), busy=False)
    assert sent.digests().keys() == {customer(1)}


def test_one_that_was_frozen_polls_before_it_publishes(pipeline: Pipeline) -> None:
    sent = Sent()
    session_s = pipeline._settings.cluster.session_ms / 1000
    pipeline._publish(cast("Producer", sent), time.monotonic() - session_s / 2, busy=False)
    assert sent.records == []
    pipeline._publish(cast("Producer", sent), time.monotonic(), busy=False)
    assert sent.digests().keys() == {customer(1)}


def test_under_load_a_fifth_of_the_time_is_published(
    pipeline: Pipeline, state: PartitionState, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Slow(Sent):
        def flush(self) -> None:
            time.sleep(0.05)
            super().flush()

    monkeypatch.setattr(loop_module, "BUSY_PUBLISH_S", 0)
    sent, partition = Slow(), pipeline.partitions[Place("events", 0)]
    pipeline._busy_publish_s = 0.0

    def publish() -> bool:
        pipeline._publish(cast("Producer", sent), time.monotonic(), busy=True)
        return state.position == partition.told

    assert publish()
    told_s = time.monotonic()
    partition.take([Consumed("events", 0, 1, 0, *value_of(2, pour(), customer(1)), ())])
    wait_until(publish, 5, "it is published again")
    assert time.monotonic() - 0.05 - told_s >= 0.2
    pipeline._busy_publish_s = time.monotonic() + 60
    partition.take([Consumed("events", 0, 2, 0, *value_of(3, pour(), customer(1)), ())])
    assert not publish()
    pipeline._publish(cast("Producer", sent), time.monotonic(), busy=False)
    assert len(sent.records) == 6


def test_a_day_that_is_ahead_of_its_own_record_has_not_begun(pipeline: Pipeline, state: PartitionState) -> None:
    def tick(day: int, stamped_day: int) -> int:
        value = publish(str(day), ClockTick(day=day), "/cloud/test", f"clock:{day}", 0).value
        pipeline._tick([Consumed("clock", 0, 0, (stamped_day + 1) * DAY_MS - 1, b"", value, ())])
        assert pipeline._tick_day == state.tick_day
        return state.tick_day

    assert tick(TODAY, TODAY) == TODAY
    assert tick(TODAY + 2, TODAY + 1) == TODAY
    assert tick(TODAY - 1, TODAY + 1) == TODAY
    assert tick(TODAY + 1, TODAY + 1) == TODAY + 1


@pytest.mark.parametrize(("q", "w"), [(MAX_MO, SAFE_INTEGER // MAX_MO**2), (0, SAFE_INTEGER)])
def test_claims_without_end_stop_nobody_and_are_told_to_nobody(state: PartitionState, q: int, w: int) -> None:
    """Each is one that can be true; their sums are beyond what 64 bits hold."""
    log, sent = Log(), Sent()
    partition = partition_of(state)
    n, many = w // 400 + 1, 2_100
    bands = tuple(n if in_band == band(q) else 0 for in_band in range(BANDS))
    row = BucketRow("gw-1", TODAY, "poured", n, w, w * q, w * q * q, bands)
    claim = SessionClaimed(**PLACE, session=SESSION, buckets=(row,), flavours=())
    for number in range(many):
        log.append(*value_of(number + 1, claim, customer(1)))
    log.append(*value_of(9_999, pour(), customer(2)))
    assert partition.take(log.records).refused == ()
    while partition.publish(cast("Producer", sent)):
        pass
    assert partition.take([log.append(*value_of(1, claim, customer(1)))]).changed == ()
    state.tick(TODAY + 1)
    while partition.sweep(cast("Producer", sent)):
        pass
    assert sent.digests().keys() == {customer(2)}
    assert {record.key for record in sent.records if record.value is not None} == {customer(2).encode()}
    [held] = state.profile(customer(1)).buckets.values()
    assert held[:4] == (many * n, many * w, many * w * q, many * w * q * q)


def test_a_position_is_told_once_all_below_it_is_published(state: PartitionState) -> None:
    log, sent = Log(), Sent()
    partition = partition_of(state)
    partition.take([log.append(*value_of(1, pour(), customer(1)))])
    assert partition.told is None
    assert partition.publish(cast("Producer", sent)) == 1
    partition.take([log.append(*value_of(2, pour(), customer(1)))])
    partition.publish(cast("Producer", sent))
    assert partition.told is None
    partition.publish(cast("Producer", sent))
    assert partition.told == 2


def test_what_did_not_arrive_is_published_by_the_next_one(state: PartitionState) -> None:
    log, sent = Log(), Sent()
    partition = partition_of(state)
    partition.publish(cast("Producer", sent))
    sent.broken = True
    partition.take([log.append(*value_of(1, pour(), customer(1)))])
    with pytest.raises(SinkUnavailable):
        partition.publish(cast("Producer", sent))
    again = Sent()
    assert partition_of(state).publish(cast("Producer", again)) == 1
    assert partition_of(state).publish(cast("Producer", again)) == 0
    state.tick(TODAY + 1)
    assert partition_of(state).sweep(cast("Producer", again)) == 1
    assert partition_of(state).sweep(cast("Producer", again)) == 0
