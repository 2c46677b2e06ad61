"""SAMPLEs as they come: dated, summed up by the minute, written, and summarised for the cloud, each hour once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from firmware_bridge.messages import Channel, Hello, NozzleInfo, Sample, Series
from gateway.aggregates import HOUR_MS, MINUTE_MS, Aggregate, Sensor
from gateway.clock import Clock
from gateway.judge import Limits
from gateway.sample_file import SampleFile
from gateway.samples import MAX_RAWS, Samples
from gateway.store import Settings, Store, open_store
from gateway.summaries import Summaries
from heat.events import Sampled
from tests.gateway.conftest import NOON_MS, HandClock

MIB = 1024 * 1024
FLOW, LEVEL = Sensor(Channel.FLOW, 1), Sensor(Channel.LEVEL, 1)


def hello(boot: int = 3, uptime_ms: int = 0) -> Hello:
    return Hello(
        dispenser="bar-1",
        firmware="1.0.0",
        versions=(1, 2),
        nozzles=(NozzleInfo(1, "table-red", 500),),
        generation=7,
        lowest=1,
        next=1,
        nonce=bytes(8),
        boot=boot,
        uptime_ms=uptime_ms,
    )


def sample(
    uptime_ms: int, *values: int, channel: int = Channel.LEVEL, nozzle: int = 1, period_ms: int = 1_000
) -> Sample:
    return Sample(uptime_ms=uptime_ms, period_ms=period_ms, series=(Series(channel, nozzle, values),))


@pytest.fixture
def samples(tmp_path: Path, clock: Clock) -> Iterator[Samples]:
    made = Samples(SampleFile(tmp_path / "samples.db", 8 * MIB, "boot-a"), clock, Limits())
    yield made
    made.close()


async def minutes(samples: Samples) -> dict[int, dict[Sensor, Aggregate]]:
    """What is kept, by the minute's beginning."""
    await samples.turn()
    rows = await samples.in_thread(lambda: samples.file.minutes("bar-1", 0, 2**53, 1_000))
    return {row.at_ms: row.sums for row in rows}


async def test_values_go_to_the_minutes_in_which_they_were_read(samples: Samples, hand_clock: HandClock) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS + 4_500, 10 * MINUTE_MS + 4_500
    samples.greet(hello(uptime_ms=4_500))
    samples.take("bar-1", sample(4_500, *range(10)))
    hand_clock.go_on(2 * MINUTE_MS)
    kept = await minutes(samples)
    assert kept[NOON_MS - MINUTE_MS] == {LEVEL: Aggregate(5, 10, 0, 4, 4)}
    assert kept[NOON_MS] == {LEVEL: Aggregate(5, 35, 5, 9, 9)}
    assert samples.counters == {"kept": 1}


async def test_a_minute_is_written_once_all_that_belongs_to_it_may_be_there(
    samples: Samples, hand_clock: HandClock
) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS + 30_000, 30_000
    samples.greet(hello(uptime_ms=30_000))
    samples.take("bar-1", sample(30_000, 500))
    hand_clock.go_on(40_000)
    assert await minutes(samples) == {}
    samples.take("bar-1", sample(55_000, 498))
    hand_clock.go_on(15_000)
    assert await minutes(samples) == {NOON_MS: {LEVEL: Aggregate(2, 998, 498, 500, 498)}}
    samples.take("bar-1", sample(59_000, 490))
    assert samples.counters["late"] == 1


async def test_what_waited_on_the_line_is_dated_by_what_did_not(samples: Samples, hand_clock: HandClock) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, 60_000
    samples.greet(hello(uptime_ms=1_000))
    hand_clock.go_on(30_000)
    samples.take("bar-1", sample(21_000, 500))  # ten seconds late
    assert samples.readings["bar-1"].at_ms == 80_003, "and the two clocks may have slipped a little"
    hand_clock.go_on(1_000)
    samples.take("bar-1", sample(33_000, 500))  # a second ahead of what HELLO made one believe
    assert samples.readings["bar-1"].at_ms == 91_000


@pytest.mark.parametrize(
    ("begun_ms", "astray_ms", "redated"),
    [
        pytest.param(1_000, 1_000 + 3_600_000, 1, id="one uptime an hour ahead"),
        pytest.param(4_000_000, 400_000, 1, id="one an hour behind"),
        pytest.param(2**32 - 1_000, None, 1, id="a 32-bit counter wraps"),
        pytest.param(1_000, None, 0, id="none is wrong"),
    ],
)
async def test_a_wrong_uptime_is_made_good_by_the_next_one(
    samples: Samples, hand_clock: HandClock, begun_ms: int, astray_ms: int | None, redated: int
) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, 60_000
    samples.greet(hello(uptime_ms=begun_ms))
    if astray_ms is not None:
        samples.take("bar-1", sample(astray_ms, 500))
    for second in range(1, 100):
        hand_clock.go_on(1_000)
        samples.take("bar-1", sample((begun_ms + 1_000 * second) % 2**32, 500))
        assert hand_clock.boot_ms - samples.readings["bar-1"].at_ms < 1_000
        await samples.turn()
    assert samples.counters["redated"] == redated
    assert samples.counters["late"] == 0


