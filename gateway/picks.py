"""ASK -> PICKS, within milliseconds, from what is on disk here; then the impression, as an event of the gateway's own.

The answer reads the profile through a read-only connection, never waits for the writer, and is sent before anything is
written. What was shown, and the claim of the session if a loyalty token came with the ASK, is committed right after.
The token is replaced by its pseudonym before anything else looks at it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from firmware_bridge.link import Link
from firmware_bridge.messages import Ask, Hello, NozzleInfo, PickInfo, Picks
from gateway import arrivals, claims, consents, customers, site_pours
from gateway.claims import Asked, Owner
from gateway.clock import Clock
from gateway.dating import stamp
from gateway.door import Door
from gateway.menus import Menus
from gateway.rankers import Assigned, Rankers
from gateway.store import Store, in_loop
from gateway.transaction import Transaction
from gateway.venue import Venue
from heat.errors import StoreError
from heat.events import Consent, Event, Impression, ShownPick
from heat.identity import pseudonym, session_subject
from heat.reading import Prior, Reading
from models import logged
from models.explore import SEED_BITS, Chosen, suggest
from models.features import Context, Menu, features
from models.ranker import Ranker
from models.rules import NO_NEEDS, Needs

log = logging.getLogger("gateway.picks")

RECORDED_A_MINUTE = 120
"""Impressions of one dispenser that are stored in a minute; people can't ask faster, a broken button can."""
RECENT = 1_000
"""Latencies and impressions kept in memory for the page."""


@dataclass(frozen=True, slots=True)
class Slate:
    """What a customer at a dispenser would be shown now."""

    subject: str | None
    reading: Reading
    menu: Menu
    nozzles: dict[str, int]
    chosen: Chosen
    context: Context
    assigned: Assigned
    """Who ranked."""
    avoids: bool
    """Whether there are allergens that the customer must not get."""


@dataclass(slots=True)
class _Answer:
    """What one ASK was answered, however often it comes."""

    picks: Picks
    slate: Slate
    shown: str | None
    """The pseudonym of the token that was shown."""
    recorded: bool = False
    """Whether it was written to the link, and is on its way to the store; a link may end before that."""


@dataclass(frozen=True, slots=True)
class Answered:
    """PICKS that were written to a dispenser, for whoever shows the same to the same customer."""

    hello: Hello
    session: int
    """The dispenser's number of it; 0 where it knows of none."""
    picks: Picks
    slate: Slate
    shown: str | None = field(repr=False)
    """The pseudonym of the token that was shown."""


@dataclass(frozen=True, slots=True)
class Shown:
    """An impression, as the page tells it."""

    time_ms: int
    dispenser: str
    subject: str | None
    pick_id: str
    picks: tuple[PickInfo, ...]
    latency_us: int


