"""What dispensers' sensors said last, and when bottles will be empty, as the API tells of it."""

from __future__ import annotations

from datetime import datetime

from gateway.aggregates import DOOR, FLOW, LEVEL, TEMPERATURE, TRAY, Sensor
from gateway.state import GatewayState
from gateway.web.dispenser_answers import DispenserView, ForecastView, NozzleFlaw, NozzleReadings, ReadingsView
from gateway.web.reads import moment

FRESH_MS = 60_000
"""ms; an idle dispenser tells its levels every ten seconds, and a busy line may shed some of that."""
PERIOD_S = 10
"""s between two SAMPLEs of a dispenser at which nothing flows."""
_FLAWS: dict[str, NozzleFlaw] = {"leak": "leaks", "drift": "meter_drifts", "stuck_level": "level_sensor_stuck"}


def readings_view(state: GatewayState, dispenser: str) -> ReadingsView | None:
    """What a dispenser's sensors said last."""
    known = state.samples.readings.get(dispenser)
    if known is None or not known.values:
        return None
    celsius, door, tray = (known.values.get(Sensor(channel, 0)) for channel in (TEMPERATURE, DOOR, TRAY))
    return ReadingsView(
        age_s=max(state.clock.now().boot_ms - known.at_ms, 0) / 1000,
        temperature_c=None if celsius is None else celsius / 100,
        door_open=None if door is None else door > 0,
        drip_tray_full=None if tray is None else tray > 0,
        nozzles=[
            NozzleReadings(
                nozzle=nozzle,
                level_ml=known.values.get(Sensor(LEVEL, nozzle)),
                flow_pulses=known.values.get(Sensor(FLOW, nozzle)),
            )
            for nozzle in sorted(known.nozzles - {0})
        ],
        shed=known.shed,
    )


def read_at(state: GatewayState, dispenser: str) -> datetime | None:
    """When a dispenser's sensors were heard last, by the gateway's clock; None: never since it started."""
    known, now = state.samples.readings.get(dispenser), state.clock.now()
    return None if known is None else moment(now.wall_ms - (now.boot_ms - known.at_ms))


def levels_at(state: GatewayState, dispenser: DispenserView) -> datetime | None:
    """When the levels of a dispenser's bottles were true; None: they are counted, pour by pour, while it is here."""
    if any(each.level_from == "sensor" for each in dispenser.nozzles):
        return read_at(state, dispenser.name)
    return None if dispenser.online else dispenser.since


def gauged_ml(state: GatewayState, dispenser: str, nozzle: int) -> int | None:
    """What a bottle's level sensor says; None where it is stuck, or has said nothing lately.

    Of a dispenser that is away its last word stands: nobody knows better.
    """
    readings, known = state.samples.readings.get(dispenser), state.dispensers.known.get(dispenser)
    gauged = readings.levels.get(nozzle) if readings else None
    if gauged is None or "level_sensor_stuck" in flaws(state, dispenser, nozzle):
        return None
    online = known is not None and known.online
    return None if online and state.clock.now().boot_ms - gauged.at_ms > FRESH_MS else gauged.ml


def flaws(state: GatewayState, dispenser: str, nozzle: int) -> list[NozzleFlaw]:
    """What the sensors say is wrong with a nozzle."""
    findings = state.samples.findings.get(dispenser, [])
    return [_FLAWS[found.code] for found in findings if found.nozzle == nozzle and found.code in _FLAWS]


def forecast_view(state: GatewayState, dispenser: str, nozzle: int) -> ForecastView | None:
    """When a bottle will be empty."""
    forecast = state.samples.forecasts.get((dispenser, nozzle))
    if forecast is None:
        return None
    hours = (round(each, 1) for each in (forecast.hours, forecast.earliest_h, forecast.latest_h))
    return ForecastView(**dict(zip(("hours", "earliest_h", "latest_h"), hours, strict=True)))
