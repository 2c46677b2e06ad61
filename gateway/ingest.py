"""Deliveries -> the store. What is acknowledged is on disk; what can't be accepted is on disk too, as a refusal.

    Delivery -> stamp the time -> (writer's thread) dedup -> session -> door -> append, fold -> COMMIT -> ack

Called by `dispensers` in the event loop's thread; the work of an event runs in the writer's thread, inside its
transaction.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass

from firmware_bridge.bodies import UNREADABLE, RatedBody
from firmware_bridge.codec import BadMessage, decode_event_body, encode_body
from firmware_bridge.link import Delivery
from firmware_bridge.messages import EventMessage, Hello
from firmware_bridge.own_words import without_contacts_in
from gateway import arrivals, bottle_pours, doses, letters, lots, sessions, site_pours
from gateway.bottles import Bottles
from gateway.clock import Clock, Now
from gateway.dating import stamp, stamp_elsewhere
from gateway.door import Door
from gateway.own_words import heard
from gateway.sessions import Session
from gateway.store import Store, in_loop
from gateway.transaction import Transaction, nozzles_json
from heat.errors import OutOfSequence, StoreError, StoreFull
from heat.events import AnyData, Event, Poured, Rated, Refilled, SequenceGap, Stamp, Stated
from heat.identity import EventId, session_subject
from heat.quality import Reason, Refusal

log = logging.getLogger("gateway.ingest")

DETAIL_CHARS = 200
BOOTS_KEPT = 1_000
"""A dispenser's boots of which it is kept when they began: a ring hardly spans more restarts."""
NOTE_AGAIN_S = 1.0
"""s until a HELLO that a full disk had no room for is noted again."""


@dataclass(frozen=True, slots=True)
class Stored:
    """What became of a delivery: `outcome` is an event type, `duplicate`, or `refused:<reason>`."""

    position: int
    outcome: str
    data: AnyData | None = None
    """What was let in."""


