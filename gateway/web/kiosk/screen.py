"""What a kiosk shows now, as a value: equal as long as nothing has changed. No name of a customer is in it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from firmware_bridge.messages import PickInfo
from gateway.state import GatewayState
from gateway.visits import Belief, Standing, Visit
from gateway.web.api import nozzles_of
from gateway.web.kiosk.words import Scale, like, reason, scale
from gateway.web.language import Text
from heat.events import Verdict
from heat.scale import band, shu


@dataclass(frozen=True, slots=True)
class Card:
    """A sauce as customers see it."""

    nozzle: int
    sauce: str
    name: str
    milli_octaves: int
    flames: int
    """1..5."""
    word: Text | str
    like: Text
    """A pepper of this heat."""
    at: float
    """Where it lies on the scale, in percent."""
    band: int
    """Its colour."""
    why: Text | str | None = None
    poured: bool = False

    @property
    def shu(self) -> int:
        """SHU, with two digits: labels know no more."""
        exact = shu(self.milli_octaves)
        return round(exact, min(2 - len(str(exact)), 0))


@dataclass(frozen=True, slots=True)
class Line:
    """Where the customer's taste lies on the scale, in percent: soft ends, since nobody knows it to a point."""

    low: float
    middle: float
    high: float
    hurts: float
    """From here on it is likely to be too hot."""
    own: bool
    """Whether it is this customer's; otherwise it is what people here like."""
    dial: float | None
    """Where the dial stands, if it was turned."""


@dataclass(frozen=True, slots=True)
class Question:
    """How hot it was."""

    sauce: str
    name: str
    position: int
    """Tells this pour from the one before."""
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Screen:
    """All of it."""

    dispenser: str
    online: bool
    visit: str | None
    """The key of the visit; None: nobody stands there."""
    asked: bool
    """Whether picks were asked for."""
    picks: tuple[Card, ...]
    menu: tuple[Card, ...]
    """What is on the nozzles and left in their bottles, mildest first."""
    line: Line | None
    question: Question | None
    standing: Standing
    card: bool
    """Whether a card was shown."""
    changes: int
    """How often this customer was forgotten or remembered: who changes their mind again presses another button."""
    steps: tuple[tuple[Text | str, float], ...]
    """The scale's words, and where each begins."""

    @property
    def state(self) -> Literal["start", "visit"]:
        """What is on top."""
        return "start" if self.visit is None else "visit"


def screen_of(state: GatewayState, dispenser: str) -> Screen:
    """What the kiosk of a dispenser shows. Raises a Problem where there is no such dispenser."""
    door = state.ingest.door
    heats = scale(door.words)
    menu = [
        _card(heats, PickInfo(each.nozzle, sauce.id, sauce.name, sauce.heat.milli_octaves, ""))
        for each in state.lots.fit(dispenser, nozzles_of(state, dispenser))
        if each.level_ml > 0 and (sauce := door.catalog.get(each.sauce)) is not None
    ]
    visit = state.kiosk.at(dispenser)
    return Screen(
        dispenser=dispenser,
        online=state.dispensers.reach(dispenser) is not None,
        visit=visit.key if visit is not None else None,
        asked=visit is not None and visit.picks is not None,
        picks=_picks(heats, visit),
        menu=tuple(sorted(menu, key=lambda card: card.milli_octaves)),
        line=_line(heats, visit.belief, visit.dial_mo) if visit is not None and visit.belief is not None else None,
        question=_question(state, visit),
        standing=visit.standing if visit is not None else "anonymous",
        card=visit is not None and visit.card is not None,
        changes=visit.changes if visit is not None else 0,
        steps=tuple(zip(heats.names, heats.ends(), strict=True)),
    )


def empty(screen: Screen) -> Screen:
    """The same with nobody there."""
    return replace(
        screen, visit=None, asked=False, picks=(), line=None, question=None, standing="anonymous", card=False, changes=0
    )


def _picks(heats: Scale, visit: Visit | None) -> tuple[Card, ...]:
    if visit is None:
        return ()
    poured = visit.dose.sauce if visit.dose is not None else None
    return tuple(_card(heats, pick, poured=pick.sauce == poured) for pick in visit.picks or ())


def _card(heats: Scale, pick: PickInfo, *, poured: bool = False) -> Card:
    heat_mo = pick.milli_octaves
    return Card(
        nozzle=pick.nozzle,
        sauce=pick.sauce,
        name=pick.name,
        milli_octaves=heat_mo,
        flames=heats.flames(heat_mo),
        word=heats.word(heat_mo),
        like=like(heat_mo),
        at=heats.percent(heat_mo),
        band=band(heat_mo),
        why=reason(pick.why),
        poured=poured,
    )


def _line(heats: Scale, belief: Belief, dial_mo: int | None) -> Line:
    return Line(
        low=heats.percent(belief.mean_mo - belief.sd_mo),
        middle=heats.percent(belief.mean_mo),
        high=heats.percent(belief.mean_mo + belief.sd_mo),
        hurts=heats.percent(belief.tolerance_mo),
        own=belief.evidence > 0,
        dial=heats.percent(dial_mo) if dial_mo is not None else None,
    )


def _question(state: GatewayState, visit: Visit | None) -> Question | None:
    if visit is None or (dose := visit.dose) is None:
        return None
    sauce = state.ingest.door.catalog.get(dose.sauce)
    return Question(dose.sauce, sauce.name if sauce is not None else dose.sauce, dose.position, dose.verdict)
