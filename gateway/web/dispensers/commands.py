"""Telling dispensers what to do, and reading what became of it."""

from __future__ import annotations

import asyncio
from contextlib import closing
from datetime import datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Path, Query, Request
from pydantic import Field

from firmware_bridge.codec import BadMessage
from firmware_bridge.verbs import AnyArguments, SetKey
from gateway import orders
from gateway.commands import CommandRefused, IdTaken
from gateway.order_queue import PACE
from gateway.orders import Order
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import SOURCE, Answer, example
from gateway.web.api import nozzles_of
from gateway.web.dispensers.told import EXPIRES_S, ID, About, AnyTold
from gateway.web.once import once_id
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb, Web
from heat.errors import StoreError

PREFIX = "/api/v1/dispensers/{dispenser}"
router = APIRouter(prefix=PREFIX, tags=["v1"])

Dispenser = Annotated[str, Path(pattern=SOURCE, examples=["hot-bar-1"])]
Id = Annotated[str, Path(pattern=ID, examples=["9f2c4e1ab07d33559f2c4e1ab07d3355"])]


class CommandView(Answer):
    """A command to a dispenser, and what became of it."""

    id: Annotated[str, example("9f2c4e1ab07d33559f2c4e1ab07d3355")]
    dispenser: Annotated[str, example("hot-bar-1")]
    verb: Annotated[str, example("test_pour")]
    arguments: Annotated[dict[str, Any], example({"nozzle": 2, "volume_ul": 20000})]
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


@router.post("/commands", status_code=202, responses=documented(404, 409, 422, 503))
async def tell(request: Request, web: TheWeb, dispenser: Dispenser, told: Annotated[AnyTold, Field()]) -> CommandView:
    """Give a command. It is on disk when this answers, and sent as soon as the dispenser is there."""
    return await order(web, dispenser, told, once_id(request))


async def order(web: Web, dispenser: str, told: AnyTold, once: bytes) -> CommandView:
    """Give a command, whose id is `once` unless it brings its own. Raises Problem where it is not taken."""
    state = web.state
    command_id = once if told.id is None else bytes.fromhex(told.id)
    nozzles = nozzles_of(state, dispenser)
    levels = ((each, web.watch.levels.level_ml(dispenser, each.nozzle)) for each in nozzles)
    levels_ml = {each.nozzle: each.level_ml if level is None else level for each, level in levels}
    arguments = told.travelling(About(command_id, nozzles, state.catalog, levels_ml, web.address))
    return await give(
        state, dispenser, arguments, expires_in_s=told.expires_in_s, command_id=command_id, asked_by=told.asked_by
    )


@router.get("/commands", responses=documented(404, 422))
async def commands(
    web: TheWeb, dispenser: Dispenser, limit: Annotated[int, Query(ge=1, le=orders.KEPT_ROWS)] = 20
) -> CommandList:
    """A dispenser's last commands, newest first. Those that ended are kept for 90 days, the last 500 of all."""
    nozzles_of(web.state, dispenser)
    return CommandList(commands=await newest(web.state, dispenser, limit))


@router.get("/commands/{command}", responses=documented(404, 422))
async def command(web: TheWeb, dispenser: Dispenser, command: Id) -> CommandView:
    """One command, and what became of it so far."""
    return command_view(web.state, find(web.state, dispenser, command))


def command_view(state: GatewayState, order: Order) -> CommandView:
    """An order as the API tells it."""
    arguments, detail = order.read_arguments(), order.detail
    if order.state == "queued" and not detail:
        detail = _waits_for(state, order)
    return CommandView(
        id=order.id,
        dispenser=order.dispenser,
        verb=order.verb,
        arguments={} if isinstance(arguments, BadMessage) else _told(arguments),
        state=order.state,
        ended=None if order.ended_ms is None else reads.moment(order.ended_ms),
        detail=detail,
        measured=measured(order),
        asked_by=order.asked_by,
        created=reads.moment(order.created_ms),
        expires_in_s=order.lifetime_ms / 1000,
    )


def _waits_for(state: GatewayState, order: Order) -> str:
    if state.dispensers.reach(order.dispenser) is None:
        return "the dispenser is away; it is sent once it is back"
    if rest_s := state.commands.rest_s(order):
        return f"waits its turn, about {-(-rest_s // 10) * 10} s: {PACE}"
    return ""


async def give(
    state: GatewayState,
    dispenser: str,
    arguments: AnyArguments,
    *,
    expires_in_s: float = EXPIRES_S,
    command_id: bytes | None = None,
    asked_by: str,
) -> CommandView:
    """Have a command go its way. Raises Problem where it is not taken."""
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


async def newest(state: GatewayState, dispenser: str, limit: int) -> list[CommandView]:
    """A dispenser's last commands, newest first."""
    return [command_view(state, each) for each in await asyncio.to_thread(_newest, state, dispenser, limit)]


def _newest(state: GatewayState, dispenser: str, limit: int) -> list[Order]:
    with closing(state.store.reader()) as reader:
        return orders.newest(reader, dispenser, limit)


def find(state: GatewayState, dispenser: str, command: str) -> Order:
    """A command of this dispenser. Raises Problem if there is none of this id."""
    order = orders.find(state.reader, command)
    if order is None or order.dispenser != dispenser:
        hint = f"GET /api/v1/dispensers/{dispenser}/commands lists those that are known"
        raise Problem(404, "no-such-command", "no command of this dispenser has this id", hint=hint)
    return order


def measured(order: Order) -> dict[str, int] | None:
    """What the dispenser measured, by the names of `verbs`."""
    return None if order.measured is None else msgspec.json.decode(order.measured, type=dict[str, int])


def _told(arguments: AnyArguments) -> dict[str, Any]:
    if isinstance(arguments, SetKey):
        return {"key_id": arguments.key_id.hex()}
    told: dict[str, Any] = msgspec.to_builtins(msgspec.structs.asdict(arguments))
    return told
