"""What the buttons of repairs do: by code and button, a function that mends it. API and page call the same."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Awaitable, Callable

from firmware_bridge.verbs import Lock
from gateway.adoption import AdoptionRefused
from gateway.commands import CommandRefused
from gateway.quarantine import DIRECTORY, quarantined
from gateway.web.confirm import YES, must_be_confirmed
from gateway.web.machine import doing
from gateway.web.picking.model import take_back_bundle
from gateway.web.problems import Problem
from gateway.web.repairs.repair import Repair
from gateway.web.web import Web
from gateway.web.who import Who
from heat.errors import DataError, StoreError

LOCK_GOOD_FOR_S = 600.0
"""s for which a lock waits for its dispenser: it is meant, whenever it gets there."""

Mend = Callable[[Web, Repair, Who], Awaitable[None]]


async def mend(web: Web, repair: Repair, name: str, who: Who, confirm: str) -> None:
    """Press a button; `confirm` is the word for one that is held.

    Raises:
        Problem: it has no such button, it was not confirmed, or what it does is refused, with the reason.
    """
    fix = repair.fix(name)
    if fix is None or fix.link is not None:
        buttons = ", ".join(each.name for each in repair.fixes if each.link is None)
        hint = f"It has {buttons}" if buttons else "Its steps say what to do"
        raise Problem(404, "no-such-fix", f"{repair.code} is not mended that way", hint=hint)
    if fix.hold:
        must_be_confirmed(confirm, YES)
    try:
        await FIXES[repair.code, name](web, repair, who)
    except AdoptionRefused as error:
        raise Problem(404 if error.missing else 409, error.code, str(error.args[0]), hint=error.hint) from error
    except CommandRefused as error:
        raise Problem(409, "not-queued", str(error.args[0]), hint=error.hint) from error
    except DataError as error:
        raise Problem(409, "not-mended", str(error.args[0]), hint=error.hint) from error
    except StoreError as error:
        raise Problem(503, "not-kept", str(error.args[0]), hint=error.hint) from error


async def _adopt(web: Web, repair: Repair, _who: Who) -> None:
    await web.state.adoption.adopt(repair.subject, key=None, name=None, planogram={})


async def _go_on(web: Web, _repair: Repair, _who: Who) -> None:
    if web.state.uplink is not None:
        await web.state.uplink.adopt()


async def _delete_aside(web: Web, repair: Repair, _who: Who) -> None:
    place = web.state.store.settings.data_dir / DIRECTORY / repair.subject
    if place.parent.name != DIRECTORY or place.name != repair.subject or place.is_symlink():
        raise Problem(409, "not-mended", "that is nothing that was set aside", hint="Look again")
    try:
        await asyncio.to_thread(shutil.rmtree, place)
    except OSError as error:
        raise Problem(503, "not-kept", f"{place}: {error.strerror}", hint="Delete it by hand") from error
    web.state.store.quarantined = quarantined(web.state.store.settings.data_dir)


async def _tell_plan_again(web: Web, repair: Repair, _who: Who) -> None:
    await web.state.adoption.place(repair.subject, dict(web.state.plans.of(repair.subject).planogram))


async def _plan_as_it_is(web: Web, repair: Repair, _who: Who) -> None:
    known = web.state.dispensers.known.get(repair.subject)
    if known is not None:
        has = {nozzle.nozzle: nozzle.sauce for nozzle in known.hello.nozzles}
        planned = web.state.plans.of(repair.subject).planogram
        await web.state.adoption.place(repair.subject, {n: has[n] for n in planned if n in has})


async def _rotate(web: Web, repair: Repair, _who: Who) -> None:
    await web.state.adoption.rotate(repair.subject)


async def _seen_samples(web: Web, _repair: Repair, _who: Who) -> None:
    web.state.samples.file.begun_anew = 0


async def _leak_mended(web: Web, repair: Repair, _who: Who) -> None:
    dispenser, _, nozzle = repair.subject.rpartition("-")
    await web.state.samples.leak_mended(dispenser, int(nozzle))


async def _vouch(web: Web, _repair: Repair, who: Who) -> None:
    doing.vouch_for_the_clock(web, who.name)


async def _settle(web: Web, _repair: Repair, _who: Who) -> None:
    await doing.settle(web)
    await web.board.read()


async def _take_model_back(web: Web, _repair: Repair, who: Who) -> None:
    await take_back_bundle(web, who)


async def _lock(web: Web, repair: Repair, _who: Who) -> None:
    dispenser, _, _nozzle = repair.subject.rpartition("-")
    await web.state.commands.enqueue(dispenser, Lock(locked=True), LOCK_GOOD_FOR_S, asked_by="repairs")


FIXES: dict[tuple[str, str], Mend] = {
    ("dispenser_unadopted", "adopt"): _adopt,
    ("sync_foreign", "go-on"): _go_on,
    ("store_quarantined", "delete"): _delete_aside,
    ("clock_jumped", "right"): _vouch,
    ("restored", "seen"): _settle,
    ("model_fallback", "take-back"): _take_model_back,
    ("planogram_differs", "tell"): _tell_plan_again,
    ("planogram_differs", "as-it-is"): _plan_as_it_is,
    ("key_not_taken", "rotate"): _rotate,
    ("samples_begun_anew", "seen"): _seen_samples,
    ("bottle_recalled", "lock"): _lock,
    ("bottle_leaks", "mended"): _leak_mended,
}
"""By the code of the repair and the name of the button."""
