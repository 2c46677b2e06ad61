"""Where the simulator meets the ranker: crowds of shoppers make the logs that it is trained and judged on.

A crowd visits a few dispensers for some weeks. Each visit goes the way of a real one: what the customer says is folded
into a profile, the profile is read on that day, features are computed as a gateway computes them, three sauces are
shown, one is poured, perhaps rated, and all of it is folded again. Who shows no loyalty token is a stranger each time.
What is shown here comes from a logging policy (`picante.logging_policy`), by which every sauce gets its chance; the
judged policies see the very same visits.

Crowds of training and of evaluation never share a customer: training draws from even seeds, evaluation from odd ones.
"""

from __future__ import annotations

import random
from collections import Counter, deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from heat.catalog import Catalog, Sauce
from heat.events import AnyData, Poured, Rated, Stated, Verdict
from heat.following import LATEST, Dose, dose
from heat.pours import decayed, site_popularity
from heat.profile import Profile, contribution, precision_class
from heat.reading import Prior, Reading, read
from heat.scale import Heat, WordTable, default_words, heat_from_shu
from heat.site_prior import LEAST_EVIDENCE, LIKED, learn
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import Visit
from hw_sim.shoppers.weather import temperature_c
from hw_sim.shoppers.world import Crowd, World
from models.evaluation.policies import Question
from models.features import Context, Menu, features
from models.train import Slate
from picante import logging_policy

FIRST_DAY = 20_454
"""The UTC day number (2026-01-01) on which every simulation starts."""
DISPENSERS, SITES = 24, 4
"""Dispensers, and the gateways that share them out."""
NOZZLES = (8, 12)
"""The fewest and the most sauces that a dispenser offers."""
AT_HOME = 0.8
"""Chance of going to one's usual dispenser."""
POLICY_DRAW = 3
"""Added to a visit's seed where a policy draws. Shoppers draw by the seed and the two numbers after it: by the same one
mis-taps would fall on the uniform slates, where they cost little."""
BRAND = Prior()
Sums = tuple[int, int, int]
"""n, sum w and sum w*q of some evidence."""
ORIGIN = "simulated"
_PLACE: dict[str, Any] = {
    "store": ORIGIN,
    "region": ORIGIN,
    "channel": "dispenser",
    "consent": "profile",
}


@dataclass(slots=True)
class _Known:
    """What the gateway knows of a customer."""

    profile: Profile = field(default_factory=Profile)
    fresh: Profile = field(default_factory=Profile)
    """What this visit adds to it."""
    latest: deque[Dose] = field(default_factory=lambda: deque(maxlen=LATEST))
    last: Sauce | None = None
    verdict: Verdict | None = None
    pours: Counter[tuple[str, int]] = field(default_factory=Counter)
    """By sauce and day."""


@dataclass(slots=True)
class _Site:
    """One gateway: what was poured at its dispensers, and what it believes of strangers."""

    pours: dict[str, float]
    prior: Prior = BRAND
    liked: dict[int, Sums] = field(default_factory=dict)
    """By customer with a token: sums of what they were found to like here."""

    def note(self, customer: int, added: Profile) -> None:
        """A known customer's evidence."""
        for key, sums in added.buckets.items():
            if key.kind in LIKED:
                before = self.liked.get(customer, (0, 0, 0))
                self.liked[customer] = before[0] + sums.n, before[1] + sums.w, before[2] + sums.wq

    def learn(self) -> None:
        """Look at everybody again, as a gateway does every few hours."""
        learned = learn(((w, wq) for n, w, wq in self.liked.values() if n >= LEAST_EVIDENCE), BRAND)
        self.prior = BRAND if learned is None else Prior(learned.mean_mo, learned.sd_mo)


@dataclass(frozen=True, slots=True)
class _Dispenser:
    """What it offers, and whose it is."""

    menu: Menu
    site: _Site


@dataclass(frozen=True, slots=True)
class Moment:
    """One visit just before the pour: what the gateway knows, what was shown, and what will be chosen."""

    customer: int
    day: int
    history: int
    """Pours that the gateway knows of this customer, before this one."""
    shopper: Shopper
    visit: Visit
    question: Question
    shown: tuple[str, ...]
    chosen: str | None


def training_crowd(seed: int, customers: int, catalog: Catalog, world: World = "burn") -> Crowd:
    """The customers that a seed trains on."""
    return Crowd(2 * seed, customers, catalog, world)


