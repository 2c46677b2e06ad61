"""What the judgement tells of meters, levels, cabinets: against the simulator's truth, and rule by rule."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from benchmarks.sensors import FAULTS, Fault, run
from gateway.aggregates import DOOR, FLOW, HOUR_MS, LEVEL, MINUTE_MS, TEMPERATURE, TRAY, Aggregate, Sensor, Sums
from gateway.judge import Judge, Limits
from gateway.plausibility import Finding, NozzleWatch

LEAK, DRIFT = "leak", "drift"


def constant(value: int, n: int = 60) -> Aggregate:
    return Aggregate(n, n * value, value, value, value)


class Bottle:
    """A nozzle whose minutes a test makes: levels with normal noise, a meter of 100 pulses a ml."""

    def __init__(self, seed: int = 1, noise_ml: float = 2.0) -> None:
        self.watch = NozzleWatch(1)
        self.ml = 700.0
        self.pulses_per_ml = 100.0
        self.minute = 0
        self._rng = random.Random(seed)
        self._noise_ml = noise_ml

    def go_on(
        self,
        minutes: int,
        leak_ml: float = 0.0,
        pour_ml: float = 0.0,
        every: int = 5,
        drip_ml: float = 0.0,
        covered_ms: int = MINUTE_MS,
    ) -> None:
        """Minutes pass; a pour every so many of them. What drips falls all minute long."""
        for _ in range(minutes):
            self.minute += 1
            flows = pour_ml if pour_ml and self.minute % every == 0 else 0.0
            self.ml -= leak_ml + flows
            if self.ml < 60:
                self.ml += 600
            values = [round(self._rng.gauss(self.ml - drip_ml * n / 30, self._noise_ml)) for n in range(30)]
            self.ml -= drip_ml
            flow = Aggregate(30, round(flows * self.pulses_per_ml), 0, round(flows * self.pulses_per_ml), 0)
            self.watch.minute(self.minute * MINUTE_MS, covered_ms, flow, Aggregate.of(values))

    def learned(self) -> Bottle:
        """After a day's use."""
        self.go_on(300, pour_ml=10.0)
        assert self.watch.pulses_per_ml == pytest.approx(100, rel=0.01)
        assert self.codes() == set()
        return self

    def codes(self) -> set[str]:
        return {finding.code for finding in self.watch.findings()}


@pytest.mark.parametrize("fault", [FAULTS[0], FAULTS[1], FAULTS[4], FAULTS[7]], ids=lambda fault: fault.name)
def test_faults_of_the_simulated_truth_are_found_and_nothing_else(fault: Fault) -> None:
    outcome = run(fault, seed=1, days=2, sensor="hydrostatic", fault_day=1.5)
    assert outcome.false == Counter()
    assert (outcome.found_h is not None) == (fault.code is not None)
    if outcome.found_h is not None:
        assert outcome.found_h < 4


def test_a_leak_of_the_night_is_found_by_the_morning_and_forgotten_when_it_is_mended() -> None:
    bottle = Bottle().learned()
    bottle.go_on(8 * 60, leak_ml=0.05)
    [leak] = bottle.watch.findings()
    assert leak.code == LEAK
    assert leak.amount == pytest.approx(3.0, rel=0.3)
    bottle.go_on(24 * 60)
    assert bottle.codes() == set()


def test_a_leak_that_somebody_mended_is_told_again_only_by_what_is_lost_from_then_on() -> None:
    bottle = Bottle().learned()
    bottle.go_on(3, drip_ml=90.0)
    assert bottle.codes() == {LEAK}
    bottle.watch.forget_leak()
    assert bottle.codes() == set()
    bottle.go_on(60)
    assert bottle.codes() == set()
    bottle.ml = 700.0
    bottle.go_on(4, drip_ml=90.0)
    assert bottle.codes() == {LEAK}


def test_what_a_meter_misses_while_nobody_pours_is_a_leak_and_no_drift() -> None:
    bottle = Bottle(noise_ml=1.0).learned()
    bottle.go_on(8 * 60)  # a night without a leak: a slope takes long to change
    told: set[str] = set()
    for _ in range(60):
        bottle.go_on(2, leak_ml=0.5, pour_ml=10.0)
        told |= bottle.codes()
    assert told == {LEAK}


