"""SAMPLEs -> current readings, stored samples and minutes, and a judgement of them. Called by `dispensers` and the web.

A SAMPLE is handed over on the event loop and costs it a few additions. Every few seconds what has come is written by a
thread of its own, which also looks for what is not right (`gateway.judge`). What is lost on the way is no more than
readings: at a kill the newest seconds of SAMPLEs and the one or two minutes that were not over, all of them while the
disk has no room.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from firmware_bridge.messages import Channel, Hello, Sample, Series
from gateway import aggregates
from gateway.aggregates import MINUTE_MS, Aggregate, Sensor, Sums
from gateway.clock import Clock
from gateway.forecast import Forecast
from gateway.judge import Judge, Limits
from gateway.looking import Came
from gateway.plausibility import Finding
from gateway.sample_file import MinuteRow, RawRow, SampleFile
from gateway.sample_room import Moment

log = logging.getLogger("gateway.samples")
T = TypeVar("T")

FLUSH_S = 5.0
"""s between two writes; a kill loses the SAMPLEs that came since the last one, and the minutes not yet over."""
GRACE_MS = 20_000
"""ms after its end for which a minute waits: idle dispensers tell ten seconds at a time, and a line may be busy."""
MAX_RAWS = 5_000
"""SAMPLEs that wait to be written; 200 dispensers that pour all at once send 1,000 in five seconds."""
MAX_SPAN_MS = 10 * MINUTE_MS
"""ms that one SAMPLE may tell of."""
MAX_VALUE = 2**31
OUTCOMES = ("kept", "late", "implausible", "repeated", "redated", "dropped")
"""What becomes of SAMPLEs: kept in time or late; those whose uptime made their boot be dated anew are kept, too."""
RECALLED_MINUTES = 20_000
"""Minutes read again at a start: two weeks of one dispenser, a day and a half of ten, in about a second."""
FORETELL_MS = 5 * MINUTE_MS
"""ms between two forecasts: one takes up to half a millisecond a nozzle, and says hours."""
STEADY_ML = 5
"""ml by which a level must have moved before another is told: an ultrasonic gauge's noise, averaged over a SAMPLE, is
a quarter of it."""
ASTRAY_MS = MINUTE_MS
"""ms by which a SAMPLE whose uptime went back may be late; where it would be more, its boot is dated anew."""
SLIP = 1e-4
"""How far a dispenser's clock may go wrong: a cheap oscillator's 100 ppm."""


@dataclass(slots=True)
class Gauged:
    """What a level sensor says, steadied."""

    ml: int
    at_ms: int
    """The gateway's uptime when it was read."""


@dataclass(slots=True)
class Readings:
    """What a dispenser's sensors said last."""

    boot: int
    began_ms: float
    """The gateway's uptime at the dispenser's start: by the SAMPLE or HELLO that was the least late."""
    heard_ms: int
    uptime_ms: int
    """The dispenser's, as it said it last."""
    at_ms: int
    """The gateway's uptime when the newest values were read."""
    nozzles: frozenset[int]
    values: dict[Sensor, int] = field(default_factory=dict)
    levels: dict[int, Gauged] = field(default_factory=dict)
    """By nozzle."""
    shed: int = 0
    """SAMPLEs that the dispenser has not sent since its boot."""
    newest: Sample | None = None


@dataclass(slots=True)
class _Minute:
    covered_ms: int = 0
    sums: Sums = field(default_factory=dict)