def test_a_hello_with_a_wrong_uptime_is_made_good_too(samples: Samples, hand_clock: HandClock) -> None:
    samples.greet(hello(uptime_ms=3_600_000))
    hand_clock.go_on(1_000)
    samples.take("bar-1", sample(5_000, 500))
    assert samples.readings["bar-1"].at_ms == hand_clock.boot_ms


def test_what_waited_for_minutes_on_the_line_is_late_and_not_dated_anew(
    samples: Samples, hand_clock: HandClock
) -> None:
    samples.greet(hello(uptime_ms=1_000))
    hand_clock.go_on(180_000)
    samples.take("bar-1", sample(11_000, 500))
    assert hand_clock.boot_ms - samples.readings["bar-1"].at_ms == pytest.approx(170_000, abs=50)
    assert "redated" not in samples.counters


async def test_a_sample_that_comes_twice_counts_once(samples: Samples, hand_clock: HandClock) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, 60_000
    samples.greet(hello(uptime_ms=1_000))
    for _ in range(2):
        samples.take("bar-1", sample(1_000, 70, channel=Channel.FLOW))
    samples.take("bar-1", sample(1_000, 500))  # another of the same moment
    hand_clock.go_on(2 * MINUTE_MS)
    assert (await minutes(samples))[NOON_MS] == {
        FLOW: Aggregate(1, 70, 70, 70, 70),
        LEVEL: Aggregate(1, 500, 500, 500, 500),
    }
    assert samples.counters == {"kept": 2, "repeated": 1}


@pytest.mark.parametrize(
    "bad",
    [
        sample(1_000, 5, channel=9),
        sample(1_000, 5, nozzle=2),
        sample(1_000, 2**31),
        sample(1_000, 3, -1, 3, channel=Channel.FLOW),
        sample(1_000, 1, 2, 3, period_ms=3_600_000),
        Sample(uptime_ms=1_000, period_ms=1_000, series=()),
    ],
)
def test_what_makes_no_sense_is_counted_and_dropped(samples: Samples, bad: Sample) -> None:
    samples.greet(hello(uptime_ms=1_000))
    samples.take("bar-1", bad)
    assert samples.counters == {"implausible": 1}
    assert samples.readings["bar-1"].values == {}


def test_no_more_waits_than_is_allowed(samples: Samples) -> None:
    samples.greet(hello(uptime_ms=1_000))
    for number in range(MAX_RAWS + 3):
        samples.take("bar-1", sample(1_000 + number, 5))
    assert (samples.counters["dropped"], samples.counters["kept"]) == (3, MAX_RAWS + 3)


async def test_a_restart_knows_what_was_not_right_before(tmp_path: Path, clock: Clock, hand_clock: HandClock) -> None:
    samples = Samples(SampleFile(tmp_path / "samples.db", 8 * MIB, "boot-a"), clock, Limits())
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, 0
    samples.greet(hello(uptime_ms=0))
    for second in range(1, 8 * 60):
        hand_clock.go_on(1_000)
        samples.take("bar-1", sample(second * 1_000, 1, channel=Channel.DOOR, nozzle=0))
    hand_clock.go_on(30_000)
    await samples.turn()
    assert [finding.code for finding in samples.findings["bar-1"]] == ["door_open"]
    samples.close()
    again = Samples(SampleFile(tmp_path / "samples.db", 8 * MIB, "boot-a"), clock, Limits())
    again.greet(hello(uptime_ms=8 * MINUTE_MS))
    again.take("bar-1", sample(9 * MINUTE_MS, 1, channel=Channel.DOOR, nozzle=0))
    hand_clock.go_on(2 * MINUTE_MS)
    await again.turn()
    [finding] = again.findings["bar-1"]
    assert (finding.code, finding.since_ms) == ("door_open", NOON_MS + 4 * MINUTE_MS)
    again.close()


