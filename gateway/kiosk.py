"""What customers press on a kiosk: it becomes events of the gateway's own, with the same weights as at a dispenser.

A kiosk is a browser beside, or instead of, a dispenser's own screen. It shows a visit (`visits`), and takes three
things: how hot the last pour was, that the customer wants not to be known (or is known again), and that they are done.
It pours nothing: a hand at the machine does.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import replace

import msgspec

from firmware_bridge.bodies import RatedBody
from gateway import claims, consents, sessions
from gateway.claims import Asked
from gateway.clock import Clock
from gateway.dating import stamp
from gateway.ingest import Ingest
from gateway.packed import unpack
from gateway.picks import Recommender
from gateway.recalled import Looked, recall
from gateway.sessions import Session
from gateway.store import Store
from gateway.transaction import Transaction
from gateway.visits import IDLE_S, Belief, Dose, Visit, Visits
from heat.errors import PicanteError
from heat.events import ConsentChanged, Event, Rated, Verdict, read_data
from heat.quality import Refusal

PRESSES_A_MINUTE = 60
"""At one dispenser; people can't press faster for long, a cat on the glass can."""


class NotNow(PicanteError):
    """What was pressed can't be done (any more)."""


class Over(NotNow):
    """The visit in which it was pressed is over."""


class TooOften(PicanteError):
    """More is pressed, or watched, than there are people."""


