"""Telling dispensers what to do, and reading what became of it."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query
from pydantic import Field

from firmware_bridge.codec import BadMessage
from firmware_bridge.verbs import AnyArguments, Calibrate, SetKey, TestPour
from gateway import orders
from gateway.calibration import POURS, Dose, factor
from gateway.commands import CommandRefused, IdTaken
from gateway.orders import Order
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import Answer, example
from gateway.web.api import nozzles_of
from gateway.web.problems import Problem, documented
from gateway.web.told import EXPIRES_S, ID, About, AnyTold, Model, Nozzle
from gateway.web.web import TheWeb
from heat.errors import StoreError
from heat.identity import SOURCE_NAME

router = APIRouter(prefix="/api/v1/dispensers/{dispenser}", tags=["v1"])

Dispenser = Annotated[str, Path(pattern=SOURCE_NAME.pattern.replace(r"\Z", "$"))]
Id = Annotated[str, Path(pattern=ID)]
SEARCHED = orders.KEPT_ROWS
"""Commands of a dispenser in which its last calibration is looked for: all that are kept."""


class CommandView(Answer):
    """A command to a dispenser, and what became of it."""

    id: Annotated[str, example("9f2c4e1ab07d33559f2c4e1ab07d3355")]
    dispenser: Annotated[str, example("hot-bar-1")]
    verb: Annotated[str, example("test_pour")]
    arguments: dict[str, Any]
    """As they travel; a key is withheld."""
    state: Annotated[str, example("done")]
    """queued, sent, running; done, refused, failed, expired, interrupted, unsupported, dropped; or unknown."""
    ended: datetime | None
    """None while it waits, runs, or is asked after."""
    detail: Annotated[str, example("a customer stands there")]
    measured: dict[str, int] | None
    """What the dispenser measured: pulses, volume_ul and duration_ms; or a setting before and now."""
    asked_by: Annotated[str, example("api")]
    created: datetime
    expires_in_s: Annotated[float, example(60)]
    """For how long it was good."""


class CommandList(Answer):
    """A dispenser's last commands, newest first."""

    commands: list[CommandView]


class CalibrationView(Answer):
    """A flow meter's factor, and the command that sets it."""

    nozzle: Annotated[int, example(2)]
    pulses_per_ml: Annotated[float, example(98.4)]
    spread: Annotated[float | None, example(0.012)]
    """Between the test pours' own factors, as a share of their mean; None for an undoing."""
    command: CommandView


@router.post("/commands", status_code=202, responses=documented(404, 409, 422, 503))
async def tell(web: TheWeb, dispenser: Dispenser, told: Annotated[AnyTold, Field()]) -> CommandView:
    """Give a command. It is on disk when this answers, and sent as soon as the dispenser is there."""
    state = web.state
    command_id = secrets.token_bytes(16) if told.id is None else bytes.fromhex(told.id)
    arguments = told.travelling(About(command_id, nozzles_of(state, dispenser), state.catalog))
    return await _give(
        state, dispenser, arguments, expires_in_s=told.expires_in_s, command_id=command_id, asked_by=told.asked_by
    )


@router.get("/commands", responses=documented(404, 422))
async def commands(
    web: TheWeb, dispenser: Dispenser, limit: Annotated[int, Query(ge=1, le=orders.KEPT_ROWS)] = 20
) -> CommandList:
    """A dispenser's last commands, newest first. Those that ended are kept for 90 days, the last 500 of all."""
    nozzles_of(web.state, dispenser)
    found = await asyncio.to_thread(_newest, web.state, dispenser, limit)
    return CommandList(commands=[command_view(web.state, order) for order in found])


@router.get("/commands/{command}", responses=documented(404, 422))
async def command(web: TheWeb, dispenser: Dispenser, command: Id) -> CommandView:
    """One command, and what became of it so far."""
    return command_view(web.state, _find(web.state, dispenser, command))


class Pour(Model):
    """A test pour, and what was read off the cylinder."""

    command: Annotated[str, Field(pattern=ID)]
    volume_ml: Annotated[float, Field(gt=0, le=1_000)]


class Calibration(Model):
    """Three test pours through one nozzle."""

    nozzle: Nozzle
    pours: Annotated[list[Pour], Field(min_length=POURS, max_length=10)]


class Undoing(Model):
    """Which nozzle gets its factor back."""

    nozzle: Nozzle


