"""What sensors said, drawn thin: of each stretch of time the least and the most, so that no peak is lost. Pure.

Flow is told as pulses a second: readings are not always equally far apart.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import msgspec

from gateway.aggregates import FLOW, Sensor
from gateway.sample_file import MinuteRow, RawRow

_raw = msgspec.msgpack.Decoder(list[tuple[int, int, list[int]]])

Column = list[float | None]


@dataclass(slots=True)
class History:
    """`count` stretches of `step_ms` from `begin_ms` on (Unix time), of each sensor the least and the most in each.

    A stretch in which a sensor said nothing has None.
    """

    begin_ms: int
    step_ms: int
    count: int
    least: dict[Sensor, Column] = field(default_factory=dict)
    most: dict[Sensor, Column] = field(default_factory=dict)

    def add_raws(self, rows: Iterable[RawRow]) -> None:
        """Take in SAMPLEs; `at_ms` is Unix time."""
        for row in rows:
            for channel, nozzle, values in _raw.decode(row.body):
                scale = 1000 / row.period_ms if channel == FLOW else 1
                first_ms = row.at_ms - row.period_ms * (len(values) - 1)
                for index, part in self._cut(values, first_ms, row.period_ms):
                    self._note(Sensor(channel, nozzle), index, min(part) * scale, max(part) * scale)

    def add_minutes(self, rows: Iterable[MinuteRow]) -> None:
        """Take in minutes; `at_ms` is Unix time. Their flow is a mean: how far apart the readings were is not kept."""
        for row in rows:
            index = (row.at_ms - self.begin_ms) // self.step_ms
            if not 0 <= index < self.count:
                continue
            for sensor, sums in row.sums.items():
                if sensor.channel == FLOW:
                    rate = sums.sum * 1000 / max(row.covered_ms, 1)
                    self._note(sensor, index, rate, rate)
                else:
                    self._note(sensor, index, sums.least, sums.most)

    def _cut(self, values: Sequence[int], first_ms: int, period_ms: int) -> Iterator[tuple[int, Sequence[int]]]:
        """The values by stretch."""
        at = 0
        while at < len(values):
            index = (first_ms + at * period_ms - self.begin_ms) // self.step_ms
            end_ms = self.begin_ms + (index + 1) * self.step_ms
            until = min(-((first_ms - end_ms) // period_ms), len(values))
            if 0 <= index < self.count:
                yield index, values[at:until]
            at = max(until, at + 1)

    def _note(self, sensor: Sensor, index: int, least: float, most: float) -> None:
        if sensor not in self.least:
            self.least[sensor], self.most[sensor] = [None] * self.count, [None] * self.count
        below, above = self.least[sensor], self.most[sensor]
        known_below, known_above = below[index], above[index]
        below[index] = least if known_below is None or least < known_below else known_below
        above[index] = most if known_above is None or most > known_above else known_above
