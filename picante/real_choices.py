"""Real people's choices -> how well the ranker's machinery names them. The logs are no part of Picante.

The same slate logit that ranks sauces (`models.train.fit`) is fitted on two logs of other goods:

- `coffee_tasting.csv.gz`: people tasted four coffees and named their favourite; before that they stated strength, roast
  and style. Split by person, in folds: whoever is judged was not learnt from.
- `vending_dispenses_2024.csv`: a machine's log of eight drinks by card. Split by time: learnt from the first part of
  the log, judged on the rest, on cards that had bought before. The features are a gateway's own (`models.features`):
  a drink is a sauce, its strength the heat.
"""

from __future__ import annotations

import csv
import gzip
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from heat.catalog import Sauce
from heat.errors import DataError
from heat.events import Poured
from heat.pours import decayed
from heat.profile import Profile, contribution, precision_class
from heat.reading import read
from models.evaluation.report import Real, RealScore
from models.evaluation.statistics import Ints, Resampled, by_customer
from models.features import Context, Matrix, Menu, features
from models.train import Slate, fit

COFFEE, VENDING = "coffee_tasting.csv.gz", "vending_dispenses_2024.csv"
FOLDS = 3
COFFEES = "ABCD"
STATED = ("stated_strength", "stated_roast", "stated_style")
COMMON = 0.02
"""Share of the people who have to state a thing for it to be learnt from."""
LEARNT = 0.6
"""Share of the vending log, by count, that is learnt from."""
STRENGTHS: dict[str, int] = {
    "Hot Chocolate": 300,
    "Cocoa": 450,
    "Latte": 2_000,
    "Cappuccino": 3_500,
    "Cortado": 6_000,
    "Americano with Milk": 9_000,
    "Americano": 18_000,
    "Espresso": 40_000,
}
"""The machine's drinks in the order of their strength, as if they were SHU."""
TASTES: dict[str, tuple[str, ...]] = {
    "Hot Chocolate": ("sweet", "milk"),
    "Cocoa": ("sweet", "milk"),
    "Latte": ("coffee", "milk"),
    "Cappuccino": ("coffee", "milk"),
    "Cortado": ("coffee", "milk"),
    "Americano with Milk": ("coffee", "water", "milk"),
    "Americano": ("coffee", "water"),
    "Espresso": ("coffee",),
}


def real_choices(folder: Path) -> tuple[Real, ...]:
    """What there is in `folder`. Raises DataError if nothing is there, or a file is no such log."""
    made = []
    for name, make in ((COFFEE, coffee), (VENDING, vending)):
        if (folder / name).exists():
            try:
                made.append(make(folder / name))
            except (OSError, LookupError, ValueError) as error:
                raise DataError(f"{folder / name}: {error!r}", hint="Give the folder of the original files") from error
    if not made:
        raise DataError(f"{folder}: neither {COFFEE} nor {VENDING}", hint="Give the folder of real choices")
    return tuple(made)


# -- coffee -------------------------------------------------------------------------------------------------------