class Ingest:
    """The way in. `boot` is this kernel boot's number in the store; `on_commit` is told of each stored event.

    `on_rating` is told of ratings within the transaction that stores them, in the writer's thread; `on_refill` that a
    bottle was put on a nozzle.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- its parts, and whom it tells
        self,
        store: Store,
        clock: Clock,
        door: Door,
        boot: int,
        on_commit: Callable[[Stored, EventId], None],
        on_rating: Callable[[Transaction, Rated], None] = lambda _tx, _rated: None,
        on_refill: Callable[[], None] = lambda: None,
    ) -> None:
        self.counters: Counter[str] = Counter()
        """Deliveries by outcome."""
        self.bottles = Bottles()
        self.listeners: list[Callable[[Delivery, Stored], None]] = []
        """Told of each event that was let in, once it is on disk."""
        self._store = store
        self._clock = clock
        self.door = door
        self._boot = boot
        self._on_commit = on_commit
        self._on_rating = on_rating
        self._on_refill = on_refill
        self._loop = asyncio.get_running_loop()
        self._hellos: dict[str, Hello] = {}
        """The last of each dispenser."""
        self._finished: deque[tuple[Delivery, Stored | None, BaseException | None]] = deque()
        """Fates on their way from the writer's thread to the loop's; as many as the store's queue at most."""

    def deliver(self, delivery: Delivery) -> None:
        """Store an event, then acknowledge it through its delivery."""
        now = self._clock.now()
        self._submit(delivery, lambda tx: self._store_event(tx, delivery.event, delivery.hello, now))

    def note_hello(self, hello: Hello, link: str, gap: tuple[int, int] | None, failed: Callable[[], None]) -> None:
        """Remember what a dispenser said of itself, and which sequences its ring lost.

        `failed` is called if that can't be stored: the link should end, so that the dispenser says it again. On a full
        disk it stays open, for the picks, and this is tried again.
        """
        self._hellos[hello.dispenser] = hello
        self.bottles.greet(hello)
        self._note(hello, link, gap, failed, self._clock.now())

    def note_lost(self, dispenser: str) -> None:
        """Remember that its link has ended now, as well as the store allows: it is for people."""
        now = self._clock.now()

        def work(tx: Transaction) -> None:
            tx.connection.execute("UPDATE dispensers SET lost_ms = ? WHERE dispenser = ?", (now.wall_ms, dispenser))

        with contextlib.suppress(StoreError):  # full, or closed
            self._store.submit(work, lambda _result, _error: None, upkeep=True)

    def _note(self, hello: Hello, link: str, gap: tuple[int, int] | None, failed: Callable[[], None], now: Now) -> None:
        def work(tx: Transaction) -> None:
            self._store_hello(tx, hello, link, now)
            if gap is not None:
                self._store_gap(tx, hello, gap, now)

        def again() -> None:
            if self._hellos[hello.dispenser] is hello:
                self._note(hello, link, gap, failed, now)

        def done(_: None, error: BaseException | None) -> None:
            if isinstance(error, StoreFull):
                in_loop(self._loop, self._loop.call_later, NOTE_AGAIN_S, again)
            elif error is not None:
                in_loop(self._loop, failed)

        try:
            self._store.submit(work, done, upkeep=True)
        except StoreError:
            self._loop.call_soon(failed)

    def _submit(self, delivery: Delivery, work: Callable[[Transaction], Stored]) -> None:
        def done(result: Stored | None, error: BaseException | None) -> None:
            self._finished.append((delivery, result, error))
            if len(self._finished) == 1:  # the loop is woken once for all events of a commit: waking is a system call
                in_loop(self._loop, self._finish_all)

        try:
            self._store.submit(work, done)
        except StoreError:
            self.counters["not_stored"] += 1
            delivery.retry()

    def _finish_all(self) -> None:
        try:
            while self._finished:
                self._finish(*self._finished.popleft())
        finally:
            if self._finished:
                self._loop.call_soon(self._finish_all)

    def _finish(self, delivery: Delivery, result: Stored | None, error: BaseException | None) -> None:
        event_id = _identity(delivery.event, delivery.hello)
        if result is not None:
            self.counters[result.outcome] += 1
            delivery.ack()
            if result.data is not None:
                self.bottles.take(event_id.source, delivery.event, result.data)
                if isinstance(result.data, Refilled):
                    self._on_refill()
                for listener in self.listeners:
                    listener(delivery, result)
            if result.outcome.startswith("refused:"):
                about = {"event_id": str(event_id), "dispenser": event_id.source}
                log.warning("event refused: %s", result.outcome.partition(":")[2], extra=about)
            if result.position:
                self._on_commit(result, event_id)
        elif isinstance(error, StoreError):
            self.counters["not_stored"] += 1
            delivery.retry()
        else:
            # our own bug must neither block the dispenser nor lose its event: file the bytes and go on
            log.error("event could not be taken in", extra={"event_id": str(event_id)}, exc_info=error)
            refusal = Refusal("internal_error", f"{type(error).__name__}: {error}"[:DETAIL_CHARS])
            now = self._clock.now()
            self._submit(delivery, lambda tx: self._refuse(tx, delivery.event, delivery.hello, refusal, now))

    # -- in the writer's thread -------------------------------------------------------------------------------------

    def _store_event(self, tx: Transaction, message: EventMessage, hello: Hello, now: Now) -> Stored:
        event_id = _identity(message, hello)
        if tx.spent(event_id):
            return Stored(0, "duplicate")
        if event_id.sequence > tx.durable(event_id.source, event_id.generation) + 1:
            raise OutOfSequence(f"{event_id} came before what precedes it", hint="Its dispenser sends both again")
        if message.kind == UNREADABLE:
            return self._refuse(tx, message, hello, Refusal("malformed", "only its identity can be read"), now)
        body = decode_event_body(message.kind, message.body)
        if isinstance(body, BadMessage):
            reason: Reason = "unknown_type" if body.reason == "unknown_type" else "malformed"
            return self._refuse(tx, message, hello, Refusal(reason, body.detail), now)
        when = self._when(tx, message, hello, now)
        session = self._session(tx, message, hello, now)
        body = heard(tx, body, session, self.door)
        previous = _dose_before(session, message) if isinstance(body, RatedBody) else None
        data = self.door.admit(body, session.consent if session else "session", previous)
        if isinstance(data, Refusal):
            return self._refuse(tx, message, hello, data, now)
        subject = session.owner if session else None
        position = tx.append(Event(event_id, subject, when, data))
        _note_bottle(tx, event_id, position, data, when, subject)
        if session is not None:
            self.learn(tx, session, position, data, when.day, message.uptime_ms)
        return Stored(position, data.type, data)

    def learn(self, tx: Transaction, session: Session, position: int, data: AnyData, day: int, uptime_ms: int) -> None:
        """Fold an event of a session that was just stored, at an uptime of its dispenser; nothing if it is nobody's."""
        subject = session.owner
        if subject is None:
            return
        tx.learn(subject, data, day)
        doses.note(tx, subject, position, data, day)
        if isinstance(data, Poured):
            site_pours.note(tx, data.sauce)
            sessions.note_dose(tx, session, data.sauce, day, uptime_ms)
        elif isinstance(data, Rated):
            sessions.note_verdict(tx, session, data.sauce, data.verdict)
            self._on_rating(tx, data)
        elif isinstance(data, Stated):
            sessions.note_stated(tx, session, data.heat.milli_octaves)

    def _refuse(self, tx: Transaction, message: EventMessage, hello: Hello, refusal: Refusal, now: Now) -> Stored:
        event_id = _identity(message, hello)
        if tx.spent(event_id):
            return Stored(0, "duplicate")
        when = self._when(tx, message, hello, now)
        body = _kept_bytes(message)
        position = tx.append_refusal(event_id, refusal, body, when)
        session = session_subject(hello.dispenser, message.generation, message.session) if message.session else None
        letters.file(tx, position, event_id, refusal, body, when, session)
        return Stored(position, f"refused:{refusal.reason}")

    def _when(self, tx: Transaction, message: EventMessage, hello: Hello, now: Now) -> Stamp:
        if message.boot == hello.boot:
            return stamp(now, self._boot, max(message.sent_uptime_ms - message.uptime_ms, 0), sure=True)
        gateway_boot, started_boot_ms, started_ms = tx.unsettled.execute(
            "SELECT gateway_boot, started_boot_ms, started_ms FROM dispenser_boots WHERE dispenser = ? AND boot = ?",
            (hello.dispenser, message.boot),
        ).fetchone() or (None, 0, None)
        if gateway_boot == self._boot:
            return stamp(now, self._boot, max(now.boot_ms - started_boot_ms - message.uptime_ms, 0), sure=True)
        if started_ms is None or not now.known:
            return stamp(now, self._boot, 0, sure=False)
        return stamp_elsewhere(min(started_ms + message.uptime_ms, now.wall_ms))

    def _session(self, tx: Transaction, message: EventMessage, hello: Hello, now: Now) -> Session | None:
        if message.session == 0:
            return None
        session = sessions.enter(tx, hello.dispenser, message.generation, message.session, now.boot_ms)
        sessions.end_older(tx, hello.dispenser, session, message.session)
        return session

    def _store_hello(self, tx: Transaction, hello: Hello, link: str, now: Now) -> None:
        nozzles = nozzles_json((n.nozzle, n.sauce, n.level_ml) for n in hello.nozzles)
        tx.connection.execute(
            "INSERT OR REPLACE INTO dispensers (dispenser, generation, firmware, nozzles, link, seen_ms)"
            " VALUES (?, ?, ?, ?, ?, ?)",
            (hello.dispenser, hello.generation, hello.firmware, nozzles, link, now.wall_ms),
        )
        arrivals.note(tx, hello, now)
        started_ms = now.wall_ms - hello.uptime_ms if now.known else None
        tx.connection.execute(
            "INSERT OR REPLACE INTO dispenser_boots VALUES (?, ?, ?, ?, ?)",
            (hello.dispenser, hello.boot, self._boot, now.boot_ms - hello.uptime_ms, started_ms),
        )
        tx.connection.execute(
            "DELETE FROM dispenser_boots WHERE dispenser = ? AND boot <= ?", (hello.dispenser, hello.boot - BOOTS_KEPT)
        )

    def _store_gap(self, tx: Transaction, hello: Hello, gap: tuple[int, int], now: Now) -> None:
        """Store what is missing as gaps, and how many events that is."""
        lost = 0
        when = stamp(now, self._boot, 0, sure=True)
        # what an earlier link handed over was queued before this, and is on disk by now
        for first, last in tx.unspent(hello.dispenser, hello.generation, *gap):
            tx.append(Event(tx.own_id(), None, when, self._gap(hello, first, last)))
            tx.lose(hello.dispenser, hello.generation, first, last, when.day)
            lost += last - first + 1
        if lost:
            tx.connection.execute(
                "INSERT INTO losses VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET events = events + excluded.events, last_ms = excluded.last_ms",
                (hello.dispenser, lost, now.wall_ms),
            )

    def _gap(self, hello: Hello, first: int, last: int) -> SequenceGap:
        return SequenceGap(
            store=self.door.store,
            region=self.door.region,
            channel="gateway",
            consent="none",
            dispenser=hello.dispenser,
            generation=hello.generation,
            first=first,
            last=last,
        )


def _note_bottle(
    tx: Transaction, event_id: EventId, position: int, data: AnyData, when: Stamp, subject: str | None
) -> None:
    """What an event says of the bottle on its nozzle."""
    if isinstance(data, Poured):
        bottle_pours.note(tx, event_id.source, position, data, when, subject)
    elif isinstance(data, Refilled):
        lots.refill(tx, event_id.source, data.nozzle, when.time_ms)


def _kept_bytes(message: EventMessage) -> bytes:
    """The body as it came, but for addresses and telephone numbers among a customer's own words."""
    plain = without_contacts_in(message)
    return message.raw if plain is message else encode_body(plain)


def _identity(message: EventMessage, hello: Hello) -> EventId:
    return EventId(hello.dispenser, message.generation, message.sequence)


def _dose_before(session: Session | None, message: EventMessage) -> int | None:
    """ms since the dose before the last one, which is the one being rated."""
    if session is None or session.previous_dose_ms is None:
        return None
    return max(message.uptime_ms - session.previous_dose_ms, 0)
