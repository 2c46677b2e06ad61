"""What the sensors say is wrong: one warning a finding, with what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import assert_never

from gateway.plausibility import Finding
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.dispenser_answers import DispenserView
from gateway.web.glance import Trouble


def sensor_troubles(state: GatewayState, dispensers: list[DispenserView]) -> Iterator[Trouble]:
    """The list."""
    names = {(dispenser.name, nozzle.nozzle): nozzle.name for dispenser in dispensers for nozzle in dispenser.nozzles}
    online = {dispenser.name for dispenser in dispensers if dispenser.online}
    for dispenser, findings in sorted(state.samples.findings.items()):
        if dispenser in online:
            for finding in findings:
                told = _told(dispenser, names.get((dispenser, finding.nozzle), "the sauce"), finding)
                yield told.model_copy(update={"since": _since(state, finding)})
    yield from _of_file(state)


def _of_file(state: GatewayState) -> Iterator[Trouble]:
    file = state.samples.file
    if file.held == "disk":
        what = "Sensor readings are not kept: the disk has too little room left"
        yield _later("samples_held", what, "Delete what is not needed; they are kept again when there is room")
    elif file.held == "gone":
        what = "Sensor readings are not kept: the directory of their file is gone"
        yield _later("samples_held", what, "Put `gateway.data_dir` back, and restart the gateway")
    elif file.held == "locked":
        what = "Sensor readings are not kept: another program has locked samples.db"
        yield _later("samples_held", what, "End that program (`fuser samples.db` finds it); the newest readings wait")
    elif file.begun_anew:
        what = "The file of sensor readings was damaged, and begun anew: what it held is gone"
        fix = "Change the disk if this happens again; a restart of the gateway takes this line away"
        yield _later("samples_begun_anew", what, fix)


def _told(dispenser: str, sauce: str, finding: Finding) -> Trouble:
    nozzle, amount = f"nozzle {finding.nozzle} of {dispenser}", finding.amount
    match finding.code:
        case "leak":
            what = f"{sauce} leaks at {nozzle}: about {amount:.1f} ml an hour are lost while nobody pours"
            return _urgent("bottle_leaks", what, "Look for drops under the nozzle; tighten or change it, and its seal")
        case "drift":
            what = f"The flow meter on {nozzle} is off: {abs(amount):.0%} {_more(amount)} flows than it counts"
            return _later("meter_drifts", what, "Clean the nozzle, then calibrate it with a known dose")
        case "stuck_level":
            what = f"The level sensor on {nozzle} is stuck: it says the same whatever happens"
            return _later("level_sensor_stuck", what, "Wipe it, and see that it is plugged in; else change it")
        case "stuck_thermometer":
            what = f"The thermometer of {dispenser} is stuck at {amount / 100:.1f} °C"
            return _later("thermometer_stuck", what, "See that it is plugged in; else change it")
        case "too_warm":
            what = f"The cabinet of {dispenser} is too warm: {amount / 100:.1f} °C"
            return _urgent("cabinet_too_warm", what, "Shut its door, clear its vents, look at its cooling")
        case "too_cold":
            what = f"The cabinet of {dispenser} is too cold: {amount / 100:.1f} °C"
            return _urgent("cabinet_too_cold", what, "Cold sauces flow badly: set its cooling, or move it")
        case "door_open":
            return _later("door_open", f"The door of {dispenser} stands open", "Shut it")
        case "tray_full":
            return _later("drip_tray_full", f"The drip tray of {dispenser} is full", "Empty it")
        case never:
            assert_never(never)


def _more(share: float) -> str:
    return "more" if share > 0 else "less"


def _since(state: GatewayState, finding: Finding) -> datetime | None:
    """When it was found; None where that was before the gateway knew the time."""
    offset_ms = state.clock.offset_ms
    return None if offset_ms is None or finding.since_ms < offset_ms else reads.moment(finding.since_ms)


def _urgent(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=True, what=what, fix=fix)


def _later(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=False, what=what, fix=fix)