def coffee(path: Path) -> Real:
    """Whose favourite of four coffees is named first."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        people = {row["submission_id"]: row for row in csv.DictReader(file) if row["favourite_overall"]}
    rows = list(people.values())
    chosen = np.array([COFFEES.index(row["favourite_overall"][-1]) for row in rows])
    matrices = _stated_by_coffee(rows)
    fold = np.random.default_rng(1).permutation(len(rows)) % FOLDS
    named = {policy: np.zeros(len(rows), dtype=np.int64) for policy in ("model", "popularity")}
    for part in range(FOLDS):
        learnt, judged = np.flatnonzero(fold != part), np.flatnonzero(fold == part)
        slates = [Slate(matrices[i], np.zeros(len(COFFEES), dtype=np.int8), int(chosen[i])) for i in learnt]
        weights = np.array(fit(slates).weights)
        named["model"][judged] = [int(np.argmax(matrices[i] @ weights)) for i in judged]
        named["popularity"][judged] = np.bincount(chosen[learnt]).argmax()
    hits = np.stack([named[policy] == chosen for policy in named], axis=1)
    about = "coffee tasting", f"split by person, {FOLDS} folds", "popularity"
    return _real(about, tuple(named), np.arange(len(rows)), hits)


def _stated_by_coffee(rows: Sequence[dict[str, str]]) -> list[Matrix]:
    """For each person (coffees, features): each coffee by itself, and with each thing that was stated."""
    counts = Counter((key, row[key]) for row in rows for key in STATED)
    common = [column for column in sorted(counts) if counts[column] >= COMMON * len(rows)]
    result = []
    for row in rows:
        said = [True, *(row[key] == value for key, value in common)]
        result.append(np.kron(np.eye(len(COFFEES)), np.array(said)).astype(np.float32))
    return result


# -- vending ------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Card:
    """What the machine knows of a card."""

    profile: Profile = field(default_factory=Profile)
    pours: Counter[tuple[str, int]] = field(default_factory=Counter)
    last: Sauce | None = None


def vending(path: Path) -> Real:
    """Which drink a card that bought before buys now."""
    menu = Menu([_drink(name, shu) for name, shu in STRENGTHS.items()])
    with path.open(encoding="utf-8", newline="") as file:
        log = sorted((datetime.fromisoformat(row["time"]), row["card"], row["drink"]) for row in csv.DictReader(file))
    until = log[int(LEARNT * len(log))][0]
    asked = list(_asked(log, menu))
    unseen = np.zeros(len(menu), dtype=np.int8)
    learnt = [Slate(matrix, unseen, chosen) for at, _, matrix, chosen, _ in asked if at < until]
    weights = np.array(fit(learnt).weights)
    cards, hits = [], []
    numbers: dict[str, int] = {}
    for at, card, matrix, chosen, simple in asked:
        if at >= until:
            cards.append(numbers.setdefault(card, len(numbers)))
            hits.append([int(np.argmax(matrix @ weights)) == chosen, *(row == chosen for row in simple)])
    policies = ("model", "popularity", "repeat last", "repeat most")
    about = "vending machine, known cards", f"split by time, after the first {LEARNT:.0%}", "repeat last"
    return _real(about, policies, np.array(cards), np.array(hits))


def _asked(
    log: Sequence[tuple[datetime, str, str]], menu: Menu
) -> Iterator[tuple[datetime, str, Matrix, int, tuple[int, int, int]]]:
    """Each purchase of a card that bought before: features, what was bought, and what simpler ways would name."""
    everywhere: Counter[str] = Counter(dict.fromkeys(menu.ids, 1))
    cards: dict[str, _Card] = {}
    for at, card, drink in log:
        name, today = _id(drink), at.toordinal()
        sauce = menu.sauces[menu.rows[name]]
        if card:
            known = cards.setdefault(card, _Card())
            if known.last is not None:
                own = decayed(((one, day, n) for (one, day), n in known.pours.items()), today)
                context = Context(popularity=dict(everywhere), last_poured=known.last, pours=own, hour=at.hour)
                most = max(own, key=lambda one: own[one], default=known.last.id)
                simple = menu.rows[everywhere.most_common(1)[0][0]], menu.rows[known.last.id], menu.rows[most]
                yield at, card, features(read(known.profile, today), menu, context), menu.rows[name], simple
            known.profile.fold(contribution(_poured(sauce), "vending", today))
            known.pours[name, today] += 1
            known.last = sauce
        everywhere[name] += 1


def _drink(name: str, shu: int) -> Sauce:
    return Sauce(id=_id(name), name=name, shu=shu, flavours=TASTES[name])


def _id(drink: str) -> str:
    return drink.lower().replace(" ", "-")


def _poured(sauce: Sauce) -> Poured:
    return Poured(
        store="vending",
        region="vending",
        channel="dispenser",
        consent="profile",
        sauce=sauce.id,
        heat=sauce.heat,
        flavours=sauce.flavours,
        w=precision_class("poured", sauce.heat),
        nozzle=0,
        volume_ul=1,
        duration_ms=1,
    )


def _real(about: tuple[str, str, str], policies: Sequence[str], people: Ints, hits: NDArray[np.bool_]) -> Real:
    """`about` is the name, the split, and the policy that the others are held against."""
    name, split, baseline = about
    nobody = np.zeros_like(people)
    drawn = Resampled(by_customer(nobody, people, hits), by_customer(nobody, people, np.ones_like(hits)), seed=1)
    base = list(policies).index(baseline)
    scores = [
        RealScore(policy=policy, hits=drawn.share(column), lift=drawn.difference(column, base))
        for column, policy in enumerate(policies)
    ]
    return Real(
        name=name,
        split=split,
        baseline=baseline,
        choices=len(people),
        people=len(np.unique(people)),
        scores=tuple(sorted(scores, key=lambda score: -score.hits.value)),
    )