@pytest.mark.parametrize("noise_ml", [1.0, 3.75])
@pytest.mark.parametrize(
    ("ml_h", "pour_ml", "within"),
    [
        *((36, 0.0, 90), (600, 0.0, 12), (1_500, 0.0, 12), (1_500, 10.0, 12)),
        *((rate, pour_ml, 6) for rate in (2_400, 3_000) for pour_ml in (0.0, 10.0)),
        *((rate, pour_ml, 3) for rate in (3_600, 4_500, 7_200, 12_000) for pour_ml in (0.0, 10.0)),
    ],
)
def test_a_leak_is_told_before_the_bottle_is_empty_however_fast(
    ml_h: float, within: int, pour_ml: float, noise_ml: float
) -> None:
    bottle = Bottle(noise_ml=noise_ml).learned()
    bottle.go_on(6 * 60)  # a calm night weighs nothing against it
    bottle.ml = 700.0
    bottle.go_on(2)
    taken = 0
    while not bottle.codes() and taken < within:
        bottle.go_on(1, drip_ml=ml_h / 60, pour_ml=pour_ml, every=3)
        taken += 1
    assert bottle.codes() == {LEAK}
    if ml_h >= 3_000:
        [leak] = bottle.watch.findings()
        assert leak.amount == pytest.approx(ml_h, rel=0.4)


def test_what_falls_for_a_minute_is_no_fast_leak() -> None:
    bottle = Bottle(noise_ml=1.0).learned()
    for _ in range(5):
        bottle.ml = 700.0
        bottle.go_on(10)
        bottle.go_on(1, drip_ml=300.0)  # a bottle is lifted slowly, and another one set down
        bottle.go_on(10)
        assert bottle.codes() == set()
    bottle.ml = 700.0
    for _ in range(5):  # and steps, whatever their number
        bottle.ml -= 100.0
        bottle.go_on(1)
    assert bottle.codes() == set()


def test_steps_late_in_each_minute_are_hands_at_the_bottle() -> None:
    bottle = Bottle(noise_ml=1.0).learned()
    bottle.ml = 700.0
    bottle.go_on(10)
    for _ in range(4):
        bottle.minute += 1
        values = [round(bottle.ml) if n < 26 else round(bottle.ml) - 120 for n in range(30)]
        bottle.watch.minute(bottle.minute * MINUTE_MS, MINUTE_MS, constant(0, 30), Aggregate.of(values))
        bottle.ml -= 120.0
        assert bottle.codes() == set()


def test_what_was_poured_is_not_lost() -> None:
    bottle = Bottle(noise_ml=1.0).learned()
    for _ in range(5):
        bottle.ml = 700.0
        for _ in range(6):
            bottle.ml -= 90.0  # by a party, all minute long
            values = [round(bottle.ml + 90.0 * (1 - second / 30)) for second in range(30)]
            bottle.minute += 1
            bottle.watch.minute(
                bottle.minute * MINUTE_MS, MINUTE_MS, Aggregate(30, 9_000, 300, 300, 300), Aggregate.of(values)
            )
    assert LEAK not in bottle.codes()


def test_what_left_while_half_a_minute_was_shed_is_no_leak() -> None:
    bottle = Bottle(noise_ml=1.0).learned()
    bottle.ml = 700.0
    bottle.go_on(30)
    for _ in range(10):
        bottle.ml -= 30.0  # poured, and told in what was shed
        bottle.go_on(1, covered_ms=30_000)
        bottle.go_on(5)
    assert bottle.codes() == set()


def test_a_meter_that_was_far_off_for_long_is_right_again_within_a_bottle() -> None:
    bottle = Bottle().learned()
    bottle.pulses_per_ml = 60.0
    bottle.go_on(2_000, pour_ml=10.0)
    assert bottle.codes() == {DRIFT}
    bottle.pulses_per_ml = 100.0
    bottle.go_on(500, pour_ml=10.0)
    assert bottle.codes() == set()