class Kiosk:
    """The kiosks of all dispensers. `boot` is this kernel boot's number; `on_commit` hears of stored events."""

    def __init__(  # noqa: PLR0913, PLR0917 -- a visit touches what the way in and the picks touch
        self,
        store: Store,
        clock: Clock,
        boot: int,
        ingest: Ingest,
        recommender: Recommender,
        reader: sqlite3.Connection,
        on_commit: Callable[[], None],
    ) -> None:
        self.visits = Visits()
        ingest.listeners.append(self.visits.stored)
        recommender.listeners.append(self.visits.answered)
        self._store = store
        self._clock = clock
        self._boot = boot
        self._ingest = ingest
        self._recommender = recommender
        self._reader = reader
        self._on_commit = on_commit
        self._pressing = asyncio.Lock()
        """One thing after the other: what is pressed twice is done once."""
        self._presses: dict[str, tuple[int, int]] = {}
        """By dispenser: a minute (of boot time), and how often something was pressed in it."""
        self._started_ms = clock.now().boot_ms
        self._recalled: set[str] = set()
        """Dispensers whose visit of before this start was looked for."""

    def at(self, dispenser: str) -> Visit | None:
        """Who stands there; after a restart, whoever stood there before it."""
        visit = self.visits.at(dispenser)
        if visit is None and dispenser not in self._recalled:
            looked = Looked(self._clock.now().boot_ms, self._started_ms, round(IDLE_S * 1000))
            found = recall(self._reader, self._ingest.door.catalog, dispenser, looked)
            if found is not None:
                visit, quiet_ms = found
                self.visits.begin(visit, IDLE_S - quiet_ms / 1000)
        self._recalled.add(dispenser)
        if visit is not None and visit.behind:
            self._catch_up(visit)
        return visit

    def pressed(self, dispenser: str, key: str) -> Visit:
        """The visit of this key, in which something was pressed.

        Raises:
            Over: it is over.
            TooOften: so much is pressed that nobody reads it.
        """
        minute = self._clock.now().boot_ms // 60_000
        last, count = self._presses.get(dispenser, (minute, 0))
        count = count + 1 if last == minute else 1
        self._presses[dispenser] = minute, count
        if count > PRESSES_A_MINUTE:
            raise TooOften(f"{PRESSES_A_MINUTE} presses in a minute", hint="Wait for a minute")
        visit = self.at(dispenser)
        if visit is None or visit.key != key:
            raise Over("this visit is over", hint="Nothing was done; what the screen shows now is another customer's")
        return visit

    async def rate(self, visit: Visit, verdict: Verdict, pour: int | None = None) -> None:
        """Say how hot the last pour was, once; it is on disk when this returns. `pour` is the position that was shown.

        Raises:
            NotNow: nothing was poured, something else since then, or it was rated otherwise.
            StoreError: it can't be stored now.
        """
        async with self._pressing:
            dose = visit.dose
            if dose is None:
                raise NotNow("nothing was poured yet", hint="Pour a sauce first")
            if pour not in {None, dose.position}:
                raise NotNow("something else was poured since", hint="The screen asks of the last pour now")
            if dose.verdict is None:
                await self._rate(visit, dose, verdict)
                if visit.dose is dose:  # nothing was poured meanwhile
                    visit.dose = replace(dose, verdict=verdict)
            elif dose.verdict != verdict:
                raise NotNow("this pour was rated already", hint="The next pour can be rated again")
        self._on_commit()
        visit.behind = True
        self.visits.stay(visit)

    async def _rate(self, visit: Visit, dose: Dose, verdict: Verdict) -> None:
        now = self._clock.now()
        when = stamp(now, self._boot, 0, sure=True)
        body = RatedBody(sauce=dose.sauce, verdict=verdict, pick_id=dose.pick_id)
        place = visit.place

        def work(tx: Transaction) -> None:
            session = sessions.enter(tx, *place, now.boot_ms)
            if _rated_since(tx, session, dose):
                return
            uptime_ms = self._uptime_ms(tx, place.dispenser, now.boot_ms)
            before_ms = session.previous_dose_ms
            since_ms = None if before_ms is None else max(uptime_ms - before_ms, 0)
            data = self._ingest.door.admit(body, session.consent, since_ms)
            if isinstance(data, Refusal):
                raise NotNow(data.detail, hint="Another catalogue came meanwhile")
            data = msgspec.structs.replace(data, channel="kiosk")
            position = tx.append(Event(tx.own_id(), session.owner, when, data))
            self._ingest.learn(tx, session, position, data, when.day, uptime_ms)

        await asyncio.wrap_future(self._store.write(work))

    async def forget(self, visit: Visit) -> None:
        """Forget the customer, and learn no more: of whoever showed a card, for good. Again changes nothing.

        Raises:
            StoreError: it can't be stored now.
        """
        now = self._clock.now()
        when = stamp(now, self._boot, 0, sure=True)

        card, place = visit.card, visit.place

        def work(tx: Transaction) -> None:
            if card is not None:
                consents.set_here(tx, card, when, self._consent("none"))
            if place.session:
                sessions.opt_out(tx, sessions.enter(tx, *place, now.boot_ms))

        async with self._pressing:
            # on a full disk too: it makes more room than it takes
            await asyncio.wrap_future(self._store.write(work, upkeep=True))
        for subject in (visit.card, visit.subject):
            if subject is not None:
                self._recommender.forget(subject)
        visit.opted_out, visit.belief, visit.dial_mo = True, None, None
        visit.changes += 1
        if visit.picks is not None:  # why they were picked is what was known
            visit.picks = tuple(msgspec.structs.replace(pick, why="") for pick in visit.picks)
        self._on_commit()
        self.visits.stay(visit)

    async def remember(self, visit: Visit) -> None:
        """Know the customer of this card again, from this visit on.

        Raises:
            NotNow: no card was shown.
            StoreError: it can't be stored now.
        """
        card = visit.card
        if card is None:
            raise NotNow("no card was shown", hint="Show the card at the machine")
        now = self._clock.now()
        when = stamp(now, self._boot, 0, sure=True)

        asked = Asked(*visit.place, card, when)

        def work(tx: Transaction) -> None:
            consents.set_here(tx, card, when, self._consent("profile"))
            claims.enter(tx, asked, self._ingest.door, self._boot)

        async with self._pressing:
            await asyncio.wrap_future(self._store.write(work))
        visit.opted_out, visit.behind = False, True
        visit.changes += 1
        self._on_commit()
        self.visits.stay(visit)

    def _catch_up(self, visit: Visit) -> None:
        """Believe what was learned."""
        visit.behind = False
        if visit.picks is not None and not visit.opted_out:
            visit.belief = Belief.of(self._recommender.believed(visit.subject, visit.card))

    def _consent(self, consent: consents.Wish) -> ConsentChanged:
        door = self._ingest.door
        return ConsentChanged(store=door.store, region=door.region, channel="kiosk", consent=consent)

    # -- in the writer's thread -------------------------------------------------------------------------------------

    def _uptime_ms(self, tx: Transaction, dispenser: str, boot_ms: int) -> int:
        """The dispenser's own clock now, by which its doses are dated; 0 if that is not known since our own boot."""
        row = tx.connection.execute(
            "SELECT started_boot_ms FROM dispenser_boots WHERE dispenser = ? AND gateway_boot = ?"
            " ORDER BY boot DESC LIMIT 1",
            (dispenser, self._boot),
        ).fetchone()
        return 0 if row is None else max(boot_ms - int(row[0]), 0)


def _rated_since(tx: Transaction, session: Session, dose: Dose) -> bool:
    """Whether a pour was rated: at the dispenser, or here before a restart."""
    rows = tx.connection.execute(
        "SELECT type, CAST(data AS BLOB) FROM events WHERE position > ? AND type = ? AND subject IN (?, ?)",
        (dose.position, Rated.type, session.name, session.subject),
    )
    rated = (read_data(type_, unpack(data)) for type_, data in rows)
    return any(isinstance(each, Rated) and each.sauce == dose.sauce for each in rated)
