"""Who stands at each dispenser now, in memory: what a kiosk shows of a visit, and when it is over.

A visit is the dispenser's customer session as long as somebody is there. It begins with an ASK, or with what a customer
does without one; every ASK, event and touch of the kiosk keeps it; `IDLE_S` without any ends it, and so does the next
customer. Then nothing of it is kept here. The picks are those of the dispenser's screen: the same slate, the same
impression.

Told by `picks` (`answered`) and `ingest` (`stored`), in the event loop's thread; whoever watches is woken at once.
"""

from __future__ import annotations

import asyncio
import secrets
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

from firmware_bridge.link import Delivery
from firmware_bridge.messages import PickInfo
from gateway.ingest import Stored
from gateway.picks import Answered
from heat.events import Poured, Rated, Stated, Verdict
from heat.identity import is_session, session_subject
from heat.reading import Reading

IDLE_S = 30.0
"""s of nothing after which nobody stands there: people look at three cards for less, and the next one shall not see
them."""

Standing = Literal["anonymous", "known", "forgotten"]
"""Nobody showed a card; one was shown; or the customer wants not to be known."""


@dataclass(frozen=True, slots=True)
class Dose:
    """What was poured last in a visit."""

    sauce: str
    position: int
    """Of its event in the store."""
    pick_id: str | None
    verdict: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Belief:
    """What is believed of the customer's taste: heats in milli-octaves."""

    mean_mo: int
    sd_mo: int
    tolerance_mo: int
    evidence: int
    """Pieces of evidence; 0: it is what people here like."""

    @classmethod
    def of(cls, reading: Reading) -> Belief:
        """What a profile says."""
        return cls(reading.state.mean_mo, reading.state.sd_mo, reading.state.tolerance_mo, reading.evidence)


class Place(NamedTuple):
    """A session, as the store knows it."""

    dispenser: str
    generation: int
    session: int


@dataclass(slots=True)
class Visit:
    """One customer at one dispenser."""

    dispenser: str
    generation: int
    session: int
    """The dispenser's number of it; 0 where it knows of none."""
    key: str = field(default_factory=lambda: secrets.token_hex(8))
    """Names it to the kiosk, so that what is pressed late is not done to the next customer. It opens nothing."""
    picks: tuple[PickInfo, ...] | None = None
    """As on the dispenser's screen; None where nobody asked."""
    belief: Belief | None = None
    behind: bool = False
    """Whether something was learned since that was believed."""
    dial_mo: int | None = None
    card: str | None = field(default=None, repr=False)
    """The pseudonym of the card that was shown."""
    opted_out: bool = False
    changes: int = 0
    """How often they had themselves forgotten, or remembered."""
    dose: Dose | None = None

    @property
    def place(self) -> Place:
        """The session."""
        return Place(self.dispenser, self.generation, self.session)

    @property
    def subject(self) -> str:
        """The session's own subject."""
        return session_subject(*self.place)

    @property
    def standing(self) -> Standing:
        """What the customer allows."""
        return "forgotten" if self.opted_out else "known" if self.card is not None else "anonymous"