class Samples:
    """All of it. `close` writes what there is."""

    def __init__(self, file: SampleFile, clock: Clock, limits: Limits) -> None:
        self.readings: dict[str, Readings] = {}
        """By dispenser; those that were heard of since the start."""
        self.counters: Counter[str] = Counter()
        """SAMPLEs by what became of them (`OUTCOMES`)."""
        self.findings: Mapping[str, list[Finding]] = {}
        """What is not right, by dispenser."""
        self.forecasts: Mapping[tuple[str, int], Forecast] = {}
        """When bottles will be empty, by dispenser and nozzle."""
        self.file_bytes = 0
        self.came: Callable[[str, Came], None] = lambda _dispenser, _came: None
        """Called of each SAMPLE that is taken in, on the event loop."""
        self.file = file
        """Its counters may be looked at; its methods belong to `in_thread`."""
        self._clock = clock
        self._judge = Judge(limits)
        self._recalled = False
        self._meters: Mapping[tuple[str, int], float] = {}
        """What the file knows of them."""
        self._raws: deque[RawRow] = deque(maxlen=MAX_RAWS)
        self._minutes: dict[tuple[int, str], _Minute] = {}
        self._closed_ms = 0
        self._foretold_ms = -FORETELL_MS
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="samples")

    # -- on the event loop --------------------------------------------------------------------------------------------

    def greet(self, hello: Hello) -> None:
        """A dispenser opened a link."""
        now_ms = self._clock.now().boot_ms
        nozzles = frozenset({0, *(info.nozzle for info in hello.nozzles)})
        known = self.readings.get(hello.dispenser)
        if known is None or known.boot != hello.boot:
            self.readings[hello.dispenser] = Readings(
                hello.boot, now_ms - hello.uptime_ms, now_ms, hello.uptime_ms, now_ms, nozzles
            )
        else:
            known.nozzles = nozzles

    def take(self, dispenser: str, sample: Sample) -> None:
        """A SAMPLE came on this dispenser's open link."""
        known = self.readings.get(dispenser)
        series = [one for one in sample.series if known is not None and _is_plausible(one, known.nozzles)]
        longest = max((len(one.values) for one in series), default=0)
        if known is None or not series or longest * sample.period_ms > MAX_SPAN_MS:
            self.counters["implausible"] += 1
            return
        if sample == known.newest:
            self.counters["repeated"] += 1
            return
        at_ms = self._date(known, sample.uptime_ms)
        known.newest = sample
        known.at_ms, known.shed = at_ms, sample.shed
        for one in series:
            known.values[Sensor(one.channel, one.nozzle)] = one.values[-1]
            if one.channel == Channel.LEVEL:
                _steady(known.levels, one, at_ms)
        if len(self._raws) == MAX_RAWS:
            self.counters["dropped"] += 1
        self._raws.append(RawRow(dispenser, at_ms, sample.period_ms, msgspec.msgpack.encode(series)))
        self.came(dispenser, Came(at_ms, sample.period_ms, series))
        self.counters["kept" if self._sum_up(dispenser, at_ms, sample.period_ms, series) else "late"] += 1

    def set_anew(self, dispenser: str, nozzle: int) -> None:
        """A nozzle's meter was calibrated, or its level sensor tared: what was learned of them is over."""
        self._thread.submit(self._forget, self._judge.forget_meter, dispenser, nozzle)

    async def leak_mended(self, dispenser: str, nozzle: int) -> None:
        """Somebody says that a nozzle leaks no more: if it does, that is found anew, by what it loses from now on."""
        await self.in_thread(lambda: self._forget(self._judge.forget_leak, dispenser, nozzle))

    def _date(self, known: Readings, uptime_ms: int) -> int:
        """The gateway's uptime at that of a dispenser, by the message that was the least late; never ahead of now.

        An uptime that goes back is not late for a minute: it, or the one before, is wrong, or its counter is too small.
        """
        now_ms = self._clock.now().boot_ms
        slipped_ms = (now_ms - known.heard_ms) * SLIP
        began_ms = min(known.began_ms + slipped_ms, now_ms - uptime_ms)
        if uptime_ms < known.uptime_ms and now_ms - uptime_ms - began_ms > ASTRAY_MS:
            self.counters["redated"] += 1
            began_ms = now_ms - uptime_ms
        known.began_ms, known.uptime_ms, known.heard_ms = began_ms, uptime_ms, now_ms
        return int(known.began_ms + uptime_ms)

    def _sum_up(self, dispenser: str, at_ms: int, period_ms: int, series: list[Series]) -> bool:
        """Add values to their minutes; whether these were all still open."""
        in_time, covered = True, Counter[int]()
        for one in series:
            last_ms, left = at_ms, one.values
            while left:
                begin_ms = last_ms // MINUTE_MS * MINUTE_MS
                values = left[-((last_ms - begin_ms) // period_ms + 1) :]
                left = left[: -len(values)]
                last_ms -= len(values) * period_ms
                covered[begin_ms] = max(covered[begin_ms], len(values) * period_ms)
                if begin_ms < self._closed_ms:
                    in_time = False
                    continue
                minute = self._minutes.setdefault((begin_ms, dispenser), _Minute())
                aggregates.merge(minute.sums, {Sensor(one.channel, one.nozzle): Aggregate.of(values)})
        for begin_ms, covered_ms in covered.items():
            if (minute_there := self._minutes.get((begin_ms, dispenser))) is not None:
                minute_there.covered_ms += covered_ms
        return in_time

    def unwritten(self, dispenser: str) -> list[RawRow]:
        """SAMPLEs of a dispenser that wait to be written."""
        return [row for row in self._raws if row.dispenser == dispenser]

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do something with the file, after what waits for its thread."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def run(self) -> None:
        """Write and judge until cancelled."""
        while True:
            await self.turn()
            await asyncio.sleep(FLUSH_S)

    async def turn(self) -> None:
        """Write and judge what has come."""
        now = self._clock.now()
        raws, minutes = self._ripe(now.boot_ms - GRACE_MS)
        moment = Moment(now.boot_ms, self._clock.offset_ms)
        await self.in_thread(lambda: self._keep(raws, minutes, moment))

    def close(self) -> None:
        """Write what there is, the unfinished minutes too, and close the file."""
        now = self._clock.now()
        raws, minutes = self._ripe(now.boot_ms + MINUTE_MS)
        moment = Moment(now.boot_ms, self._clock.offset_ms)
        if self._recalled:
            self._thread.submit(self.file.write, raws, minutes, moment)
        self._thread.submit(self.file.close)
        self._thread.shutdown()

    def _ripe(self, before_ms: int) -> tuple[list[RawRow], list[MinuteRow]]:
        """What is to be written: SAMPLEs, and the minutes that ended before this moment."""
        raws = list(self._raws)
        self._raws.clear()
        self._closed_ms = before_ms // MINUTE_MS * MINUTE_MS
        ripe = sorted(key for key in self._minutes if key[0] < self._closed_ms)
        minutes = []
        for key in ripe:
            minute = self._minutes.pop(key)
            minutes.append(MinuteRow(key[1], key[0], minute.covered_ms, minute.sums))
        return raws, minutes

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _forget(self, what: Callable[[str, int], None], dispenser: str, nozzle: int) -> None:
        what(dispenser, nozzle)
        self.findings = self._judge.findings()

    def _keep(self, raws: list[RawRow], minutes: list[MinuteRow], now: Moment) -> None:
        if not self._recalled:
            self._recalled = True
            self._meters = self.file.meters()
            self._judge.recall(self._meters)
            for row in self.file.recent(RECALLED_MINUTES):
                self._judge.minute(*row)
            self.findings = self._judge.findings()
        self.file.write(raws, minutes, now)
        self.file_bytes = self.file.size_bytes()
        if not minutes:
            return
        offset_ms = now.offset_ms or 0  # judged by the uptime while nobody knows the time
        for row in minutes:
            self._judge.minute(row.dispenser, row.at_ms + offset_ms, row.covered_ms, row.sums)
        learned = self._judge.learned()
        if learned != self._meters and self.file.keep_meters(learned):
            self._meters = learned
        self.findings = self._judge.findings()
        if now.offset_ms is not None and now.boot_ms - self._foretold_ms >= FORETELL_MS:
            self._foretold_ms = now.boot_ms
            self.forecasts = self._judge.forecasts(now.boot_ms + offset_ms)


def _steady(levels: dict[int, Gauged], series: Series, at_ms: int) -> None:
    mean_ml = max(round(sum(series.values) / len(series.values)), 0)
    gauged = levels.setdefault(series.nozzle, Gauged(mean_ml, at_ms))
    gauged.at_ms = at_ms
    if abs(mean_ml - gauged.ml) >= STEADY_ML:
        gauged.ml = mean_ml


def _is_plausible(series: Series, nozzles: frozenset[int]) -> bool:
    known = any(series.channel == channel for channel in Channel)
    least = 0 if series.channel == Channel.FLOW else 1 - MAX_VALUE
    return known and series.nozzle in nozzles and all(least <= value < MAX_VALUE for value in series.values)
