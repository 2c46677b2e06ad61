"""Dispensers that are away, forgot events, pour too hot, or did not do what they were told."""

from __future__ import annotations

import time
from collections.abc import Iterator

from gateway.clock import DAY_MS, HOUR_MS
from gateway.orders import Order
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.dispenser_answers import DispenserView
from gateway.web.dispenser_views import titled
from gateway.web.language import Listed, Text
from gateway.web.repairs.repair import Fix, Repair

LOSS_TOLD_MS = DAY_MS
"""ms for which lost events are told of: a technician looks once a day at most."""
FAILED_COMMAND_MS = HOUR_MS
"""ms for which a failed command is told of, unless another one to its dispenser ends well before."""
ASKS_FROM = 2
"""The first version of the protocol in which a dispenser is told what must be confirmed."""
NAMED = 3
"""Dispensers that are named in one entry."""


def offline(dispensers: list[DispenserView]) -> Iterator[Repair]:
    """Those that were here before."""
    for dispenser in dispensers:
        if dispenser.adopted and not dispenser.online and dispenser.waiting is None:
            what = Text("{dispenser} is offline", dispenser=titled(dispenser))
            page = Fix("dispenser", Text("Look at it"), link=f"/dispensers/{dispenser.name}")
            yield Repair(
                "dispenser_offline", what, _ways(dispenser.link or ""), dispenser.name, dispenser.since, (page,)
            )


def _ways(link: str) -> tuple[Text, ...]:
    if not link:
        return (
            Text("It has never been here: plug it in"),
            Text("Or take it out of the provisioning file, and forget it"),
        )
    if link.startswith("mqtt:"):
        return (Text("Check its power"), Text("Check its network"))
    return (Text("Check its power"), Text("Check its cable ({port})", port=link.rpartition("/")[2]))


def untold(state: GatewayState) -> Iterator[Repair]:
    """Those of which Home Assistant is not told."""
    if state.untold:
        named: tuple[Text | str, ...] = tuple(sorted(state.untold)[:NAMED])
        if len(state.untold) > NAMED:
            named = (*named, Text("others"))
        what = Text(
            "Home Assistant is not told of {dispensers}: it would be too much at once", dispensers=Listed(named)
        )
        steps = (
            Text("It says that it has more nozzles than any: have it say HELLO again"),
            Text("Or update its firmware"),
        )
        yield Repair("home_untold", what, steps)


def lost_events(state: GatewayState) -> Iterator[Repair]:
    """Those whose memory was full before their events got here."""
    for loss in reads.losses(state.reader):
        if time.time() * 1000 - loss.last_ms < LOSS_TOLD_MS:
            what = Text(
                "{dispenser} lost {n} event: its memory was full before it got here",
                "{dispenser} lost {n} events: its memory was full before they got here",
                dispenser=loss.dispenser,
                n=loss.events,
            )
            steps = (
                Text("They can't be had again: this line goes after a day"),
                Text("Find out why it was offline for so long, or give it a larger memory"),
            )
            yield Repair("events_lost", what, steps, loss.dispenser, reads.moment(loss.last_ms))


def above_the_limit(state: GatewayState) -> Iterator[Repair]:
    """Those that pour what lies above the store's limit at the first press."""
    for name, known in state.dispensers.known.items():
        if known.link is None or not known.online or known.link.session.version >= ASKS_FROM:
            continue
        if hot := state.recommender.menus.to_confirm(known.hello.nozzles):
            nozzles = Listed(tuple(map(str, hot)))
            what = Text(
                "{dispenser} pours above the store's limit at the first press, from nozzle {nozzles}:"
                " its firmware can't ask",
                dispenser=name,
                nozzles=nozzles,
            )
            steps = (Text("Update its firmware"), Text("Or put sauces below limit_shu there"))
            yield Repair("limit_unconfirmed", what, steps, name)


def commands(state: GatewayState) -> Iterator[Repair]:
    """Of each dispenser the command that has no answer, or else the last one if it failed."""
    orders, now_ms = state.commands, state.clock.now().wall_ms
    failed = {
        name: order for name, order in orders.unhappy.items() if now_ms - (order.ended_ms or 0) < FAILED_COMMAND_MS
    }
    for name, order in sorted((failed | {order.dispenser: order for order in orders.unanswered()}).items()):
        yield _command(name, order)


def _command(name: str, order: Order) -> Repair:
    values = {"verb": order.verb, "dispenser": name, "state": order.state}
    what = Text("The command {verb} at {dispenser} failed, or has no answer ({state})", **values)
    steps = (
        Text("{command} says why", command=f"picante dispensers commands {name}"),
        Text("Give it again if it should be done"),
    )
    since = reads.moment(order.ended_ms or order.created_ms)
    page = Fix("dispenser", Text("Look at it"), link=f"/dispensers/{name}")
    return Repair("command_failed", what, steps, name, since, (page,))
