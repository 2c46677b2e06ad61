"""What a technician does to a dispenser: adopts, names and forgets it, plans its nozzles, gives it another key.

    unadopted --adopt--> key made --PROVISION, READY--> adopted --rotate--> two keys --set_key, READY--> adopted
        ^                                                  |
        +---------------------- forget --------------------+

Each step is on disk before it is answered or sent, so that whoever is cut off goes on where it was: a key that was made
is told at the next HELLO, a new one is sent until a READY proves it. A planogram is told until HELLO tells it back.
"""

from __future__ import annotations

import functools
import hmac
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Protocol

from cloud_sync.nearest import nearest
from firmware_bridge.proofs import key_id, mask_key
from firmware_bridge.verbs import AnyArguments, Placed, SetKey, SetPlanogram
from gateway.dispensers import Dispensers
from gateway.keyring import Keyring
from gateway.plans import Plan, Plans, check_planogram, check_title
from gateway.strangers import Stranger
from heat.catalog import Catalog
from heat.errors import DataError, PicanteError

RESET = "Reset it to the factory's settings (its reset button, ten seconds)"
GOOD_FOR_S = 60.0
"""s in which a dispenser that is there must begin with what it is told."""
ANOTHER_ID = "Give one of the two another id (a setting of its firmware), or unplug it"
ASKED_BY = "adoption"
PAUSE_S = 10.0
"""s until it is told again what it did not do: a customer stood there. Doubles up to `SLOWEST_S`."""
SLOWEST_S = 600.0
TRIES = 40
"""Times that it is told, some six hours, until the gateway starts anew or somebody asks again."""
STUBBORN = 4
"""Times after which the page tells of it: more than a minute."""


class AdoptionRefused(PicanteError):
    """Something that can't be done to this dispenser now. `code` says why; `missing`: nobody of its name is here."""

    def __init__(self, code: str, message: str, *, hint: str, missing: bool = False) -> None:
        super().__init__(message, hint=hint)
        self.code = code
        self.missing = missing


class Queue(Protocol):
    """Where commands wait for dispensers."""

    async def enqueue(
        self,
        dispenser: str,
        arguments: AnyArguments,
        expires_in_s: float,
        *,
        asked_by: str,
        command_id: bytes | None = None,
    ) -> object:
        """Take a command, once for each id. Raises PicanteError."""

    def waits(self, dispenser: str, command_id: bytes) -> bool:
        """Whether this command has not ended."""

    async def drop(self, dispenser: str) -> None:
        """Drop what waits for it, and what was measured at its meters. Raises StoreError."""


@dataclass(slots=True)
class _Handing:
    """Something that a dispenser is to take: a new key, or a planogram."""

    what: bytes | SetPlanogram
    command: bytes | None = None
    """The last COMMAND with it."""
    tries: int = 0
    due_s: float = 0.0
    pause_s: float = PAUSE_S

    def __repr__(self) -> str:
        return f"_Handing({type(self.what).__name__}, tries={self.tries})"  # it may be a key