class Recommender:
    """Answers ASKs. `pseudonym_key` is the brand's key and its version; `on_commit` hears of stored impressions.

    Nothing above the `venue`'s limit is picked unasked.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- the composition root hands over what an answer is made of
        self,
        store: Store,
        clock: Clock,
        door: Door,
        boot: int,
        rankers: Rankers,
        pseudonym_key: tuple[bytes, int],
        on_commit: Callable[[], None],
        venue: Venue = Venue(),  # noqa: B008 -- a frozen value
    ) -> None:
        self.rankers = rankers
        self.prior = Prior()
        """What is believed of a customer of this site before they did anything (`gateway.site_prior`)."""
        self.recent: deque[Shown] = deque(maxlen=RECENT)
        self.listeners: list[Callable[[Answered], None]] = []
        """Told of all PICKS that were written, once each."""
        self.shown = 0
        self.not_stored = 0
        """Impressions that the store could not take, or that came too fast to be customers."""
        self._store = store
        self._clock = clock
        self._door = door
        self._boot = boot
        self._key = pseudonym_key
        self._on_commit = on_commit
        self._venue = venue
        self.menus = Menus(door.catalog, venue.limit_shu)
        self._loop = asyncio.get_running_loop()
        self._reader = store.reader()
        self._answers: dict[str, _Answer] = {}
        """The last one of each dispenser."""
        self._recorded: dict[str, tuple[int, int]] = {}
        """By dispenser: a minute (of boot time), and how many impressions were recorded in it."""

    @property
    def ranker(self) -> Ranker:
        """The ranker in use."""
        return self.rankers.current

    def use(self, door: Door) -> None:
        """Know sauces and words by this door from now on."""
        self._door = door
        self.menus = Menus(door.catalog, self._venue.limit_shu)

    def forget(self, subject: str) -> None:
        """A customer wants not to be known: nor on the page."""
        kept = [replace(one, subject=None) if one.subject == subject else one for one in self.recent]
        self.recent = deque(kept, maxlen=RECENT)

    def close(self) -> None:
        """Give back the reading connection."""
        self._reader.close()

    def answer(self, link: Link, hello: Hello, ask: Ask, read_ns: int) -> None:
        """Answer an ASK; the same ASK again gets the same answer, and no second impression."""
        answer = self._answers.get(hello.dispenser)
        if answer is None or answer.picks.nonce != ask.nonce:
            with customers.snapshot(self._reader):
                answer = self._answers[hello.dispenser] = self._answer(hello, ask)

        def written() -> None:
            if not answer.recorded:
                answer.recorded = True
                for listener in self.listeners:
                    listener(Answered(hello, ask.session, answer.picks, answer.slate, answer.shown))
                self._record(hello, ask.session, answer, (time.monotonic_ns() - read_ns) // 1000)

        link.answer(answer.picks, written)

    def _answer(self, hello: Hello, ask: Ask) -> _Answer:
        shown = pseudonym(ask.token, *self._key) if ask.token is not None else None
        session = session_subject(hello.dispenser, hello.generation, ask.session) if ask.session else None
        dial = self._door.words.dial(ask.dial) if ask.dial is not None else None
        if shown is not None and consents.opted_out(self._reader, shown):
            subjects = []
        else:
            subjects = customers.subjects_of(self._reader, session, shown)
        new = arrivals.new_at(self._reader, hello.dispenser, self._clock.now())
        wishes = (dial.milli_octaves if dial is not None else None, customers.stated_mo(self._reader, session))
        slate = self.slate(
            hello.nozzles,
            subjects,
            Context(dial=dial, mood=ask.mood, new=new),
            secrets.randbits(SEED_BITS),
            needs=Needs(frozenset(ask.avoid), ask.adult),
            wish_mo=max((wish for wish in wishes if wish is not None), default=None),
        )
        picks = Picks(nonce=ask.nonce, pick_id=secrets.token_hex(8), picks=_for_the_screen(slate))
        return _Answer(picks, slate, shown)

    def believed(self, session: str, card: str | None) -> Reading:
        """What is believed of a customer now, who may be known by a session and a pseudonym."""
        with customers.snapshot(self._reader):
            subjects = customers.subjects_of(self._reader, session, card)
            return customers.reading(self._reader, subjects, self._clock.now().day, self.prior)

    def slate(
        self,
        nozzles: Sequence[NozzleInfo],
        subjects: Sequence[str],
        context: Context,
        seed: int | None = None,
        *,
        needs: Needs = NO_NEEDS,
        wish_mo: int | None = None,
    ) -> Slate:
        """The picks for one customer, who may be known by a session and a pseudonym. Without a seed, the best guess.

        `wish_mo` is the hottest that was asked for in the session.
        """
        offer = self.menus.offer(nozzles, needs, wish_mo)
        now = self._clock.now()
        reading = customers.reading(self._reader, subjects, now.day, self.prior)
        last, verdict = customers.latest(self._reader, subjects)
        context = replace(
            context,
            popularity=site_pours.popularity(self._reader, offer.menu),
            last_poured=self._door.catalog.get(last) if last is not None else None,
            last_verdict=verdict,
            pours=customers.past_pours(self._reader, subjects, now.day),
            hour=self._venue.hour(now),
        )
        subject = subjects[-1] if subjects else None
        chosen, assigned = self.rankers.answer(
            subject, lambda ranker: suggest(ranker, reading, offer.menu, context, seed=seed)
        )
        return Slate(subject, reading, offer.menu, offer.nozzles, chosen, context, assigned, bool(needs.avoid))

    def _record(self, hello: Hello, session: int, answer: _Answer, latency_us: int) -> None:
        now = self._clock.now()
        picks, slate = answer.picks, answer.slate
        self.shown += 1
        self.recent.append(Shown(now.wall_ms, hello.dispenser, slate.subject, picks.pick_id, picks.picks, latency_us))
        self.rankers.answered(
            picks.pick_id, slate.assigned.ranker, lambda: features(slate.reading, slate.menu, slate.context)
        )
        when = stamp(now, self._boot, 0, sure=True)

        asked = Asked(hello.dispenser, hello.generation, session, answer.shown, when)

        def enter(tx: Transaction) -> Owner:
            return claims.enter(tx, asked, self._door, self._boot)

        def work(tx: Transaction) -> None:
            owner = enter(tx)
            data = self._impression(hello, owner.consent, slate, picks, latency_us)
            tx.append(Event(tx.own_id(), owner.subject, when, data))

        def done(_result: object, error: BaseException | None) -> None:
            if error is None:
                in_loop(self._loop, self._on_commit)
            else:
                _tell_bug(error)
                not_stored()

        def not_stored() -> None:
            """The picks are forgotten; who the customer is, is not."""
            self.not_stored += 1
            if session and answer.shown is not None:
                key = session_subject(hello.dispenser, hello.generation, session)
                with contextlib.suppress(StoreError):
                    self._store.submit(enter, self._claimed, keep_as=key)

        if not self._is_slow(hello.dispenser, now.boot_ms // 60_000) or not self._store.has_room():
            not_stored()
        else:
            try:
                self._store.submit(work, done)
            except StoreError:
                not_stored()

    def _claimed(self, _owner: Owner | None, error: BaseException | None) -> None:
        if error is None:
            in_loop(self._loop, self._on_commit)
        else:
            _tell_bug(error)

    def _is_slow(self, dispenser: str, minute: int) -> bool:
        """Whether a dispenser asks no faster than people can."""
        last, count = self._recorded.get(dispenser, (minute, 0))
        count = count + 1 if last == minute else 1
        self._recorded[dispenser] = minute, count
        return count <= RECORDED_A_MINUTE

    def _impression(self, hello: Hello, consent: Consent, slate: Slate, message: Picks, latency_us: int) -> Impression:
        # what was left out would tell what the customer can't eat: then only what was shown is kept
        candidates = tuple(pick.sauce.id for pick in slate.chosen.picks) if slate.avoids else slate.menu.ids
        return Impression(
            store=self._door.store,
            region=self._door.region,
            channel="gateway",
            consent=consent,
            pick_id=message.pick_id,
            dispenser=hello.dispenser,
            picks=tuple(
                ShownPick(
                    slot=slot,
                    nozzle=slate.nozzles[pick.sauce.id],
                    sauce=pick.sauce.id,
                    milli_octaves=pick.sauce.heat.milli_octaves,
                    score=pick.score,
                    propensity=pick.propensity,
                )
                for slot, pick in enumerate(slate.chosen.picks, 1)
            ),
            candidates=candidates,
            ranker=slate.assigned.ranker.name,
            latency_us=latency_us,
            catalog=self._door.catalog.version,
            offered=() if slate.avoids else logged.offered(slate.menu, slate.context),
            known=None if slate.avoids else logged.known(slate.reading, slate.menu, slate.context),
            policy=slate.chosen.policy,
            seed=slate.chosen.seed,
            slate_propensity=slate.chosen.slate_propensity,
            experiment=slate.assigned.experiment,
            arm=slate.assigned.arm,
        )


def _tell_bug(error: BaseException) -> None:
    """Log what is no fault of the store, which tells of its own."""
    if not isinstance(error, StoreError):
        log.error("picks could not be recorded", exc_info=error)


def _for_the_screen(slate: Slate) -> tuple[PickInfo, ...]:
    return tuple(
        PickInfo.fitted(
            slate.nozzles[pick.sauce.id], pick.sauce.id, pick.sauce.name, pick.sauce.heat.milli_octaves, pick.why
        )
        for pick in slate.chosen.picks
    )
