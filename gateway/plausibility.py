"""Do a nozzle's meter and its level sensor tell the same story? Minutes of readings -> what is not right. Pure.

A minute in which nothing flowed gives an anchor: the mean level, known to about its noise over the root of the number
of values. What lies between two anchors is a balance: what has left the bottle against what the meter counted.

- Leak: the level falls while nothing flows. The slopes of the quiet stretches are pooled, each weighed by its own
  error, and forgotten over hours: the weighted least-squares slope, told when its standard error is small for it.
- Fast leak: within each of a few minutes the level falls evenly by more than was poured. It has no anchors: a minute in
  which so much is lost is no steady one. A bottle that is changed for a less full one is a step, in one minute.
- Drift: millilitres by level for a pulse, against what they were when the meter was learned, summed up by a two-sided
  CUSUM (E. S. Page, Continuous inspection schemes, Biometrika 41, 1954): small changes that stay are found, not noise.
- Stuck: a level that does not move though much has flowed, or that lost the noise it had.

Where readings are missing nobody knows what flowed: the balance begins anew. To begin, a warning takes more than to
stay.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Literal

from gateway.aggregates import MINUTE_MS, Aggregate

COVERED_MS = 50_000
"""ms of a minute that its values must account for, or pulses may be missing."""
ANCHOR_VALUES = 5
NOMINAL_PULSES_PER_ML = 100.0
"""What a meter gives by its data sheet; good to a few percent, until it is learned."""
NOISE_FLOOR_ML = 0.3
"""ml; levels are told in whole ml, and noise may be too small to round them evenly."""
REFILL_ML = 25.0
"""ml by which a level rises when a bottle is changed; of a smaller rise, it is eight times the noise."""
SWAP_ML = 60.0
"""ml that are gone from one anchor to the next without a pulse: the new bottle is less full than the old one was."""
UNSTEADY_ML = 50
"""ml between the highest and the lowest value of a minute, above which a hand was at the bottle."""

PIECE_MINUTES = 60
"""Minutes after which a quiet stretch is counted, and another begun: a leak may begin in the midst of it."""
FORGET_MINUTES = 6 * 60.0
"""Minutes over which leak evidence fades to a third."""
LEAK_ML_H = 0.6
"""ml an hour; less is lost by drying, and by a sensor that warms up in the morning."""
LEAK_ML = 3.0
"""ml that must be gone in quiet stretches before it is told."""
LEAK_Z, LEAK_OVER_Z = 6.0, 2.0
"""Standard errors at which a leak is told, and below which it is over. It is looked at each minute of a year."""

FAST = ((60.0, 2), (25.0, 3), (12.0, 6))
"""ml beside what was poured that fall in each of so many minutes on end: a leak that is told at once."""
FAST_ML = min(ml for ml, _ in FAST)
FAST_EVEN = 0.2
"""Share of its range by which the mean of a minute that falls evenly may be off the middle."""

BLOCK_ML = 50.0
BLOCK_ERROR = 0.015
"""A balance is struck when so much has flowed, and so that its error is no larger a share."""
LEARN_ML = 300.0
"""ml over which a meter is learned: the noise of two anchors is 0.3 % of that."""
SLACK, ALARM = 0.02, 0.10
"""CUSUM: share that is forgiven at each balance, and the sum at which it is told. 5 % are found after 200 ml."""
DRIFT_OVER = 0.05
LEAK_SHARE = 0.5
"""Share of what the meter missed that fell while nothing flowed, from which on it is a leak and no drift."""

STUCK_ML = 40.0
"""ml that flow past a level that does not move: ten steps of an ultrasonic sensor."""
STUCK_MINUTES = 15
"""Minutes for which a sensor that had noise says the same: 900 values."""
NOISY_MINUTES = 10
"""Minutes with noise after which a sensor is known to have some."""
MOVES_AGAIN_MINUTES = 3


Code = Literal["leak", "drift", "stuck_level", "stuck_thermometer", "too_warm", "too_cold", "door_open", "tray_full"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not right."""

    code: Code
    nozzle: int
    since_ms: int
    """When it was found, by the times of the minutes."""
    amount: float = 0.0
    """What the code is about: ml an hour, a share, hundredths of a degree, minutes."""


@dataclass(slots=True)
class _Anchor:
    minute: int
    level_ml: float


