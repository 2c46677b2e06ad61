"""A flow meter's factor, found by test pours into a cylinder, and taken back."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from typing import Annotated

from fastapi import APIRouter, Request
from pydantic import Field

from firmware_bridge.verbs import Calibrate, TestPour
from gateway import orders
from gateway.calibration import MAX_ML, MIN_ML, POURS, Dose, factor
from gateway.orders import Order
from gateway.state import GatewayState
from gateway.web.answers import Answer, example
from gateway.web.api import nozzles_of
from gateway.web.dispensers.commands import PREFIX, CommandView, Dispenser, find, give, measured
from gateway.web.dispensers.told import ID, Model, Nozzle
from gateway.web.once import once_id
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb

router = APIRouter(prefix=PREFIX, tags=["v1"])


class CalibrationView(Answer):
    """A flow meter's factor, and the command that sets it."""

    nozzle: Annotated[int, example(2)]
    pulses_per_ml: Annotated[float, example(98.4)]
    spread: Annotated[float | None, example(0.012)]
    """Between the test pours' own factors, as a share of their mean; None for an undoing."""
    command: CommandView


THREE = [{"command": f"9f2c4e1ab07d33559f2c4e1ab07d335{each}", "volume_ml": 19.5} for each in range(POURS)]


class Pour(Model):
    """A test pour, and what was read off the cylinder."""

    command: Annotated[str, Field(pattern=ID, examples=["9f2c4e1ab07d33559f2c4e1ab07d3355"])]
    volume_ml: Annotated[float, Field(ge=MIN_ML, le=MAX_ML, examples=[19.5])]


class Calibration(Model):
    """Three test pours through one nozzle."""

    nozzle: Nozzle
    pours: Annotated[list[Pour], Field(min_length=POURS, max_length=10, examples=[THREE])]


class Undoing(Model):
    """Which nozzle gets its factor back."""

    nozzle: Nozzle


@router.post("/calibrations", status_code=202, responses=documented(400, 404, 409, 422, 503))
async def calibrate(request: Request, web: TheWeb, dispenser: Dispenser, calibration: Calibration) -> CalibrationView:
    """Set a flow meter's factor by test pours into a cylinder.

    Refused where they differ by more than 5 %, or one by more than 30 % from what the dispenser believes it poured.
    """
    if len({pour.command for pour in calibration.pours}) < len(calibration.pours):
        hint = f"Take {POURS} test pours, and read the cylinder after each"
        raise Problem(409, "same-pour", "one test pour is given more than once", hint=hint)
    doses = [_dose(web.state, dispenser, calibration.nozzle, pour) for pour in calibration.pours]
    return await set_factor(web.state, dispenser, calibration.nozzle, doses, once_id(request))


async def set_factor(
    state: GatewayState, dispenser: str, nozzle: int, doses: Sequence[Dose], command_id: bytes
) -> CalibrationView:
    """Set a flow meter's factor by these doses. Raises DataError, Problem."""
    found = factor(doses)
    arguments = Calibrate(nozzle=nozzle, pulses_per_litre=found.pulses_per_litre)
    view = await give(state, dispenser, arguments, command_id=command_id, asked_by="calibration")
    return CalibrationView(
        nozzle=nozzle, pulses_per_ml=found.pulses_per_litre / 1000, spread=found.spread, command=view
    )


@router.post("/calibrations/undo", status_code=202, responses=documented(404, 409, 422, 503))
async def undo(request: Request, web: TheWeb, dispenser: Dispenser, undoing: Undoing) -> CalibrationView:
    """Give a flow meter the factor that it had before its last calibration; again, before the one before that."""
    return await take_back(web.state, dispenser, undoing.nozzle, once_id(request))


async def take_back(state: GatewayState, dispenser: str, nozzle: int, command_id: bytes) -> CalibrationView:
    """Give a flow meter the factor that it had before. Raises Problem."""
    nozzles_of(state, dispenser)
    order = _to_undo(state, dispenser, nozzle)
    before = Calibrate(nozzle=nozzle, pulses_per_litre=(measured(order) or {})["before"])
    view = await give(state, dispenser, before, command_id=command_id, asked_by=orders.UNDO)
    return CalibrationView(nozzle=nozzle, pulses_per_ml=before.pulses_per_litre / 1000, spread=None, command=view)


def _to_undo(state: GatewayState, dispenser: str, nozzle: int) -> Order:
    """The last calibration that is in force.

    Raises:
        Problem: none is known, or it is not known yet whether a later one was carried out.
    """
    with closing(state.store.reader()) as reader:
        known = orders.calibrations(reader, dispenser)
    undone = 0
    for order in known:
        arguments = order.read_arguments()
        if not isinstance(arguments, Calibrate) or arguments.nozzle != nozzle:
            continue
        if order.ended_ms is None or order.state == "unknown":
            hint = f"See what becomes of it: picante dispensers commands {dispenser}. If it is never known, calibrate"
            what = f"whether the last calibration of nozzle {nozzle} was carried out is not known yet"
            raise Problem(409, "calibration-open", what, hint=hint)
        if order.state != "done" or order.measured is None:
            continue
        if order.asked_by == orders.UNDO:
            undone += 1
        elif undone:
            undone -= 1
        else:
            return order
    hint = "Only a calibration that this gateway ordered, and remembers, can be undone, and only once"
    raise Problem(404, "no-calibration", f"no calibration of nozzle {nozzle} is known here", hint=hint)


def _dose(state: GatewayState, dispenser: str, nozzle: int, pour: Pour) -> Dose:
    order = find(state, dispenser, pour.command)
    arguments, found = order.read_arguments(), measured(order)
    if not isinstance(arguments, TestPour) or arguments.nozzle != nozzle or order.state != "done" or found is None:
        hint = "Give the ids of test_pour commands of this nozzle that are done"
        raise Problem(
            409, "no-test-pour", f"{order.id} is no test pour through nozzle {nozzle} that is done", hint=hint
        )
    return Dose(found["pulses"], pour.volume_ml, found["volume_ul"] / 1000)
