"""What the firmware makes of its readings: one a second, ten while something flows, and nothing that does not fit."""

from __future__ import annotations

from itertools import pairwise

from firmware_bridge.codec import encode_message
from firmware_bridge.framing import MAX_FRAME_BYTES
from firmware_bridge.messages import Channel, Sample, Series
from hw_sim.plant import NozzleReadings, Readings
from hw_sim.sampler import Sampler


def reading(now_ms: int, pulses: int = 0, *, door: bool = False, nozzles: int = 1, level: float = 700.0) -> Readings:
    """What the sensors say."""
    each = tuple(NozzleReadings(number, level, pulses, 0) for number in range(1, nozzles + 1))
    return Readings(now_ms, 20.31, door, False, each)


def series(sample: Sample, channel: Channel, nozzle: int = 0) -> tuple[int, ...]:
    """The values of one sensor."""
    return next(one.values for one in sample.series if (one.channel, one.nozzle) == (channel, nozzle))


def play(
    sampler: Sampler, until_ms: int, pulses: dict[int, int] | None = None, *, looked_at: bool = False
) -> list[Sample]:
    """Read whenever it is due; `pulses` is how many there are from a time on."""
    told: list[Sample] = []
    while (now_ms := sampler.due_ms or 1) <= until_ms:
        so_far = [count for at_ms, count in (pulses or {}).items() if at_ms <= now_ms]
        told += sampler.read(reading(now_ms, so_far[-1] if so_far else 0), looked_at=looked_at)
    return told


def test_an_idle_dispenser_tells_ten_readings_every_ten_seconds() -> None:
    told = play(Sampler(10), 30_000)
    assert [len(series(sample, Channel.LEVEL, 1)) for sample in told] == [10, 10, 10]
    assert {sample.period_ms for sample in told} == {1_000}
    assert [sample.uptime_ms for sample in told] == [9_001, 19_001, 29_001]
    assert told[0].series[0] == Series(Channel.TEMPERATURE, 0, (2031,) * 10)


def test_it_reads_often_while_something_flows_and_loses_no_pulse() -> None:
    told = play(Sampler(10), 60_000, {20_500: 40, 20_900: 90, 22_000: 400})
    assert {sample.period_ms for sample in told} == {100, 1_000}
    assert sum(sum(series(sample, Channel.FLOW, 1)) for sample in told) == 400
    fast = [sample for sample in told if sample.period_ms == 100]
    assert 3 <= len(fast) <= 8, "it goes on for three seconds, and then rests again"
    assert max(len(series(sample, Channel.FLOW, 1)) for sample in fast) == 10


def test_values_lie_a_period_apart_whatever_the_pace() -> None:
    told = play(Sampler(10), 40_000, {9_000: 10, 15_000: 30})
    times: list[int] = []
    for sample in told:
        count = len(series(sample, Channel.DOOR))
        times += [sample.uptime_ms - sample.period_ms * back for back in range(count - 1, -1, -1)]
    assert times == sorted(times)
    assert {b - a for a, b in pairwise(times)} == {100, 1_000}, "none is missing and none is told twice"


def test_a_door_that_opens_is_told_at_once() -> None:
    sampler = Sampler(10)
    assert not play(sampler, 3_500)
    [told] = sampler.read(reading(sampler.due_ms, door=True))
    assert series(told, Channel.DOOR)[-2:] == (0, 1)


def test_a_reading_that_came_too_late_ends_the_sample_before_it() -> None:
    sampler = Sampler(10)
    play(sampler, 3_500)
    [told] = sampler.read(reading(9_000))
    assert (told.uptime_ms, len(series(told, Channel.DOOR))) == (3_001, 4)
    assert sampler.due_ms == 10_000


def test_the_fullest_sample_fits_into_a_frame() -> None:
    sampler, told, pulses = Sampler(10), [], 0
    for number in range(40):
        pulses += 300
        told += sampler.read(reading(sampler.due_ms or 1, pulses, nozzles=12, level=65_000.0 + number))
    assert max(len(series(sample, Channel.FLOW, 12)) for sample in told) == 10
    assert max(len(encode_message(sample, 2)) for sample in told) < MAX_FRAME_BYTES


def test_it_reads_often_while_somebody_looks() -> None:
    sampler = Sampler(10)
    play(sampler, 5_000)
    told = play(sampler, 8_000, looked_at=True)
    assert [(sample.period_ms, len(series(sample, Channel.LEVEL, 1))) for sample in told[1:]] == [(100, 10)] * 2
    told = play(sampler, 30_000)
    assert told[-1].period_ms == 1_000, "and rests again"