def judging_crowd(seed: int, customers: int, catalog: Catalog, world: World = "burn") -> Crowd:
    """The customers that a seed judges on: no seed trains on any of them."""
    return Crowd(2 * seed + 1, customers, catalog, world)


def moments(crowd: Crowd, seed: int, days: int) -> Iterator[Moment]:
    """The visits of a crowd, in order. While a moment is out, its shopper has not poured yet."""
    rng = random.Random(seed)
    words = default_words()
    start = site_popularity(crowd.catalog.values(), {})
    sites = [_Site(dict(start)) for _ in range(SITES)]
    dispensers = [_Dispenser(_menu(rng, crowd.catalog), sites[i % SITES]) for i in range(DISPENSERS)]
    learned_on = 0
    everywhere = dict(start)
    number = {id(shopper): i for i, shopper in enumerate(crowd.shoppers)}
    known = [_Known() for _ in crowd.shoppers]
    for arrival in crowd.arrivals(rng, days):
        shopper, today = arrival.shopper, FIRST_DAY + arrival.day
        customer = number[id(shopper)]
        if arrival.day != learned_on:
            learned_on = arrival.day
            for site in sites:
                site.learn()
        if shopper.token is None:
            known[customer] = _Known()
        knows = known[customer]
        at = dispensers[customer % DISPENSERS if rng.random() < AT_HOME else rng.randrange(DISPENSERS)]
        celsius = temperature_c(seed, arrival.day, arrival.hour)
        visit = shopper.arrive(rng, arrival.day, arrival.hour, celsius)
        history = knows.pours.total()
        question = _ask(knows, visit, at, everywhere, words)
        shown = logging_policy.draw(rng, at.menu.ids, at.site.pours)
        chosen = shopper.choose(visit, at.menu.sauces, shown)
        yield Moment(customer, arrival.day, history, shopper, visit, question, shown, chosen)
        if chosen is not None:
            at.site.pours[chosen] += 1
            everywhere[chosen] += 1
            _after(knows, shopper, visit, crowd.catalog[chosen], today)
        if shopper.token is not None:
            at.site.note(customer, knows.fresh)
        knows.fresh = Profile()


def simulate_slates(crowd: Crowd, seed: int, days: int) -> list[Slate]:
    """The visits of a crowd that ended in a pour, as training wants them."""
    return [
        slate(moment, moment.question.reading) for moment in moments(crowd, seed, days) if moment.chosen is not None
    ]


def slate(moment: Moment, reading: Reading) -> Slate:
    """A visit that ended in a pour, of a customer who is read so."""
    menu = moment.question.menu
    slots = np.array([moment.shown.index(i) + 1 if i in moment.shown else 0 for i in menu.ids], dtype=np.int8)
    assert moment.chosen is not None
    return Slate(features(reading, menu, moment.question.context), slots, menu.rows[moment.chosen])


def _menu(rng: random.Random, catalog: Catalog) -> Menu:
    """The sauces of one dispenser, in the catalogue's order."""
    chosen = rng.sample(list(catalog), rng.randint(*NOZZLES))
    return Menu([sauce for sauce in catalog.values() if sauce.id in chosen])


def _ask(known: _Known, visit: Visit, at: _Dispenser, everywhere: Mapping[str, float], words: WordTable) -> Question:
    today = FIRST_DAY + visit.day
    dial = words.dial(visit.dial) if visit.dial is not None else None
    stated = _stated(visit, words)
    if stated is not None:
        _fold(known, stated, today)
    context = Context(
        dial=dial,
        mood=visit.mood,
        popularity=at.site.pours,
        last_poured=known.last,
        last_verdict=known.verdict,
        pours=decayed(((sauce, day, n) for (sauce, day), n in known.pours.items()), today),
        hour=visit.hour,
        temperature_c=visit.temperature_c,
    )
    wish = dial.shu if dial is not None else stated.heat.shu if stated is not None else None
    reading = read(known.profile, today, at.site.prior, latest=known.latest)
    return Question(reading, at.menu, context, wish, everywhere, visit.seed + POLICY_DRAW, at.site.prior)


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
    added = contribution(body, ORIGIN, today)
    known.profile.fold(added)
    known.fresh.fold(added)
    if (one := dose(body, today)) is not None:
        known.latest.append(one)
