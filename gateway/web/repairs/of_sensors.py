"""What the sensors say is wrong: one entry a finding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import assert_never

from gateway.plausibility import Finding
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.dispenser_answers import DispenserView
from gateway.web.language import Amount, Share, Text
from gateway.web.repairs.repair import Fix, Repair

SEEN = Fix("seen", Text("I have seen it"))
MENDED = Fix("mended", Text("It is mended"))


def sensor_repairs(state: GatewayState, dispensers: list[DispenserView]) -> Iterator[Repair]:
    """The list."""
    online = {dispenser.name: dispenser.nozzles for dispenser in dispensers if dispenser.online}
    for dispenser, findings in sorted(state.samples.findings.items()):
        for finding in findings if dispenser in online else ():
            names = {nozzle.nozzle: nozzle.name for nozzle in online[dispenser]}
            found = _told(dispenser, names.get(finding.nozzle), finding)
            yield replace(found, since=_since(state, finding))
    yield from _of_file(state)


def _of_file(state: GatewayState) -> Iterator[Repair]:
    file = state.samples.file
    match file.held:
        case "disk":
            what = Text("Sensor readings are not kept: the disk has too little room left")
            steps = (Text("Delete what is not needed; they are kept again when there is room"),)
        case "gone":
            what = Text("Sensor readings are not kept: the directory of their file is gone")
            steps = (Text("Put `gateway.data_dir` back, and restart the gateway"),)
        case "locked":
            what = Text("Sensor readings are not kept: another program has locked samples.db")
            steps = (Text("End that program (`fuser samples.db` finds it); the newest readings wait"),)
        case "broken" | None:
            if file.begun_anew:
                what = Text("The file of sensor readings was damaged, and begun anew: what it held is gone")
                change = (Text("Change the disk if this happens again"),)
                yield Repair("samples_begun_anew", what, change, fixes=(SEEN,))
            return
        case never:
            assert_never(never)
    yield Repair("samples_held", what, steps)


def _told(dispenser: str, sauce: str | None, finding: Finding) -> Repair:
    values = {"nozzle": finding.nozzle, "dispenser": dispenser, "sauce": sauce or Text("The sauce")}
    on_nozzle, amount = f"{dispenser}-{finding.nozzle}", finding.amount
    celsius = Amount(amount / 100, "celsius", 1)
    calibrate = (Fix("calibrate", Text("Calibrate"), link=f"/dispensers/{dispenser}"),)
    match finding.code:
        case "leak":
            lost = Amount(amount, "milliliter", 1)
            what = Text(
                "{sauce} leaks at nozzle {nozzle} of {dispenser}: about {lost} an hour are lost while nobody pours",
                **values,
                lost=lost,
            )
            steps = (Text("Look for drops under the nozzle"), Text("Tighten it, or change it and its seal"))
            return Repair("bottle_leaks", what, steps, on_nozzle, fixes=(MENDED,))
        case "drift":
            off = {**values, "share": Share(abs(amount))}
            what = (
                Text("The flow meter on nozzle {nozzle} of {dispenser} counts too little: {share} more flows", **off)
                if amount > 0
                else Text("The flow meter on nozzle {nozzle} of {dispenser} counts too much: {share} less flows", **off)
            )
            steps = (Text("Clean the nozzle"), Text("Calibrate it with known doses"))
            return Repair("meter_drifts", what, steps, on_nozzle, fixes=calibrate)
        case "stuck_level":
            what = Text(
                "The level sensor on nozzle {nozzle} of {dispenser} is stuck: it always says the same",
                **values,
            )
            steps = (Text("Wipe it, and see that it is plugged in"), Text("Else change it"))
            return Repair("level_sensor_stuck", what, steps, on_nozzle)
        case "stuck_thermometer":
            what = Text("The thermometer of {dispenser} is stuck at {heat}", **values, heat=celsius)
            steps = (Text("See that it is plugged in"), Text("Else change it"))
            return Repair("thermometer_stuck", what, steps, dispenser)
        case "too_warm":
            what = Text("The cabinet of {dispenser} is too warm: {heat}", **values, heat=celsius)
            steps = (Text("Shut its door, and clear its vents"), Text("Look at its cooling"))
            return Repair("cabinet_too_warm", what, steps, dispenser)
        case "too_cold":
            what = Text("The cabinet of {dispenser} is too cold: {heat}", **values, heat=celsius)
            return Repair("cabinet_too_cold", what, (Text("Set its cooling, or move it"),), dispenser)
        case "door_open":
            what = Text("The door of {dispenser} stands open", **values)
            return Repair("door_open", what, (Text("Shut it"),), dispenser)
        case "tray_full":
            what = Text("The drip tray of {dispenser} is full", **values)
            return Repair("drip_tray_full", what, (Text("Empty it"),), dispenser)
        case never:
            assert_never(never)


def _since(state: GatewayState, finding: Finding) -> datetime | None:
    """When it was found; None where that was before the gateway knew the time."""
    offset_ms = state.clock.offset_ms
    return None if offset_ms is None or finding.since_ms < offset_ms else reads.moment(finding.since_ms)