@pytest.mark.parametrize("share", [0.9, 0.94, 1.06, 1.1])
def test_a_meter_that_changes_is_found_within_a_bottle(share: float) -> None:
    bottle = Bottle().learned()
    bottle.pulses_per_ml *= share
    bottle.go_on(300, pour_ml=10.0)
    [drift] = bottle.watch.findings()
    assert drift.code == DRIFT
    assert drift.amount == pytest.approx(1 / share - 1, abs=0.02)
    bottle.watch.forget_meter()
    bottle.go_on(300, pour_ml=10.0)
    assert bottle.codes() == set(), "what was learned anew is right"


def test_a_bottle_is_changed_in_any_way_and_nothing_is_told() -> None:
    bottle = Bottle().learned()
    for level_ml in (700.0, 300.0, 720.0, 60.0, 740.0):
        bottle.ml = level_ml
        bottle.go_on(60, pour_ml=10.0)
        assert bottle.codes() == set()


def test_missing_readings_are_no_fault() -> None:
    bottle = Bottle().learned()
    for _ in range(10):
        bottle.ml -= 40.0  # poured while the link was down
        bottle.minute += 30
        bottle.go_on(20)
        bottle.watch.minute((bottle.minute + 1) * MINUTE_MS, 20_000, constant(0), constant(100))  # 40 s were shed
        bottle.minute += 1
        bottle.ml = max(bottle.ml, 200.0)
    assert bottle.codes() == set()


def test_a_sensor_that_loses_its_noise_is_stuck_until_it_moves() -> None:
    bottle = Bottle().learned()
    for minute in range(20):
        bottle.watch.minute((bottle.minute + 1 + minute) * MINUTE_MS, MINUTE_MS, constant(0), constant(412))
    assert bottle.codes() == {"stuck_level"}
    bottle.minute += 20
    bottle.go_on(5)
    assert bottle.codes() == set()


def test_a_sensor_without_noise_is_stuck_only_if_something_flows_past_it() -> None:
    watch = NozzleWatch(1)
    for minute in range(600):
        watch.minute(minute * MINUTE_MS, MINUTE_MS, constant(0), constant(412))
    assert watch.findings() == []
    for minute in range(600, 610):
        watch.minute(minute * MINUTE_MS, MINUTE_MS, Aggregate(60, 1000, 0, 200, 0), constant(412))
    assert [finding.code for finding in watch.findings()] == ["stuck_level"]
    watch.minute(610 * MINUTE_MS, MINUTE_MS, constant(0), constant(380))
    assert watch.findings() == []


# -- the cabinet ----------------------------------------------------------------------------------------------------


class Cabinet:
    """A dispenser without bottles."""

    def __init__(self) -> None:
        self.judge = Judge(Limits(5.0, 30.0))
        self.minute = 0

    def say(self, channel: int, *values: Aggregate) -> list[Finding]:
        """Minutes of one sensor; what is told then."""
        for value in values:
            self.minute += 1
            sums: Sums = {Sensor(channel, 0): value}
            self.judge.minute("bar-1", self.minute * MINUTE_MS, MINUTE_MS, sums)
        return self.judge.findings().get("bar-1", [])


def test_a_cabinet_is_told_of_when_it_stays_too_warm_and_does_not_flap() -> None:
    cabinet = Cabinet()
    assert cabinet.say(TEMPERATURE, *[constant(3010)] * 9, constant(2990), *[constant(3010)] * 9) == []
    [finding] = cabinet.say(TEMPERATURE, *[constant(3040)] * 10)
    assert (finding.code, finding.amount) == ("too_warm", 3040)
    assert len(cabinet.say(TEMPERATURE, *[constant(2980)] * 60)) == 1, "half a degree below is not over yet"
    assert cabinet.say(TEMPERATURE, *[constant(2940)] * 10) == []
    [finding] = cabinet.say(TEMPERATURE, *[constant(-100)] * 10)
    assert finding.code == "too_cold"