class Visits:
    """The visits of now, one a dispenser at most."""

    def __init__(self) -> None:
        self._now: dict[str, Visit] = {}
        self._ends_s: dict[str, float] = {}
        """By dispenser, when the visit there is over unless something happens, on the loop's clock."""
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._watchers: defaultdict[str, set[asyncio.Event]] = defaultdict(set)

    def at(self, dispenser: str) -> Visit | None:
        """Who stands there."""
        return self._now.get(dispenser)

    def begin(self, visit: Visit, left_s: float = IDLE_S) -> None:
        """Somebody stands there, in place of whoever did before."""
        self._now[visit.dispenser] = visit
        self._stay(visit.dispenser, left_s)

    def stay(self, visit: Visit) -> None:
        """Somebody touched the kiosk, or something of the visit has changed."""
        if self._now.get(visit.dispenser) is visit:
            self._stay(visit.dispenser, IDLE_S)

    def leave(self, dispenser: str) -> None:
        """Nobody stands there any more."""
        self._ends_s.pop(dispenser, None)
        if (timer := self._timers.pop(dispenser, None)) is not None:
            timer.cancel()
        if self._now.pop(dispenser, None) is not None:
            self._wake(dispenser)

    @contextmanager
    def watching(self, dispenser: str) -> Iterator[asyncio.Event]:
        """An event that is set whenever something changes there; the watcher clears it."""
        changed = asyncio.Event()
        watchers = self._watchers[dispenser]
        watchers.add(changed)
        try:
            yield changed
        finally:
            watchers.discard(changed)
            if not watchers:
                self._watchers.pop(dispenser, None)

    # -- what happens ---------------------------------------------------------------------------------------------

    def answered(self, answered: Answered) -> None:
        """PICKS were written to a dispenser."""
        hello, slate = answered.hello, answered.slate
        visit = self._visit(hello.dispenser, hello.generation, answered.session)
        if visit is None:
            return
        visit.picks = answered.picks.picks
        visit.dial_mo = slate.context.dial.milli_octaves if slate.context.dial is not None else None
        visit.belief, visit.behind = Belief.of(slate.reading), False
        if answered.shown is not None:
            visit.card, visit.opted_out = answered.shown, slate.subject != answered.shown
        elif slate.subject is not None and not is_session(slate.subject):
            visit.card = slate.subject
        self._stay(hello.dispenser, IDLE_S)

    def stored(self, delivery: Delivery, stored: Stored) -> None:
        """An event of a dispenser is on disk."""
        message, hello = delivery.event, delivery.hello
        if not isinstance(stored.data, Poured | Rated | Stated):
            return
        late_ms = message.sent_uptime_ms - message.uptime_ms
        if not message.session or message.boot != hello.boot or late_ms > IDLE_S * 1000:
            return  # it comes from a ring that was full of what happened before
        visit = self._visit(hello.dispenser, message.generation, message.session)
        if visit is None:
            return
        match stored.data:
            case Poured(sauce=sauce, pick_id=pick_id):
                visit.dose = Dose(sauce, stored.position, pick_id)
            case Rated(sauce=sauce, verdict=verdict) if visit.dose is not None and visit.dose.sauce == sauce:
                visit.dose = Dose(sauce, visit.dose.position, visit.dose.pick_id, verdict)
        visit.behind = True
        self._stay(hello.dispenser, IDLE_S)

    def taken_back(self, position: int) -> None:
        """The pour at a position was no customer's: nobody is asked how hot it was."""
        for visit in self._now.values():
            if visit.dose is not None and visit.dose.position == position:
                visit.dose, visit.behind = None, True
                self._wake(visit.dispenser)

    def _visit(self, dispenser: str, generation: int, session: int) -> Visit | None:
        """The visit of this session, begun if need be; None where a later one is there already."""
        now = self._now.get(dispenser)
        if now is not None and now.generation == generation:
            if session == now.session:
                return now
            if 0 < session < now.session:
                return None
        visit = self._now[dispenser] = Visit(dispenser, generation, session)
        return visit

    def _stay(self, dispenser: str, left_s: float) -> None:
        now_s = asyncio.get_running_loop().time()
        self._ends_s[dispenser] = now_s + left_s
        if dispenser not in self._timers:  # one that runs looks at the time when it is due
            self._look_in(dispenser, left_s)
        self._wake(dispenser)

    def _look_in(self, dispenser: str, delay_s: float) -> None:
        self._timers[dispenser] = asyncio.get_running_loop().call_later(delay_s, self._look, dispenser)

    def _look(self, dispenser: str) -> None:
        left_s = self._ends_s[dispenser] - asyncio.get_running_loop().time()
        if left_s > 0:
            self._look_in(dispenser, left_s)
        else:
            self.leave(dispenser)

    def _wake(self, dispenser: str) -> None:
        for changed in self._watchers.get(dispenser, ()):
            changed.set()
