"""Where the simulator meets the ranker: crowds of shoppers make the logs that it is trained and judged on.

A crowd visits a few dispensers for some weeks. Each visit goes the way of a real one: what the customer says is folded
into a profile, the profile is read on that day, features are computed as a gateway computes them, three sauces are
shown, one is poured, perhaps rated, and all of it is folded again. Who shows no loyalty token is a stranger each time.
What is shown here comes from a logging policy, half at random and half by popularity, so that every sauce gets its
chance; the judged policies see the very same visits.

Crowds of training and of evaluation never share a customer: training draws from even seeds, evaluation from odd ones.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from heat.catalog import Catalog, Sauce
from heat.events import AnyData, Poured, Rated, Stated, Verdict
from heat.pours import decayed
from heat.profile import Profile, contribution, precision_class
from heat.reading import read
from heat.scale import Heat, WordTable, default_words, heat_from_shu
from hw_sim.satisficers import Satisficer
from hw_sim.shoppers import Crowd, Shopper, Visit
from models.bundle import Bundle, Training
from models.evaluate import Outcome, Policy, Question, Report, baselines, report, served
from models.explore import SLOTS
from models.features import Context, Menu, features
from models.ranker import LinearRanker, Ranker
from models.train import PENALTY, Fit, Slate, fit, write_bundle

FIRST_DAY = 20_454
"""The UTC day number (2026-01-01) on which every simulation starts."""
DISPENSERS = 24
NOZZLES = (8, 12)
"""The fewest and the most sauces that a dispenser offers."""
AT_HOME = 0.8
"""Chance of going to one's usual dispenser."""
CATALOG_POURS = 200
"""Pours that the catalogue's popularity counts as, before a site has its own."""
TRUTHS: dict[str, type[Shopper]] = {"burn": Shopper, "satisficing": Satisficer}
"""How simulated customers choose. Figures of any one of them are no evidence about real customers."""
ORIGIN = "simulated"
_PLACE: dict[str, Any] = {
    "store": ORIGIN,
    "region": ORIGIN,
    "channel": "dispenser",
    "consent": "profile",
}
Progress = Callable[[str], None]


@dataclass(slots=True)
class _Known:
    """What the gateway knows of a customer."""

    profile: Profile = field(default_factory=Profile)
    last: Sauce | None = None
    verdict: Verdict | None = None
    pours: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By sauce and day."""


@dataclass(frozen=True, slots=True)
class Moment:
    """One visit just before the pour: what the gateway knows, what was shown, and what will be chosen."""

    customer: int
    cold: bool
    """Nothing was known of the customer before this visit."""
    shopper: Shopper
    visit: Visit
    question: Question
    shown: tuple[str, ...]
    chosen: str | None


def training_crowd(seed: int, customers: int, catalog: Catalog) -> Crowd:
    """The customers that a seed trains on."""
    return Crowd(2 * seed, customers, catalog)


def judging_crowd(seed: int, customers: int, catalog: Catalog, truth: str = "burn") -> Crowd:
    """The customers that a seed judges on: no seed trains on any of them."""
    return Crowd(2 * seed + 1, customers, catalog, TRUTHS[truth])


def moments(crowd: Crowd, seed: int, days: int) -> Iterator[Moment]:
    """The visits of a crowd, in order. While a moment is out, its shopper has not poured yet."""
    rng = random.Random(seed)
    words = default_words()
    dispensers = [_menu(rng, crowd.catalog) for _ in range(DISPENSERS)]
    number = {id(shopper): i for i, shopper in enumerate(crowd.shoppers)}
    known = [_Known() for _ in crowd.shoppers]
    pours = {sauce.id: CATALOG_POURS * sauce.popularity / 100 for sauce in crowd.catalog.values()}
    for day, shopper in crowd.arrivals(rng, days):
        customer = number[id(shopper)]
        if shopper.token is None:
            known[customer] = _Known()
        menu = dispensers[customer % DISPENSERS if rng.random() < AT_HOME else rng.randrange(DISPENSERS)]
        visit = shopper.arrive(rng)
        cold = not known[customer].profile.buckets
        question = _ask(known[customer], visit, menu, FIRST_DAY + day, pours, words)
        shown = _logged_picks(rng, menu, pours)
        chosen = shopper.choose(visit, menu.sauces, shown)
        yield Moment(customer, cold, shopper, visit, question, shown, chosen)
        if chosen is not None:
            pours[chosen] += 1
            _after(known[customer], shopper, visit, crowd.catalog[chosen], FIRST_DAY + day)


def simulate_slates(crowd: Crowd, seed: int, days: int) -> list[Slate]:
    """The visits of a crowd that ended in a pour, as training wants them."""
    slates = []
    for moment in moments(crowd, seed, days):
        if moment.chosen is None:
            continue
        menu = moment.question.menu
        slots = np.array([moment.shown.index(i) + 1 if i in moment.shown else 0 for i in menu.ids], dtype=np.int8)
        x = features(moment.question.reading, menu, moment.question.context)
        slates.append(Slate(x, slots, menu.ids.index(moment.chosen)))
    return slates


def evaluate_ranker(
    ranker: Ranker, catalog: Catalog, *, seed: int, customers: int, days: int, truth: str = "burn"
) -> Report:
    """The ranker beside the baselines and the oracle, on customers whom training never saw.

    `truth` is how they choose (a key of `TRUTHS`); training always simulates the first kind.
    """
    policies: dict[str, Policy] = {"model": lambda question: served(ranker, question)} | baselines()
    outcomes = []
    for moment in moments(judging_crowd(seed, customers, catalog, truth), seed, days):
        offer = moment.question.menu.sauces
        picks = {name: policy(moment.question) for name, policy in policies.items()}
        picks["oracle"] = _oracle(moment)
        accepted = {name: moment.shopper.choose(moment.visit, offer, shown) in shown for name, shown in picks.items()}
        outcomes.append(Outcome(moment.customer, moment.cold, accepted))
    return report(ranker.name, outcomes, seed)


def train_bundle(
    out: Path, catalog: Catalog, *, seed: int, customers: int, days: int, progress: Progress = lambda _: None
) -> tuple[Bundle, Fit, Report]:
    """Simulate, fit, judge on other customers, and write the bundle into `out`."""
    slates = simulate_slates(training_crowd(seed, customers, catalog), seed, days)
    progress(f"{len(slates)} visits with a pour, of {customers} customers in {days} days")
    fitted = fit(slates)
    progress(
        f"fitted in {fitted.steps} Newton steps: {fitted.loss:.3f} nats a visit, guessing {fitted.guessing_loss:.3f}"
    )
    judged = evaluate_ranker(
        LinearRanker("model", fitted.weights), catalog, seed=seed, customers=max(customers // 3, 50), days=days
    )
    training = Training(seed=seed, customers=customers, slates=len(slates), penalty=PENALTY)
    bundle = write_bundle(out, fitted, training, _metrics(judged, fitted), catalog.version, created_by())
    return bundle, fitted, judged


def created_by() -> str:
    """This program and its version."""
    try:
        return f"picante {version('picante')}"
    except PackageNotFoundError:
        return "picante, not installed"


def _metrics(judged: Report, fitted: Fit) -> dict[str, float]:
    result = {"loss": round(fitted.loss, 4), "guessing_loss": round(fitted.guessing_loss, 4)}
    for name, section in (("overall", judged.overall), ("cold_start", judged.cold_start)):
        result |= {f"{name}.{score.policy}": score.accepted for score in section.scores}
    return result


def _menu(rng: random.Random, catalog: Catalog) -> Menu:
    """The sauces of one dispenser, in the catalogue's order."""
    chosen = rng.sample(list(catalog), rng.randint(*NOZZLES))
    return Menu([sauce for sauce in catalog.values() if sauce.id in chosen])


