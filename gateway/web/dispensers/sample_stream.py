"""A dispenser's sensors for a chart: what they said, drawn thin, and then each SAMPLE as it comes.

    event: snapshot   data: a `Readings`                                        first; id: the last SAMPLE's last_ms
    event: samples    data: [last_ms, period_ms, [[channel, nozzle, [value, ...]], ...]]    id: last_ms
    event: missed     data: how many SAMPLEs went by, since the stream began, as they were read too slowly
    event: tick       data: Unix time, ms              each second in which nothing comes: silence means a dead line

Who comes back with a `Last-Event-ID`, or `since`, gets no snapshot, but the SAMPLEs since, if these are not too many.
When a clock is set back, another snapshot begins it anew.
A page has the same, but the ticks, in its own stream (`samples`); a stream of this alone is for programs.
"""

from __future__ import annotations

import json
import time
from collections.abc import AsyncGenerator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Annotated, Any, Literal

import msgspec
from fastapi import APIRouter, Header, Query
from fastapi.sse import format_sse_event
from pydantic import BeforeValidator

from gateway.aggregates import FLOW, LEVEL, TEMPERATURE, Sensor
from gateway.looking import Eye
from gateway.sample_file import RawRow
from gateway.sample_history import History
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import Answer, example
from gateway.web.dispensers.commands import Dispenser
from gateway.web.problems import Problem, documented
from gateway.web.seats import FreeSeat, Seat
from gateway.web.shell import Told
from gateway.web.stream import STREAM, EventStream, may_look_on
from gateway.web.web import TheWeb
from heat.identity import SAFE_INTEGER

router = APIRouter(prefix="/api/v1/dispensers/{dispenser}", tags=["v1"])

Span = Literal[600, 3600, 86400]
"""s back: ten minutes, an hour, a day."""
STRETCHES = {600: 600, 3600: 600, 86400: 720}
"""Stretches of a span: a second, six seconds, two minutes."""
RAW_S = 3600
"""s back for which SAMPLEs are kept; of what was before there are minutes."""
ROWS = 5_000
"""SAMPLEs of an hour at most: 3,600 of one that pours all the time."""
RESUMED_S = 120
"""s for which whoever comes back gets what was missed; later, a snapshot."""
AHEAD_MS = 1_000
"""ms; whoever has what is of later than this was told it before a clock was set back: all of it is told anew."""
CHANNELS: dict[int, Literal["flow", "level", "temperature"]] = {
    FLOW: "flow",
    LEVEL: "level",
    TEMPERATURE: "temperature",
}
_raw = msgspec.msgpack.Decoder(list[tuple[int, int, list[int]]])


class Thin(Answer):
    """One sensor: of each stretch the least and the most; null where it said nothing."""

    channel: Annotated[Literal["flow", "level", "temperature"], example("level")]
    nozzle: Annotated[int, example(2)]
    least: Annotated[list[float | None], example([412.0, None])]
    most: Annotated[list[float | None], example([413.0, None])]


class Readings(Answer):
    """Sensors over time: flow in pulses a second, level in ml, temperature in °C."""

    dispenser: Annotated[str, example("hot-bar-1")]
    begin_ms: Annotated[int, example(1790000000000)]
    """Unix time of the first stretch."""
    step_ms: Annotated[int, example(1000)]
    """How long a stretch is."""
    count: Annotated[int, example(600)]
    """Stretches; the last one may not be over."""
    series: list[Thin]


@router.get("/readings", responses=documented(404, 422))
async def readings(
    web: TheWeb,
    dispenser: Dispenser,
    seconds: Annotated[Span, BeforeValidator(int), Query(description="How far back")] = 600,
) -> Readings:
    """What its sensors said, drawn thin for a chart: no peak is lost."""
    _known(web.state, dispenser)
    return await thin(web.state, dispenser, seconds)


@router.get("/samples/live", response_class=EventStream, responses={200: STREAM, **documented(404, 422, 503)})
async def live(
    seat: FreeSeat,
    dispenser: Dispenser,
    seconds: Annotated[Span, BeforeValidator(int), Query(description="How far back the snapshot goes")] = 600,
    since: Annotated[int | None, Query(ge=0, le=SAFE_INTEGER, description="As a Last-Event-ID")] = None,
    last_event_id: Annotated[str | None, Header(max_length=20)] = None,
) -> EventStream:
    """What its sensors said, and then each SAMPLE as it comes. It reads ten times a second meanwhile."""
    _known(seat.web.state, dispenser)
    at = last_event_id or ("" if since is None else str(since))
    return EventStream(_follow(seat, dispenser, seconds, at))