class Adoption:
    """The technician's hand."""

    def __init__(self, dispensers: Dispensers, plans: Plans, catalog: Catalog, queue: Queue) -> None:
        self._dispensers = dispensers
        self._keyring: Keyring = dispensers.keyring
        self._plans = plans
        self.catalog = catalog
        self._queue = queue
        self._handings: dict[tuple[str, type], _Handing] = {}

    async def adopt(
        self, dispenser: str, *, key: bytes | None = None, name: str | None = None, planogram: Mapping[int, str]
    ) -> None:
        """Give it a key: this one, which it has already, or one made here, which it is told at its next HELLO.

        Again, with nothing new, it does nothing.

        Raises:
            AdoptionRefused: nobody of this name waits, it has a key, or is in no state to be given one.
            DataError: a name or planogram that is none.
            StoreError: it can't be kept. Nothing was changed, or it is adopted without its name or planogram.
        """
        stranger = self._dispensers.strangers.get(dispenser)
        title = None if name is None else self._free(dispenser, name)
        nozzles = None if stranger is None else [nozzle.nozzle for nozzle in stranger.hello.nozzles]
        placed = check_planogram(planogram, self.catalog, nozzles) if planogram else {}
        if stranger is not None and key is None and (elsewhere := self._elsewhere(stranger)) is not None:
            what = f"{dispenser} on {stranger.link} is not the only one: another of this name {elsewhere}"
            raise AdoptionRefused("name-taken", what, hint=ANOTHER_ID)
        if self._keyring.is_adopted(dispenser):
            self._check_adopted_again(dispenser, stranger, key)
        else:
            if key is None:
                self._check_takes_a_key(dispenser, stranger)
            elif stranger is not None and stranger.takes_a_key:
                hint = f"Adopt it without one, and one is made and told to it: picante dispensers adopt {dispenser}"
                raise AdoptionRefused("has-no-key", f"{dispenser} has no key, so not this one either", hint=hint)
            await self._keyring.adopt(dispenser, key)
        if title is not None:
            await self._plans.rename(dispenser, title)
        if placed:
            await self._plans.place(dispenser, placed)

    async def rename(self, dispenser: str, name: str) -> None:
        """Call it so. Raises AdoptionRefused, DataError, StoreError."""
        self._check_known(dispenser)
        await self._plans.rename(dispenser, self._free(dispenser, name))

    async def place(self, dispenser: str, planogram: Mapping[int, str]) -> None:
        """Have these sauces on its nozzles; those not named stay planned as they were.

        Raises:
            AdoptionRefused: nobody has this name.
            DataError: a sauce that the catalogue lacks, or a nozzle that it hasn't.
            StoreError: it can't be kept.
        """
        self._check_known(dispenser)
        await self._plans.place(dispenser, check_planogram(planogram, self.catalog, self._nozzles(dispenser)))
        self._handings.pop((dispenser, SetPlanogram), None)
        await self.carry_on()

    async def plan_all(self, told: Mapping[str, Plan]) -> dict[str, DataError]:
        """Name and plan adopted dispensers, all in one commit; what is left out stays. Raises StoreError.

        Who could not be named or planned so is returned, with why.
        """
        async with self._plans.changing:
            refused, plans = self._planned(told)
            await self._plans.keep(plans)
        return refused

    def _planned(self, told: Mapping[str, Plan]) -> tuple[dict[str, DataError], dict[str, Plan]]:
        """Who can't be named or planned so, and what becomes of all plans."""
        names, refused, plans = self._plans.names, dict[str, DataError](), dict[str, Plan]()
        for dispenser, wanted in told.items():
            plan = self._plans.of(dispenser)
            try:
                if wanted.name is not None and wanted.name != plan.name:
                    if (other := names.get(wanted.name)) is not None:
                        raise _taken(other, wanted.name)
                    if plan.name is not None:
                        del names[plan.name]
                    names[wanted.name] = dispenser
                    plan = replace(plan, name=wanted.name)
                if wanted.planogram:
                    plan = plan.placed(check_planogram(wanted.planogram, self.catalog, self._nozzles(dispenser)))
            except DataError as error:
                refused[dispenser] = error
            plans[dispenser] = plan
        return refused, plans

    async def rotate(self, dispenser: str) -> None:
        """Have it take a new key, now or when it is back. Raises AdoptionRefused, StoreError."""
        self._check_known(dispenser)
        known = self._dispensers.known.get(dispenser)
        if not self._keyring.is_proved(dispenser):
            hint = (
                "Its key is new, and waits for its first HELLO" if self._keyring.is_adopted(dispenser) else "Adopt it"
            )
            raise AdoptionRefused("no-key-yet", f"{dispenser} has no key that could be changed", hint=hint)
        if known is not None and max(known.hello.versions) < 2:
            hint = "Update its firmware, or change its key by hand: forget it, and adopt it with --key-file"
            raise AdoptionRefused("takes-no-key", f"{dispenser} speaks version 1, which changes no keys", hint=hint)
        await self._keyring.rotate(dispenser)
        if (handing := self._handings.get((dispenser, bytes))) is not None:
            handing.due_s, handing.tries = 0.0, min(handing.tries, 1)
        await self.carry_on()

    async def forget(self, dispenser: str) -> None:
        """Take its key away, and close its link. Its events stay. Raises AdoptionRefused, StoreError."""
        self._check_known(dispenser)
        await self._keyring.forget(dispenser)
        for kind in (bytes, SetPlanogram):
            self._handings.pop((dispenser, kind), None)
        self._dispensers.forget(dispenser)
        await self._queue.drop(dispenser)
        await self._plans.forget(dispenser)

    async def carry_on(self) -> None:
        """Tell dispensers that are there what they have yet to take; call it about once a second.

        Raises:
            PicanteError: the queue does not take it now.
        """
        for dispenser, known in list(self._dispensers.known.items()):
            if known.link is None or not known.online or known.link.session.version < 2:
                continue
            present, new = self._keyring.key_of(dispenser, known.hello.key_id), self._keyring.pending(dispenser)
            if present is not None and new is not None and present != new:
                await self._hand(dispenser, new, functools.partial(_masked, present, new))
            else:
                self._handings.pop((dispenser, bytes), None)
            if differing := self._plans.of(dispenser).differing(known.hello.nozzles):
                placed = SetPlanogram(placed=tuple(Placed(*each) for each in sorted(differing.items())))
                await self._hand(dispenser, placed, functools.partial(_unchanged, placed))
            else:
                self._handings.pop((dispenser, SetPlanogram), None)

    def is_stubborn(self, dispenser: str, about: type[bytes | SetPlanogram]) -> bool:
        """Whether it was told again and again to take a new key (`bytes`) or a planogram, and did not."""
        handing = self._handings.get((dispenser, about))
        return handing is not None and handing.tries >= STUBBORN

    async def _hand(self, dispenser: str, what: bytes | SetPlanogram, ask: Callable[[bytes], AnyArguments]) -> None:
        """Queue what a dispenser is to take, unless it is queued; after a pause again, if that came to nothing."""
        kind, now_s = type(what), time.monotonic()
        handing = self._handings.get((dispenser, kind))
        if handing is None or handing.what != what:
            handing = self._handings[dispenser, kind] = _Handing(what)
        if handing.tries >= TRIES or now_s < handing.due_s:
            return
        if handing.command is not None and self._queue.waits(dispenser, handing.command):
            return
        # a new key's first follows from it: a daemon that was killed meanwhile queues no second one
        if isinstance(what, bytes) and not handing.tries:
            handing.command = hmac.digest(what, b"picante rotation", "sha256")[:16]
        else:
            handing.command = secrets.token_bytes(16)
        handing.tries += 1
        handing.due_s, handing.pause_s = now_s + handing.pause_s, min(2 * handing.pause_s, SLOWEST_S)
        arguments = ask(handing.command)
        await self._queue.enqueue(dispenser, arguments, GOOD_FOR_S, asked_by=ASKED_BY, command_id=handing.command)

    def advice(self, stranger: Stranger) -> tuple[str, str]:
        """Why somebody is not let in, and what to do about it: two sentences for the page."""
        dispenser, command = stranger.hello.dispenser, f"picante dispensers adopt {stranger.hello.dispenser}"
        if (elsewhere := self._elsewhere(stranger)) is not None:
            return f"another dispenser of this name {elsewhere}", ANOTHER_ID
        if not self._keyring.is_adopted(dispenser):
            return self._keyless(stranger, command)
        if stranger.reason == "unadopted" and self._knows_key_of(stranger):
            return "it is adopted, and let in at its next HELLO", "Wait: that takes 10 s at most"
        if not stranger.takes_a_key and not self._keyring.is_proved(dispenser):
            return "it has another key than the new one that was made for it", f"{RESET}: it is told the new one then"
        if not stranger.takes_a_key:
            forget = f"picante dispensers forget {dispenser}"
            return "its key is not the one that is known here", f"{RESET}, then {forget}, then {command}"
        if self._keyring.is_proved(dispenser):
            return "it had a key, and has lost it", f"picante dispensers forget {dispenser}, then {command}"
        if not stranger.private:
            where = "Connect it by cable to this machine once, or use TLS ([mqtt] tls)"
            return "it is adopted, and a key is not told on a line that others may hear", where
        return "it is adopted, and gets its key at its next HELLO", "Wait: that takes 10 s at most"

    def _keyless(self, stranger: Stranger, command: str) -> tuple[str, str]:
        """The advice about one that has no key here."""
        by_hand = f"{command} --key-file FILE"
        if stranger.takes_a_key:
            return "it has no key", command
        if stranger.hello.key_id is None:
            return "it takes no key, and its own is not known here", f"{by_hand}, with its key"
        if self._keyring.is_retired(stranger.hello.dispenser, stranger.hello.key_id):
            why = "it was forgotten here, and its key in a file counts no more"
            return why, f"{RESET}, then {command}. Or, with its key again: {by_hand}"
        return "it has the key of another gateway", f"{RESET}, then {command}. Or: {by_hand}"

    def _elsewhere(self, stranger: Stranger) -> str | None:
        """Where there is another one of its name."""
        known = self._dispensers.known.get(stranger.hello.dispenser)
        if known is not None and known.online and known.link is not None and known.link.name != stranger.link:
            return f"is online on {known.link.name}"
        return None if stranger.namesake is None else f"waits on {stranger.namesake}"

    def _knows_key_of(self, stranger: Stranger) -> bool:
        key = self._keyring.key_of(stranger.hello.dispenser, stranger.hello.key_id)
        return not stranger.takes_a_key and key is not None

    # -- what may be done -------------------------------------------------------------------------------------------

    def _check_adopted_again(self, dispenser: str, stranger: Stranger | None, key: bytes | None) -> None:
        if key is not None and not hmac.compare_digest(key, self._keyring.key_of(dispenser, key_id(key)) or b""):
            hint = f"picante dispensers forget {dispenser}, then adopt it with this key"
            raise AdoptionRefused("already-adopted", f"{dispenser} has another key here", hint=hint)
        if key is None and self._keyring.is_proved(dispenser) and stranger is not None:
            lost = (
                "was reset, and has lost its key" if stranger.takes_a_key else "has another key than the one known here"
            )
            hint = f"picante dispensers forget {dispenser}, then adopt it" + (
                "" if stranger.takes_a_key else f" with its key (--key-file). Or: {RESET}, forget it, and adopt it"
            )
            raise AdoptionRefused("already-adopted", f"{dispenser} is adopted, and {lost}", hint=hint)

    def _check_takes_a_key(self, dispenser: str, stranger: Stranger | None) -> None:
        if stranger is None:
            self._check_known(dispenser)  # nearest
            hint = "Plug it in, and wait until it is in picante dispensers list; or give its key with --key-file"
            raise AdoptionRefused("not-here", f"{dispenser} has not said HELLO", hint=hint, missing=True)
        if max(stranger.hello.versions) < 2:
            hint = "Give the one that its firmware was built with: --key-file FILE"
            raise AdoptionRefused("needs-its-key", f"{dispenser} speaks version 1, which takes no key", hint=hint)
        if stranger.hello.key_id is not None:
            hint = f"{RESET}, then adopt it; or give the key that it has: --key-file FILE"
            raise AdoptionRefused("needs-its-key", f"{dispenser} has the key of another gateway", hint=hint)

    def _check_known(self, dispenser: str) -> None:
        names = self.names()
        if dispenser not in names:
            raise AdoptionRefused(
                "no-such-dispenser",
                f"there is no dispenser {dispenser[:32]!r}",
                hint=nearest(dispenser, names),
                missing=True,
            )

    def names(self) -> list[str]:
        """All dispensers that are known by name: adopted, met, or waiting."""
        waiting = (stranger.hello.dispenser for stranger in self._dispensers.strangers)
        return sorted({*self._keyring.adopted, *self._dispensers.known, *waiting})

    def _free(self, dispenser: str, name: str) -> str:
        title = check_title(name)
        other = self._plans.called(title)
        if other is not None and other != dispenser:
            raise _taken(other, title)
        return title

    def _nozzles(self, dispenser: str) -> list[int] | None:
        """The nozzles that it told of last."""
        known, stranger = self._dispensers.known.get(dispenser), self._dispensers.strangers.get(dispenser)
        hello = known.hello if known is not None else stranger.hello if stranger is not None else None
        return None if hello is None else [nozzle.nozzle for nozzle in hello.nozzles]


def _taken(other: str, title: str) -> DataError:
    return DataError(f"{other} is called {title!r}", hint="Give another name, or rename that one first")


def _masked(present: bytes, new: bytes, command: bytes) -> SetKey:
    return SetKey(masked=mask_key(present, new, command), key_id=key_id(new))


def _unchanged(placed: SetPlanogram, _command: bytes) -> SetPlanogram:
    return placed