def _ask(known: _Known, visit: Visit, menu: Menu, today: int, pours: dict[str, float], words: WordTable) -> Question:
    dial = words.dial(visit.dial) if visit.dial is not None else None
    stated = _stated(visit, words)
    if stated is not None:
        _fold(known, stated, today)
    own = decayed(((sauce, day, n) for (sauce, day), n in known.pours.items()), today)
    context = Context(dial, visit.mood, pours, known.last, known.verdict, own)
    wish = dial.shu if dial is not None else stated.heat.shu if stated is not None else None
    return Question(read(known.profile, today), menu, context, wish, visit.seed)


def _stated(visit: Visit, words: WordTable) -> Stated | None:
    """What the dispenser sends of what was said before the pour: one thing, the dial only for want of another."""
    said: str | int
    if visit.said_shu is not None:
        heat, said = heat_from_shu(visit.said_shu), visit.said_shu
    elif visit.said_word is not None and (meant := words.word(visit.said_word)) is not None:
        heat, said = meant, visit.said_word
    elif visit.dial is not None:
        heat, said = words.dial(visit.dial), visit.dial
    else:
        return None
    return Stated(**_PLACE, heat=heat, w=precision_class("stated", heat), said=str(said))


def _after(known: _Known, shopper: Shopper, visit: Visit, sauce: Sauce, today: int) -> None:
    """The pour, and the verdict if there is one."""
    heat, tags = sauce.heat, sauce.flavours
    verdict = shopper.rate(visit, sauce)
    poured = Poured(
        **_PLACE,
        sauce=sauce.id,
        heat=heat,
        flavours=tags,
        w=precision_class("poured", heat),
        nozzle=0,
        volume_ul=shopper.pour_ul(visit, sauce),
        duration_ms=1500,
    )
    _fold(known, poured, today)
    if verdict is not None:
        _fold(known, _rated(sauce.id, heat, tags, verdict), today)
    known.last, known.verdict = sauce, verdict
    known.pours[sauce.id, today] += 1


def _rated(sauce: str, heat: Heat, tags: tuple[str, ...], verdict: Verdict) -> Rated:
    return Rated(**_PLACE, sauce=sauce, heat=heat, flavours=tags, w=precision_class(verdict, heat), verdict=verdict)


def _fold(known: _Known, body: AnyData, today: int) -> None:
    known.profile.fold(contribution(body, ORIGIN, today))


def _logged_picks(rng: random.Random, menu: Menu, pours: dict[str, float]) -> tuple[str, ...]:
    """Three sauces: as often drawn evenly as by popularity."""
    ids = list(menu.ids)
    if rng.random() < 0.5:
        return tuple(rng.sample(ids, SLOTS))
    # the largest of u ** (1 / share) is a draw by shares, without replacement
    keyed = sorted(ids, key=lambda sauce: -(rng.random() ** (1 / (pours[sauce] + 0.5))))
    return tuple(keyed[:SLOTS])


def _oracle(moment: Moment) -> Sequence[str]:
    """The three sauces that the shopper would truly enjoy most."""
    offer = moment.question.menu.sauces
    best = sorted(offer, key=lambda sauce: -moment.shopper.enjoyment(moment.visit, sauce))
    return [sauce.id for sauce in best[:SLOTS]]
