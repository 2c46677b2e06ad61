"""The firmware's sampling: readings of its sensors -> SAMPLEs. Pure; time is the uptime in ms, passed in.

While something flows, or somebody looks, it reads `hz` times a second and tells each second. Else it reads once a
second and tells ten seconds at a time: 8 nozzles take 50 bytes a second then, 5 % of a line at 9,600 baud. A door that
opens or a tray that fills is told at once.

The values of a SAMPLE lie `period_ms` apart, so it ends where the period changes, or where a reading came too late.
"""

from __future__ import annotations

from firmware_bridge.messages import MAX_VALUES, Channel, Sample, Series
from hw_sim.plant import Readings

IDLE_MS = 1_000
"""ms between two readings while nothing flows."""
IDLE_VALUES = 10
"""Readings in one SAMPLE then."""
FLOWING_MS = 3_000
"""ms after the last pulse for which something still counts as flowing: a level sensor follows late."""
TELL_MS = 1_000
"""ms of readings in one SAMPLE while something flows: 10 values of 12 nozzles take 700 bytes of a frame's 1,018."""

_Row = dict[tuple[int, int], int]


class Sampler:
    """Gathers readings until there is a SAMPLE to send.

    `hz` is how often it reads while something flows or somebody looks, 1 to 50.
    """

    def __init__(self, hz: int) -> None:
        self._fast_ms = 1000 // hz
        self._period_ms = IDLE_MS
        self._rows: list[_Row] = []
        self._due_ms = 0
        self._flowed_ms: int | None = None
        self._pulses: dict[int, int] = {}

    @property
    def due_ms(self) -> int:
        """The uptime at which to read next."""
        return self._due_ms

    def read(self, readings: Readings, *, pouring: bool = False, looked_at: bool = False) -> list[Sample]:
        """Take in what was read when it was due; the SAMPLEs that are to be sent now."""
        now_ms, row = readings.uptime_ms, self._row(readings)
        if pouring or any(row[Channel.FLOW, nozzle.nozzle] for nozzle in readings.nozzles):
            self._flowed_ms = now_ms
        flowing = self._flowed_ms is not None and now_ms - self._flowed_ms <= FLOWING_MS
        often = flowing or looked_at
        ready = []
        if now_ms - self._due_ms > self._period_ms // 2 or self._due_ms == 0:
            ready += self._tell(self._due_ms - self._period_ms)  # nobody read in between
            self._due_ms = now_ms
        at_once = bool(self._rows) and any(
            self._rows[-1][channel, 0] != row[channel, 0] for channel in (Channel.DOOR, Channel.DRIP_TRAY)
        )
        self._rows.append(row)
        period_ms = self._fast_ms if often else IDLE_MS
        whole = min(TELL_MS // self._fast_ms if self._period_ms == self._fast_ms else IDLE_VALUES, MAX_VALUES)
        if len(self._rows) >= whole or at_once or period_ms != self._period_ms:
            ready += self._tell(self._due_ms)
        self._period_ms = period_ms
        self._due_ms += period_ms
        return ready

    def _row(self, readings: Readings) -> _Row:
        row: _Row = {
            (Channel.TEMPERATURE, 0): round(readings.cabinet_c * 100),
            (Channel.DOOR, 0): int(readings.door_open),
            (Channel.DRIP_TRAY, 0): int(readings.tray_full),
        }
        for nozzle in readings.nozzles:
            number = nozzle.nozzle
            row[Channel.FLOW, number] = max(nozzle.pulses - self._pulses.get(number, nozzle.pulses), 0)
            row[Channel.LEVEL, number] = round(nozzle.level_ml)
            self._pulses[number] = nozzle.pulses
        return row

    def _tell(self, last_ms: int) -> list[Sample]:
        rows, self._rows = self._rows, []
        if not rows:
            return []
        series = tuple(
            Series(channel, nozzle, tuple(row[channel, nozzle] for row in rows)) for channel, nozzle in rows[0]
        )
        return [Sample(uptime_ms=last_ms, period_ms=self._period_ms, series=series)]
