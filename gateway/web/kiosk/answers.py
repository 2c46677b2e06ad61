"""A kiosk as JSON: what `screen` shows, in the language that was asked for."""

from __future__ import annotations

from typing import Annotated, Literal

from gateway.visits import Standing
from gateway.web.answers import Answer, SauceView, example
from gateway.web.kiosk.screen import Card, Screen
from gateway.web.language import Language
from heat.events import Verdict


class KioskSauce(SauceView):
    """A sauce as customers see it."""

    flames: Annotated[int, example(2)]
    """1..5."""
    word: Annotated[str, example("Medium")]
    like: Annotated[str, example("as hot as a jalapeño")]
    at: Annotated[float, example(33.1)]
    """Where it lies on the scale, in percent."""


class KioskPick(KioskSauce):
    """A pick, as it is on the dispenser's screen."""

    why: Annotated[str | None, example("close to your usual heat")]
    """Null where that is not known any more: the gateway was started anew."""
    poured: bool


class KioskLine(Answer):
    """Where the customer's taste lies on the scale, in percent."""

    low: Annotated[float, example(21.5)]
    middle: Annotated[float, example(38.0)]
    high: Annotated[float, example(54.5)]
    """`low` and `high` are a standard deviation away: the ends are soft."""
    hurts: Annotated[float, example(61.2)]
    """From here on it is likely to be too hot."""
    own: bool
    """False: nothing is known of this customer, and it is what people here like."""
    dial: float | None
    """Where the dial stands, if it was turned."""


class KioskQuestion(Answer):
    """The last pour, and what the customer said of it."""

    sauce: Annotated[str, example("chipotle-honey")]
    name: Annotated[str, example("Chipotle Honey")]
    pour: Annotated[int, example(1043)]
    """Names this pour to a rating."""
    verdict: Verdict | None


class KioskView(Answer):
    """What a kiosk shows now."""

    dispenser: Annotated[str, example("hot-bar-1")]
    online: bool
    """Whether the dispenser is connected."""
    state: Literal["start", "visit"]
    visit: Annotated[str | None, example("3f2a9c0d1b7e4f6a")]
    """Give it with whatever is pressed; null while nobody stands there."""
    asked: bool
    """Whether picks were asked for; without any then, there is nothing for this customer."""
    picks: list[KioskPick]
    menu: list[KioskSauce]
    """What the dispenser has, mildest first."""
    line: KioskLine | None
    question: KioskQuestion | None
    standing: Standing
    card: bool
    """Whether a card was shown in this visit."""


def kiosk_view(screen: Screen, told: Language) -> KioskView:
    """The answer that tells of a screen."""
    line, question = screen.line, screen.question
    return KioskView(
        dispenser=screen.dispenser,
        online=screen.online,
        state=screen.state,
        visit=screen.visit,
        asked=screen.asked,
        picks=[
            KioskPick(
                **_sauce(card, told).model_dump(),
                why=None if card.why is None else told.say(card.why),
                poured=card.poured,
            )
            for card in screen.picks
        ],
        menu=[_sauce(card, told) for card in screen.menu],
        line=None
        if line is None
        else KioskLine(
            low=line.low, middle=line.middle, high=line.high, hurts=line.hurts, own=line.own, dial=line.dial
        ),
        question=None
        if question is None
        else KioskQuestion(sauce=question.sauce, name=question.name, pour=question.position, verdict=question.verdict),
        standing=screen.standing,
        card=screen.card,
    )


def _sauce(card: Card, told: Language) -> KioskSauce:
    return KioskSauce(
        nozzle=card.nozzle,
        sauce=card.sauce,
        name=card.name,
        milli_octaves=card.milli_octaves,
        shu=card.shu,
        flames=card.flames,
        word=told.say(card.word),
        like=told.say(card.like),
        at=card.at,
    )
