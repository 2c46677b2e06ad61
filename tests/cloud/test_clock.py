"""The clock's ticks, on a broker that stamps them."""

from __future__ import annotations

import threading
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from cloud.clock import LONGEST_PAUSE_S, TIME, BrokerTime, Ticker, Told, begun, pause_s, read_clock
from cloud.kafka import Producer, read_to_end
from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from cloud_sync.published import ClockTick, publish, read_published
from cloud_sync.record import Consumed
from cloud_sync.topics import CLOCK, DAY_MS
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until

DAY = 20_783


def record(day: int | None, stamped_ms: int, value: bytes | None = None) -> Consumed:
    if day is not None:
        value = publish(str(day), ClockTick(day=day), "/cloud/a", f"clock:{day}", day * DAY_MS).value
    return Consumed(CLOCK.name, 0, 0, stamped_ms, b"", value, ())


def ticks(cluster: Cluster, topic: str) -> list[Consumed]:
    return [one for batch in read_to_end(cluster, topic) for one in batch if one.value is not None]


async def test_any_number_of_processes_and_starts_tick_a_day_once(
    kafka: KafkaServer | ServerElsewhere, topic: Callable[..., Awaitable[str]]
) -> None:
    cluster, name = Cluster(kafka.bootstrap), await topic(settings=CLOCK.settings)
    with Producer(cluster) as producer:
        [*_, now_ms] = [Ticker(cluster, source, name).tick(producer) for source in ("a", "b", "a")]
        # what somebody wrote whose clock is wrong is no day, and does not stand in the way of today's
        ahead = publish("99999", ClockTick(day=99_999), "/cloud/c", "clock:99999", 0)
        producer.send(replace(ahead, topic=name, timestamp_ms=99_999 * DAY_MS))
        producer.flush()
        Ticker(cluster, "a", name).tick(producer)
    found = ticks(cluster, name)
    assert [(one.key, read_published(one.value or b"")) for one in found[:-1]] == [
        (str(now_ms // DAY_MS).encode(), ClockTick(day=now_ms // DAY_MS))
    ]
    assert found[-1].timestamp_ms // DAY_MS == now_ms // DAY_MS, "the broker's time, not the writer's"


async def test_a_ticker_ends_at_once_when_it_is_told(
    kafka: KafkaServer | ServerElsewhere, topic: Callable[..., Awaitable[str]]
) -> None:
    cluster, name = Cluster(kafka.bootstrap), await topic(settings=CLOCK.settings)
    stop = threading.Event()
    thread = threading.Thread(target=Ticker(cluster, "a", name).work, args=(stop,))
    thread.start()
    try:
        wait_until(lambda: ticks(cluster, name), 10, "the first tick")
    finally:
        stop.set()
        thread.join(5)
    assert not thread.is_alive()


def test_the_latest_day_counts_and_none_that_was_ahead_of_its_stamp() -> None:
    noon_ms = DAY * DAY_MS + DAY_MS // 2
    assert read_clock([]).day is None
    assert read_clock([record(DAY, noon_ms), record(DAY - 1, noon_ms), record(None, noon_ms + 5)]).day == DAY
    told = read_clock([record(DAY, noon_ms), record(DAY + 1, noon_ms), record(None, noon_ms, b"{}")])
    assert (told.day, told.now_ms) == (DAY, noon_ms)


def test_a_broker_that_was_ahead_for_a_moment_stops_no_clock() -> None:
    noon_ms = DAY * DAY_MS + DAY_MS // 2
    far = record(DAY + 200, noon_ms + 200 * DAY_MS)
    assert read_clock([record(DAY, noon_ms), far, record(None, noon_ms + DAY_MS)]) == Told(noon_ms + DAY_MS, DAY)
    assert read_clock([record(DAY, noon_ms), far]).day == DAY + 200


@pytest.mark.parametrize(
    ("told", "here", "day"),
    [
        (None, DAY, DAY),
        (DAY - 1, DAY, DAY),
        (DAY, DAY, None),
        (DAY - 1, DAY - 1, DAY),
        (DAY - 1, DAY - 2, None),
        (DAY - 1, DAY - 200, None),
        (DAY - 1, DAY + 200, DAY),
    ],
)
def test_a_day_begins_when_the_broker_says_so_and_this_machine_sees_at_least_its_eve(
    told: int | None, here: int, day: int | None
) -> None:
    assert begun(Told(DAY * DAY_MS + 1, told), (here + 1) * DAY_MS - 1) == day


async def test_a_broker_days_ahead_of_this_machine_begins_no_day_and_that_is_said_once(
    kafka: KafkaServer | ServerElsewhere,
    topic: Callable[..., Awaitable[str]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cluster, name = Cluster(kafka.bootstrap), await topic(settings=CLOCK.settings)
    ticker = Ticker(cluster, "a", name)
    TIME.set(1.0)
    with Producer(cluster) as producer:
        with monkeypatch.context() as slow:
            slow.setattr(time, "time_ns", lambda: DAY * DAY_MS // 2 * 1_000_000)
            for _ in range(2):
                ticker.tick(producer)
        assert ticks(cluster, name) == []
        assert [one.message for one in caplog.records if one.name == "cloud.clock"] == [
            "the broker's clock and this machine's are days apart"
        ]
        assert TIME._value.get() == 1.0
        now_ms = ticker.tick(producer)
    assert len(ticks(cluster, name)) == 1
    assert TIME._value.get() == now_ms / 1000


@pytest.mark.parametrize(
    ("before_midnight_ms", "pause"), [(DAY_MS, LONGEST_PAUSE_S), (DAY_MS // 2, LONGEST_PAUSE_S), (2_000, 2.1)]
)
def test_it_looks_just_after_midnight(before_midnight_ms: int, pause: float) -> None:
    assert pause_s((DAY + 1) * DAY_MS - before_midnight_ms) == pytest.approx(pause)


async def test_the_brokers_time_is_asked_for_whatever_this_machines_clock_says(
    kafka: KafkaServer | ServerElsewhere, topic: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    name, real_ms = await topic(settings=CLOCK.settings), int(time.time() * 1000)
    monkeypatch.setattr(time, "time", lambda: 1.0)
    broker = BrokerTime(Cluster(kafka.bootstrap), name)
    first_ms = broker.now_ms()
    assert 0 <= first_ms - real_ms < DAY_MS
    later_s = time.monotonic() + 90
    with monkeypatch.context() as later:
        later.setattr(time, "monotonic", lambda: later_s)
        assert 90_000 <= broker.now_ms() - first_ms < 150_000, "it goes on without being asked for"
    assert len([one for batch in read_to_end(Cluster(kafka.bootstrap), name) for one in batch]) == 1


async def test_a_group_that_never_was_has_no_member(kafka: KafkaServer | ServerElsewhere) -> None:
    assert Admin(Cluster(kafka.bootstrap)).members("picante-test-none") == 0