async def thin(state: GatewayState, dispenser: str, seconds: Span) -> Readings:
    """See `readings`."""
    step_ms = seconds * 1000 // STRETCHES[seconds]
    now_ms = int(time.time() * 1000)
    begin_ms = (now_ms // step_ms + 1) * step_ms - seconds * 1000
    history = History(begin_ms, step_ms, STRETCHES[seconds])
    unwritten = _dated(state, state.samples.unwritten(dispenser))
    file = state.samples.file

    def read() -> None:
        if seconds > RAW_S:
            history.add_minutes(file.minutes(dispenser, begin_ms, SAFE_INTEGER, STRETCHES[seconds] * 2 + 2))
        else:
            history.add_raws(file.raws(dispenser, begin_ms, SAFE_INTEGER, ROWS))
        history.add_raws(unwritten)  # twice does no harm: what is kept is the least and the most

    await state.samples.in_thread(read)
    return _answer(dispenser, history)


def _answer(dispenser: str, history: History) -> Readings:
    def scaled(sensor: Sensor, column: list[float | None]) -> list[float | None]:
        by = 100 if sensor.channel == TEMPERATURE else 1
        return [None if value is None else round(value / by, 2) for value in column]

    series = [
        Thin(
            channel=CHANNELS[sensor.channel],
            nozzle=sensor.nozzle,
            least=scaled(sensor, history.least[sensor]),
            most=scaled(sensor, history.most[sensor]),
        )
        for sensor in sorted(history.least)
        if sensor.channel in CHANNELS
    ]
    return Readings(
        dispenser=dispenser, begin_ms=history.begin_ms, step_ms=history.step_ms, count=history.count, series=series
    )


async def _follow(seat: Seat, dispenser: str, seconds: Span, at: str) -> AsyncGenerator[bytes]:
    web = seat.web
    with samples(web.state, dispenser, seconds) as source:
        told = await source.begin(at)
        while not web.closing.is_set() and may_look_on(web, seat.who):
            for each in told:
                yield format_sse_event(event=each.name, data_str=each.data, id=each.at or None)
            told = await source.next(1.0) or [Told("tick", str(int(time.time() * 1000)))]


@contextmanager
def samples(state: GatewayState, dispenser: str, seconds: Span) -> Iterator[Samples]:
    """A dispenser's SAMPLEs for one who looks. It reads ten times a second meanwhile."""
    with state.looking.at(dispenser) as eye:
        yield Samples(state, dispenser, seconds, eye)


class Samples:
    """See `samples`: a `Source` for a page's stream."""

    def __init__(self, state: GatewayState, dispenser: str, seconds: Span, eye: Eye) -> None:
        self._state = state
        self._dispenser = dispenser
        self._seconds = seconds
        self._eye = eye
        self._missed = 0
        self._told_ms = 0

    async def begin(self, at: str) -> Sequence[Told]:
        """A snapshot, or the SAMPLEs since `at`. Raises sqlite3.Error."""
        state, dispenser = self._state, self._dispenser
        state.looking.ask(dispenser)
        now_ms = int(time.time() * 1000)
        since_ms = int(at) if at.isascii() and at.isdecimal() and len(at) < 17 else 0  # 2^53 has 16 digits
        if now_ms - RESUMED_S * 1000 < since_ms <= now_ms + AHEAD_MS:
            rows = await _since(state, dispenser, since_ms)
            self._told_ms = rows[-1].at_ms if rows else since_ms
            return [_told(row.at_ms, row.period_ms, _raw.decode(row.body)) for row in rows]
        last = state.samples.readings.get(dispenser)
        self._told_ms = 0 if last is None or last.newest is None else _unix_ms(state, last.at_ms)
        snapshot = await thin(state, dispenser, self._seconds)
        return [Told("snapshot", snapshot.model_dump_json(), str(self._told_ms))]

    async def next(self, within_s: float) -> Sequence[Told]:
        """The next SAMPLE, if one comes in this time; a snapshot where a clock was set back. Raises sqlite3.Error."""
        state, eye = self._state, self._eye
        state.looking.ask(self._dispenser)
        came = await eye.next(within_s)
        told = []
        if eye.missed > self._missed:
            self._missed = eye.missed
            told.append(Told("missed", str(eye.missed)))
        at_ms = 0 if came is None else _unix_ms(state, came.at_ms)
        if came is not None and at_ms < self._told_ms - AHEAD_MS:
            told += await self.begin("")
        elif came is not None and at_ms > self._told_ms:
            self._told_ms = at_ms
            series = [(each.channel, each.nozzle, each.values) for each in came.series]
            told.append(_told(at_ms, came.period_ms, series))
        return told


async def _since(state: GatewayState, dispenser: str, since_ms: int) -> list[RawRow]:
    unwritten = _dated(state, state.samples.unwritten(dispenser))
    file = state.samples.file
    rows = await state.samples.in_thread(lambda: file.raws(dispenser, since_ms + 1, SAFE_INTEGER, ROWS))
    last_ms = rows[-1].at_ms if rows else since_ms
    return rows + [row for row in unwritten if row.at_ms > last_ms]


def _told(at_ms: int, period_ms: int, series: Iterable[Any]) -> Told:
    shown = [each for each in series if each[0] in CHANNELS]
    return Told("samples", json.dumps([at_ms, period_ms, shown], separators=(",", ":")), str(at_ms))


def _dated(state: GatewayState, rows: list[RawRow]) -> list[RawRow]:
    return [row._replace(at_ms=_unix_ms(state, row.at_ms)) for row in rows]


def _unix_ms(state: GatewayState, boot_ms: int) -> int:
    """Of the gateway's uptime; by what wall time says where nobody knows better."""
    offset_ms = state.clock.offset_ms
    return boot_ms + (int(time.time() * 1000) - state.clock.now().boot_ms if offset_ms is None else offset_ms)


def _known(state: GatewayState, dispenser: str) -> None:
    if dispenser not in state.dispensers.known and reads.dispenser(state.reader, dispenser) is None:
        hint = "/api/v1/dispensers lists those that opened a link"
        raise Problem(404, "no-such-dispenser", "no dispenser of this name was ever here", hint=hint)