@router.post("/calibrations", status_code=202, responses=documented(400, 404, 409, 422, 503))
async def calibrate(web: TheWeb, dispenser: Dispenser, calibration: Calibration) -> CalibrationView:
    """Set a flow meter's factor by test pours into a cylinder; refused where they differ by more than 5 %."""
    found = factor([_dose(web.state, dispenser, calibration.nozzle, pour) for pour in calibration.pours])
    arguments = Calibrate(nozzle=calibration.nozzle, pulses_per_litre=found.pulses_per_litre)
    view = await _give(web.state, dispenser, arguments, asked_by="calibration")
    return CalibrationView(
        nozzle=calibration.nozzle, pulses_per_ml=found.pulses_per_litre / 1000, spread=found.spread, command=view
    )


@router.post("/calibrations/undo", status_code=202, responses=documented(404, 409, 422, 503))
async def undo(web: TheWeb, dispenser: Dispenser, undoing: Undoing) -> CalibrationView:
    """Give a flow meter the factor that it had before its last calibration."""
    nozzles_of(web.state, dispenser)
    for order in await asyncio.to_thread(_newest, web.state, dispenser, SEARCHED):
        arguments, measured = order.read_arguments(), _measured(order)
        if isinstance(arguments, Calibrate) and arguments.nozzle == undoing.nozzle and order.state == "done":
            before = Calibrate(nozzle=undoing.nozzle, pulses_per_litre=(measured or {})["before"])
            view = await _give(web.state, dispenser, before, asked_by="calibration")
            per_ml = before.pulses_per_litre / 1000
            return CalibrationView(nozzle=undoing.nozzle, pulses_per_ml=per_ml, spread=None, command=view)
    hint = "Only a calibration that this gateway ordered, and remembers, can be undone"
    raise Problem(404, "no-calibration", f"no calibration of nozzle {undoing.nozzle} is known here", hint=hint)


def command_view(state: GatewayState, order: Order) -> CommandView:
    """An order as the API tells it."""
    arguments, detail = order.read_arguments(), order.detail
    if order.state == "queued" and not detail and state.dispensers.reach(order.dispenser) is None:
        detail = "the dispenser is away; it is sent once it is back"
    return CommandView(
        id=order.id,
        dispenser=order.dispenser,
        verb=order.verb,
        arguments={} if isinstance(arguments, BadMessage) else _told(arguments),
        state=order.state,
        ended=None if order.ended_ms is None else reads.moment(order.ended_ms),
        detail=detail,
        measured=_measured(order),
        asked_by=order.asked_by,
        created=reads.moment(order.created_ms),
        expires_in_s=order.lifetime_ms / 1000,
    )


async def _give(
    state: GatewayState,
    dispenser: str,
    arguments: AnyArguments,
    *,
    expires_in_s: float = EXPIRES_S,
    command_id: bytes | None = None,
    asked_by: str,
) -> CommandView:
    try:
        order = await state.commands.enqueue(
            dispenser, arguments, expires_in_s, asked_by=asked_by, command_id=command_id
        )
    except CommandRefused as error:
        code = "id-taken" if isinstance(error, IdTaken) else "too-many-commands"
        raise Problem(409, code, str(error.args[0]), hint=error.hint) from None
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None
    return command_view(state, order)


def _newest(state: GatewayState, dispenser: str, limit: int) -> list[Order]:
    with closing(state.store.reader()) as reader:
        return orders.newest(reader, dispenser, limit)


def _find(state: GatewayState, dispenser: str, command: str) -> Order:
    order = orders.find(state.reader, command)
    if order is None or order.dispenser != dispenser:
        hint = f"GET /api/v1/dispensers/{dispenser}/commands lists those that are known"
        raise Problem(404, "no-such-command", "no command of this dispenser has this id", hint=hint)
    return order


def _dose(state: GatewayState, dispenser: str, nozzle: int, pour: Pour) -> Dose:
    order = _find(state, dispenser, pour.command)
    arguments, measured = order.read_arguments(), _measured(order)
    if not isinstance(arguments, TestPour) or arguments.nozzle != nozzle or order.state != "done" or measured is None:
        hint = "Give the ids of test_pour commands of this nozzle that are done"
        raise Problem(
            409, "no-test-pour", f"{order.id} is no test pour through nozzle {nozzle} that is done", hint=hint
        )
    return Dose(measured["pulses"], pour.volume_ml)


def _measured(order: Order) -> dict[str, int] | None:
    return None if order.measured is None else msgspec.json.decode(order.measured, type=dict[str, int])


def _told(arguments: AnyArguments) -> dict[str, Any]:
    if isinstance(arguments, SetKey):
        return {"key_id": arguments.key_id.hex()}
    told: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(arguments))
    return told
