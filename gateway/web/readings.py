"""What dispensers' sensors said last, and when bottles will be empty, as the API tells of it."""

from __future__ import annotations

from gateway.aggregates import DOOR, FLOW, LEVEL, TEMPERATURE, TRAY, Sensor
from gateway.state import GatewayState
from gateway.web.dispenser_answers import ForecastView, NozzleReadings, ReadingsView


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


def forecast_view(state: GatewayState, dispenser: str, nozzle: int) -> ForecastView | None:
    """When a bottle will be empty."""
    forecast = state.samples.forecasts.get((dispenser, nozzle))
    if forecast is None:
        return None
    hours = (round(each, 1) for each in (forecast.hours, forecast.earliest_h, forecast.latest_h))
    return ForecastView(**dict(zip(("hours", "earliest_h", "latest_h"), hours, strict=True)))