def test_a_door_is_told_of_after_five_minutes_and_no_more_when_it_shuts() -> None:
    cabinet = Cabinet()
    half = Aggregate(60, 30, 0, 1, 0)
    assert cabinet.say(DOOR, *[constant(1)] * 4, half, *[constant(1)] * 4) == []
    [finding] = cabinet.say(DOOR, constant(1))
    assert finding.code == "door_open"
    assert cabinet.say(DOOR, half) == []


def test_a_full_tray_is_told_of_until_it_is_emptied() -> None:
    cabinet = Cabinet()
    assert cabinet.say(TRAY, constant(1), constant(0), constant(1)) == []
    [finding] = cabinet.say(TRAY, constant(1))
    assert finding.code == "tray_full"
    assert len(cabinet.say(TRAY, constant(0), constant(1), constant(0))) == 1
    assert cabinet.say(TRAY, constant(0)) == []


def test_a_thermometer_that_had_noise_and_lost_it_is_stuck() -> None:
    cabinet = Cabinet()
    cabinet.say(TEMPERATURE, *[Aggregate(60, 120_300, 1994, 2013, 2006)] * 15)
    assert cabinet.say(TEMPERATURE, *[constant(2006)] * 59) == []
    [finding] = cabinet.say(TEMPERATURE, *[constant(2006)] * 2)
    assert (finding.code, finding.amount) == ("stuck_thermometer", 2006)


def test_the_judge_sees_no_more_nozzles_than_a_dispenser_can_have() -> None:
    judge = Judge(Limits())
    judge.minute("bar-1", 0, MINUTE_MS, {Sensor(c, n): constant(9) for c in (FLOW, LEVEL) for n in range(200)})
    assert len(judge._dispensers["bar-1"].nozzles) == 12


def busy(judge: Judge, dispenser: str, hours: range) -> None:
    """Readings of a bottle from which 30 ml an hour flow."""
    sums: Sums = {Sensor(FLOW, 1): Aggregate(60, 50, 0, 50, 0), Sensor(LEVEL, 1): Aggregate(60, 18_000, 299, 301, 300)}
    for minute in range(60 * hours.start, 60 * hours.stop):
        judge.minute(dispenser, minute * MINUTE_MS, MINUTE_MS, sums)


def test_who_is_away_is_not_foretold_and_takes_nothing_from_the_others() -> None:
    judge = Judge(Limits())
    busy(judge, "bar-1", range(80))
    for now_h in (81, 129, 140, 200):
        busy(judge, "bar-2", range(now_h - 12, now_h))
        assert set(judge.forecasts(now_h * HOUR_MS)) == (
            {("bar-1", 1), ("bar-2", 1)} if now_h == 81 else {("bar-2", 1)}
        )
    busy(judge, "bar-1", range(200, 206))
    assert ("bar-1", 1) in judge.forecasts(206 * HOUR_MS)


def test_one_that_cannot_be_judged_does_not_stop_the_others(caplog: pytest.LogCaptureFixture) -> None:
    judge = Judge(Limits())
    for hours in (range(10), range(10, 20)):
        busy(judge, "bar-1", hours)
        busy(judge, "bar-2", hours)
        judge._dispensers["bar-1"].levels_ml[1] = "full"  # type: ignore[assignment]
        assert set(judge.forecasts(hours.stop * HOUR_MS)) == {("bar-2", 1)}
    judge._dispensers["bar-2"].usage.clear()
    busy(judge, "bar-2", range(20, 26))
    assert set(judge.forecasts(26 * HOUR_MS)) == {("bar-2", 1)}, "begun anew"
    assert len(caplog.records) == 2, "told once of each"


def test_what_was_learned_of_a_dispenser_that_is_away_is_not_forgotten() -> None:
    judge = Judge(Limits())
    judge.recall({("bar-1", 1): 91.0, ("bar-9", 2): 80.0})
    busy(judge, "bar-1", range(1))
    assert judge.learned() == {("bar-1", 1): 91.0, ("bar-9", 2): 80.0}
    judge.forget_meter("bar-1", 1)
    judge.forget_meter("bar-9", 2)
    assert judge.learned() == {}