async def test_what_a_meter_was_learned_to_be_outlives_a_restart_and_the_minutes(
    tmp_path: Path, clock: Clock, hand_clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.samples.RECALLED_MINUTES", 0)

    def begin() -> Samples:
        begun = Samples(SampleFile(tmp_path / "samples.db", 8 * MIB, "boot-a"), clock, Limits())
        begun.greet(hello(uptime_ms=hand_clock.boot_ms))
        return begun

    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, HOUR_MS
    samples = begin()
    await feed(samples, hand_clock, 2)
    samples._judge._dispensers["bar-1"].nozzles[1].pulses_per_ml = 87.0
    await feed(samples, hand_clock, 2)
    samples.close()
    begin().close()  # nothing is heard of the dispenser
    samples = begin()
    await feed(samples, hand_clock, 2)
    assert samples._judge._dispensers["bar-1"].nozzles[1].pulses_per_ml == 87.0
    samples.set_anew("bar-1", 1)
    await feed(samples, hand_clock, 2)
    samples.close()
    samples = begin()
    await feed(samples, hand_clock, 2)
    assert samples._judge._dispensers["bar-1"].nozzles[1].pulses_per_ml is None
    samples.close()


# -- summaries ------------------------------------------------------------------------------------------------------


@pytest.fixture
def summaries(samples: Samples, store: Store, clock: Clock, boot: int) -> Summaries:
    return Summaries(samples, store, clock, boot, ("plaza", "south"), lambda: None)


Rows = Callable[[str], list[tuple[object, ...]]]


def summed(rows: Rows) -> list[tuple[int, str, Sampled]]:
    """(hour's end, clock, event) of every summary."""
    found = rows("SELECT time_ms, clock, data FROM events WHERE type = 'picante.sampled.v1' ORDER BY position")
    return [(int(at), str(clock), msgspec.json.decode(bytes(data), type=Sampled)) for at, clock, data in found]  # type: ignore[call-overload]


async def feed(samples: Samples, hand_clock: HandClock, minutes: int) -> None:
    """A reading a minute."""
    for _ in range(minutes):
        hand_clock.go_on(MINUTE_MS)
        samples.take("bar-1", sample(hand_clock.boot_ms, 500))
    hand_clock.go_on(3 * MINUTE_MS)
    await samples.turn()


async def test_each_hour_goes_up_once_whoever_restarts(
    samples: Samples, summaries: Summaries, store: Store, clock: Clock, hand_clock: HandClock, rows: Rows
) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, HOUR_MS
    samples.greet(hello(uptime_ms=HOUR_MS))
    await feed(samples, hand_clock, 130)
    assert [await summaries.turn() for _ in range(3)] == [True, True, False]
    again = Summaries(samples, store, clock, 1, ("plaza", "south"), lambda: None)
    assert not await again.turn()
    [first, second] = summed(rows)
    assert (first[0], second[0]) == (NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS)
    assert first[2].sensors[0].n == 59, "the first minute had none"
    event = second[2]
    assert (event.dispenser, event.seconds, event.store, event.channel) == ("bar-1", 3600, "plaza", "gateway")
    [level] = event.sensors
    assert (level.sensor, level.nozzle, level.n, level.sum, level.least, level.last) == (
        "level",
        1,
        60,
        30_000,
        500,
        500,
    )
    assert summaries.made == 2


async def test_hours_wait_until_the_time_is_known_and_are_made_up_for(
    samples: Samples, summaries: Summaries, hand_clock: HandClock, rows: Rows
) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = 0, HOUR_MS
    samples.greet(hello(uptime_ms=HOUR_MS))
    await feed(samples, hand_clock, 125)
    assert not await summaries.turn()
    hand_clock.wall_ms = NOON_MS + 130 * MINUTE_MS
    await samples.turn()
    while await summaries.turn():
        pass
    assert [end_ms for end_ms, _, _ in summed(rows)] == [NOON_MS + HOUR_MS, NOON_MS + 2 * HOUR_MS]


async def test_an_hour_that_lies_ahead_does_not_stop_those_that_come(
    samples: Samples, summaries: Summaries, store: Store, hand_clock: HandClock, rows: Rows
) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, HOUR_MS
    store.write(lambda tx: tx.set_meta("summarised_hour", str(2 * NOON_MS // HOUR_MS))).result(20)
    samples.greet(hello(uptime_ms=HOUR_MS))
    await feed(samples, hand_clock, 65)
    assert await summaries.turn()
    assert [end_ms for end_ms, _, _ in summed(rows)] == [NOON_MS + HOUR_MS]


async def test_a_store_that_fills_up_is_left_to_events(
    samples: Samples, clock: Clock, boot: int, tmp_path: Path, hand_clock: HandClock
) -> None:
    small = open_store(Settings(tmp_path / "small", "gw-1", quota_bytes=512 * 1024, ballast_bytes=0))
    summaries = Summaries(samples, small, clock, boot, ("plaza", "south"), lambda: None)
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, HOUR_MS
    samples.greet(hello(uptime_ms=HOUR_MS))
    await feed(samples, hand_clock, 65)
    small.write(lambda tx: tx.set_meta("filler", "x" * 260_000)).result(20)
    assert not await summaries.turn()
    small.write(lambda tx: tx.set_meta("filler", "")).result(20)
    assert await summaries.turn()
    small.close()


async def test_a_nozzle_that_was_calibrated_is_learned_anew(samples: Samples, hand_clock: HandClock) -> None:
    hand_clock.wall_ms, hand_clock.boot_ms = NOON_MS, HOUR_MS
    samples.greet(hello(uptime_ms=HOUR_MS))
    await feed(samples, hand_clock, 5)
    watch = samples._judge._dispensers["bar-1"].nozzles[1]
    watch.pulses_per_ml = 87.0
    samples.set_anew("bar-1", 1)
    samples.set_anew("bar-1", 9)
    await samples.turn()
    assert watch.pulses_per_ml is None