@dataclass(slots=True)
class _Block:
    """Balances since the last one that was struck."""

    pulses: int = 0
    fall_ml: float = 0.0
    quiet_ml: float = 0.0
    """What of that fell while nothing flowed."""
    minutes: int = 0


@dataclass(slots=True)
class Stuck:
    """Whether a sensor says the same for too long, though it had noise."""

    minutes: int
    noisy: int = 0
    same: int = 0
    moving: int = 0
    value: int | None = None
    stuck: bool = False

    @property
    def suspect(self) -> bool:
        """Whether it lost its noise just now: what it says may be old."""
        return self.noisy >= NOISY_MINUTES and self.value is not None

    def look(self, values: Aggregate) -> bool:
        """Look at a minute; whether its values are those of the minutes before."""
        if values.constant and values.last == self.value:
            self.same += 1
            self.moving = 0
            self.stuck |= self.noisy >= NOISY_MINUTES and self.same >= self.minutes
            return True
        self.same = 0
        self.value = values.last if values.constant else None
        self.noisy = min(self.noisy + (not values.constant), NOISY_MINUTES)
        self.moving += 1
        if values.constant or self.moving >= MOVES_AGAIN_MINUTES:
            self.stuck = False
        return False


@dataclass(slots=True)
class NozzleWatch:
    """One nozzle, its meter and its level sensor. Minutes come in their order."""

    nozzle: int
    pulses_per_ml: float | None = None
    """As learned; None until enough has flowed."""
    leak: Finding | None = None
    drift: Finding | None = None
    stuck: Finding | None = None
    noise_ml: float = 1.0
    """Standard error of an anchor."""
    _gauge: Stuck = field(default_factory=lambda: Stuck(STUCK_MINUTES))
    _past_stuck: float = 0.0
    """ml that flowed since the level moved."""
    _last_minute: int | None = None
    _anchor: _Anchor | None = None
    _piece: _Anchor | None = None
    """Where the present quiet stretch began."""
    _pulses: int = 0
    """Since the anchor."""
    _block: _Block = field(default_factory=_Block)
    _learning: _Block = field(default_factory=_Block)
    _up: float = 0.0
    _down: float = 0.0
    _missed: _Block = field(default_factory=_Block)
    """What makes up `_up`: its fall is what the meter missed."""
    _off: float = 0.0
    """Smoothed share by which balances are off, with their sign."""
    _slope: float = 0.0
    _weight: float = 0.0
    """Sums of T f / V and T T / V over quiet stretches of T minutes that fell by f ml with variance V."""
    _gone_ml: float = 0.0
    _fast_minutes: int = 0
    _fast_ml: float = 0.0
    """What was lost in the minutes just before in which the level fell evenly."""

    def minute(self, at_ms: int, covered_ms: int, flow: Aggregate | None, level: Aggregate | None) -> None:
        """Look at the minute that began at `at_ms`."""
        minute = at_ms // MINUTE_MS
        follows = self._last_minute is not None and minute == self._last_minute + 1
        self._last_minute = minute
        self._forget()
        if not follows or flow is None or level is None or covered_ms < COVERED_MS:
            self._begin_anew()
            self._fast_minutes, self._fast_ml = 0, 0.0
            if flow is None or level is None or covered_ms < COVERED_MS:
                return
        self._pulses += flow.sum
        self._look_for_stuck(at_ms, flow.sum, level)
        lost_ml = self._evenly_lost_ml(flow.sum, level)
        if self.stuck is not None:
            self._begin_anew()
        elif flow.sum == 0 and _is_steady(level) and not self._gauge.suspect:
            if lost_ml < FAST_ML:
                self._learn_noise(level)
            self._reach(at_ms, _Anchor(minute, level.mean))
        self._look_for_fast(flow.sum, lost_ml)
        self._judge_leak(at_ms)

    def forget_meter(self) -> None:
        """The meter was calibrated or changed, or the level sensor tared: learn them anew."""
        self._begin_anew()
        self.pulses_per_ml, self.drift = None, None
        self._up = self._down = self._off = 0.0
        self._missed = _Block()
        self._block, self._learning = _Block(), _Block()

    def forget_leak(self) -> None:
        """Somebody says that nothing leaks any more: it takes new evidence."""
        self._begin_anew()
        self.leak = None
        self._slope = self._weight = self._gone_ml = 0.0
        self._fast_minutes, self._fast_ml = 0, 0.0

    def findings(self) -> list[Finding]:
        """What is not right now."""
        return [finding for finding in (self.leak, self.drift, self.stuck) if finding is not None]

    def ml(self, pulses: float) -> float:
        """The volume of so many pulses, as far as the meter is known."""
        return pulses / (self.pulses_per_ml or NOMINAL_PULSES_PER_ML)

    # -- anchors ------------------------------------------------------------------------------------------------------

    def _begin_anew(self) -> None:
        self._end_piece()
        self._anchor = self._piece = None
        self._pulses = 0
        self._block = _Block()

    def _learn_noise(self, level: Aggregate) -> None:
        spread = (level.most - level.least) / _expected_range(level.n)
        self.noise_ml += (max(spread / math.sqrt(level.n), NOISE_FLOOR_ML) - self.noise_ml) / 10

    def _reach(self, at_ms: int, now: _Anchor) -> None:
        before, pulses = self._anchor, self._pulses
        self._anchor, self._pulses = now, 0
        if before is None:
            self._piece = now
            return
        fall_ml = before.level_ml - now.level_ml
        if fall_ml < -max(REFILL_ML, 8 * self.noise_ml) or fall_ml - self.ml(pulses) > SWAP_ML:
            self._end_piece(before)
            self._piece, self._block = now, _Block()
            return
        if pulses:
            self._end_piece(before)
            self._piece = now
        elif self._piece is not None and now.minute - self._piece.minute >= PIECE_MINUTES:
            self._end_piece(now)
            self._piece = now
        self._block.pulses += pulses
        self._block.fall_ml += fall_ml
        self._block.quiet_ml += 0.0 if pulses else fall_ml
        self._block.minutes += now.minute - before.minute
        self._strike(at_ms)

    # -- leak ---------------------------------------------------------------------------------------------------------

    def _forget(self) -> None:
        keep = math.exp(-1 / FORGET_MINUTES)
        self._slope *= keep
        self._weight *= keep
        self._gone_ml *= keep

    def _end_piece(self, end: _Anchor | None = None) -> None:
        self._slope, self._weight, self._gone_ml = self._pooled(end or self._anchor)
        self._piece = None

    def _pooled(self, end: _Anchor | None) -> tuple[float, float, float]:
        """The sums with the present stretch, up to an anchor."""
        if self._piece is None or end is None or end.minute <= self._piece.minute:
            return self._slope, self._weight, self._gone_ml
        minutes, fall_ml = end.minute - self._piece.minute, self._piece.level_ml - end.level_ml
        variance = 2 * self.noise_ml**2
        return (
            self._slope + minutes * fall_ml / variance,
            self._weight + minutes * minutes / variance,
            self._gone_ml + fall_ml,
        )

    def _look_for_fast(self, pulses: int, lost_ml: float) -> None:
        """Count minutes in which the level falls evenly by more than was poured; enough of them outweigh all calm."""
        if lost_ml < FAST_ML:
            if not pulses:  # a pour may hide what else is lost in its minute
                self._fast_minutes, self._fast_ml = 0, 0.0
            return
        self._fast_minutes += 1
        self._fast_ml += lost_ml
        minutes = self._fast_minutes
        if any(minutes >= enough and self._fast_ml >= minutes * ml for ml, enough in FAST):
            self._begin_anew()
            variance = 2 * self.noise_ml**2
            self._slope, self._weight = minutes * self._fast_ml / variance, minutes * minutes / variance
            self._gone_ml = self._fast_ml

    def _evenly_lost_ml(self, pulses: int, level: Aggregate) -> float:
        """What a minute lost beside what was poured, if its level fell all along; 0 where it did not."""
        fall_ml, noise_ml = level.most - level.least, 4 * self.noise_ml * math.sqrt(level.n)
        uneven_ml = abs(level.mean - (level.most + level.least) / 2)
        if level.n < ANCHOR_VALUES or level.last - level.least > noise_ml or uneven_ml > FAST_EVEN * fall_ml:
            return 0.0
        return fall_ml - noise_ml - self.ml(pulses)

    def _judge_leak(self, at_ms: int) -> None:
        slope, weight, gone_ml = self._pooled(self._anchor)
        if not weight:
            return
        ml_h, z = 60 * slope / weight, slope / math.sqrt(weight)
        if self.leak is not None:
            over = (z < LEAK_OVER_Z or ml_h < LEAK_ML_H / 2) and self._up < DRIFT_OVER
            self.leak = None if over else Finding("leak", self.nozzle, self.leak.since_ms, max(ml_h, LEAK_ML_H))
        elif z > LEAK_Z and ml_h > LEAK_ML_H and gone_ml > LEAK_ML:
            self._tell_leak(at_ms, ml_h)

    def _tell_leak(self, at_ms: int, ml_h: float) -> None:
        self.leak = Finding("leak", self.nozzle, at_ms, ml_h)
        if self._off > 0:
            self.drift = None  # what leaked was missed by the meter, too

    def _leaked_ml(self, minutes: int) -> float:
        """What a leak takes in so many minutes, if there is reason to believe in one."""
        if self._weight and self._slope / math.sqrt(self._weight) > LEAK_Z / 2:
            return self._slope / self._weight * minutes
        return 0.0

    # -- drift --------------------------------------------------------------------------------------------------------

    def _strike(self, at_ms: int) -> None:
        block = self._block
        volume_ml = self.ml(block.pulses)
        if volume_ml < max(BLOCK_ML, math.sqrt(2) * self.noise_ml / BLOCK_ERROR):
            return
        self._block = _Block()
        if self.pulses_per_ml is None:
            if self.leak is None:
                self._learn(block.pulses, block.fall_ml)
            return
        fall_ml = block.fall_ml - self._leaked_ml(block.minutes)
        off = fall_ml / volume_ml - 1
        self._off += 0.3 * (off - self._off)
        self._up = min(max(self._up + off - SLACK, 0.0), 2 * ALARM)
        self._down = min(max(self._down - off - SLACK, 0.0), 2 * ALARM)
        self._missed = self._with(block, fall_ml - volume_ml) if self._up else _Block()
        worst = max(self._up, self._down)
        if self.drift is not None:
            self.drift = None if worst < DRIFT_OVER else Finding("drift", self.nozzle, self.drift.since_ms, self._off)
        elif self._down > ALARM:
            self.drift = Finding("drift", self.nozzle, at_ms, self._off)
        elif self._up > ALARM and self.leak is None:
            if self._missed.quiet_ml > LEAK_SHARE * self._missed.fall_ml:
                self._tell_leak(at_ms, 60 * self._missed.quiet_ml / self._missed.minutes)
            else:
                self.drift = Finding("drift", self.nozzle, at_ms, self._off)

    def _with(self, block: _Block, missed_ml: float) -> _Block:
        before = self._missed
        return _Block(
            before.pulses + block.pulses,
            before.fall_ml + missed_ml,
            before.quiet_ml + block.quiet_ml,
            before.minutes + block.minutes,
        )

    def _learn(self, pulses: int, fall_ml: float) -> None:
        self._learning.pulses += pulses
        self._learning.fall_ml += fall_ml
        if self._learning.fall_ml >= LEARN_ML:
            self.pulses_per_ml = self._learning.pulses / self._learning.fall_ml
            self._learning = _Block()

    # -- stuck --------------------------------------------------------------------------------------------------------

    def _look_for_stuck(self, at_ms: int, pulses: int, level: Aggregate) -> None:
        same = self._gauge.look(level)
        self._past_stuck = self._past_stuck + self.ml(pulses) if same else 0.0
        if level.most > 0 and self._past_stuck >= STUCK_ML:
            self._gauge.stuck = True
        if not self._gauge.stuck or level.most == 0:
            self.stuck = None
        elif self.stuck is None:
            self.stuck = Finding("stuck_level", self.nozzle, at_ms)
            self.drift, self._up, self._down = None, 0.0, 0.0


def _is_steady(level: Aggregate) -> bool:
    """Whether a quiet minute's mean is an anchor: in one in which a bottle was changed it is neither level."""
    return level.n >= ANCHOR_VALUES and level.most - level.least <= UNSTEADY_ML


def _expected_range(n: int) -> float:
    """The mean range of n normal values, in standard deviations, within a tenth from 5 to 1,000 (Tippett's d2)."""
    return 2 * math.sqrt(2 * math.log(n)) - (math.log(math.log(n)) + 1.377) / math.sqrt(2 * math.log(n))
