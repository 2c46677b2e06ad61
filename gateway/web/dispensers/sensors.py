"""What is kept of what sensors said, as the API tells of it."""

from __future__ import annotations

import time
from typing import Annotated, Literal

import msgspec
from fastapi import APIRouter, Path, Query

from gateway.aggregates import Sensor
from gateway.state import GatewayState
from gateway.summaries import CHANNELS
from gateway.web import reads
from gateway.web.answers import SOURCE, Answer, example
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb
from heat.events import SensorName
from heat.identity import SAFE_INTEGER

router = APIRouter(prefix="/api/v1", tags=["v1"])

MAX_ROWS = 1_440
"""Rows in one answer: a day of minutes, or SAMPLEs of four hours."""
_UNITS: dict[SensorName, str] = {
    "flow": "pulses",
    "level": "ml",
    "temperature": "0.01 °C",
    "door": "1: open",
    "drip_tray": "1: full",
}
_raw = msgspec.msgpack.Decoder(list[tuple[int, int, list[int]]])


class SamplesView(Answer):
    """One sensor's values."""

    dispenser: Annotated[str, example("hot-bar-1")]
    channel: SensorName
    nozzle: Annotated[int, example(2)]
    unit: Annotated[str, example("ml")]
    resolution: Literal["raw", "minute"]
    columns: Annotated[dict[str, list[int]], example({"time_ms": [1790000000000], "value": [412]})]
    """Of one length. raw: time_ms, value. minute: time_ms (its beginning), n (values), sum, least, most, last."""
    next: int | None
    """Give it as `since` for what follows; null at the end."""


@router.get("/dispensers/{dispenser}/samples", responses=documented(404, 422))
async def samples(
    web: TheWeb,
    dispenser: Annotated[str, Path(pattern=SOURCE, examples=["hot-bar-1"])],
    channel: SensorName,
    nozzle: Annotated[int, Query(ge=0, le=255, description="0: of the whole dispenser")] = 0,
    since: Annotated[int | None, Query(ge=0, le=SAFE_INTEGER, description="Unix time, ms; else the last hour")] = None,
    resolution: Literal["raw", "minute"] = "minute",
) -> SamplesView:
    """What a sensor said: as it was read, for an hour back, or minute by minute for a month.

    Nothing is dated, and so nothing is here, before the gateway knows the time.
    """
    state = web.state
    known = dispenser in state.samples.readings or any(one.name == dispenser for one in reads.dispensers(state.reader))
    if not known and (stranger := state.dispensers.strangers.get(dispenser)) is not None:
        why, do = state.adoption.advice(stranger)
        raise Problem(404, "no-such-dispenser", f"it is not let in yet, so no reading of it is kept: {why}", hint=do)
    if not known:
        hint = "/api/v1/dispensers lists those that opened a link"
        raise Problem(404, "no-such-dispenser", "no dispenser of this name was ever here", hint=hint)
    since_ms = int(time.time() * 1000) - 3_600_000 if since is None else since
    sensor = Sensor(CHANNELS[channel], nozzle)
    columns, following = await (_raws if resolution == "raw" else _minutes)(state, dispenser, sensor, since_ms)
    return SamplesView(
        dispenser=dispenser,
        channel=channel,
        nozzle=nozzle,
        unit=_UNITS[channel],
        resolution=resolution,
        columns=columns,
        next=following,
    )


Columns = tuple[dict[str, list[int]], int | None]
"""Columns by name, and where to go on."""


async def _minutes(state: GatewayState, dispenser: str, sensor: Sensor, since_ms: int) -> Columns:
    file = state.samples.file
    rows = await state.samples.in_thread(lambda: file.minutes(dispenser, since_ms, SAFE_INTEGER, MAX_ROWS + 1))
    shown = [(row.at_ms, row.sums[sensor]) for row in rows[:MAX_ROWS] if sensor in row.sums]
    columns = {name: [getattr(each, name) for _, each in shown] for name in ("n", "sum", "least", "most", "last")}
    return {"time_ms": [at_ms for at_ms, _ in shown], **columns}, rows[MAX_ROWS].at_ms if len(rows) > MAX_ROWS else None


async def _raws(state: GatewayState, dispenser: str, sensor: Sensor, since_ms: int) -> Columns:
    file = state.samples.file
    rows = await state.samples.in_thread(lambda: file.raws(dispenser, since_ms, SAFE_INTEGER, MAX_ROWS + 1))
    columns: dict[str, list[int]] = {"time_ms": [], "value": []}
    for row in rows[:MAX_ROWS]:
        for channel, nozzle, read in _raw.decode(row.body):
            if (channel, nozzle) == sensor:
                columns["time_ms"] += [row.at_ms - row.period_ms * back for back in range(len(read) - 1, -1, -1)]
                columns["value"] += read
    return columns, rows[MAX_ROWS].at_ms if len(rows) > MAX_ROWS else None
