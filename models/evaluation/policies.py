"""What is judged: a ranker as a gateway serves it, and what a shop would do without one."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from heat.profile import Profile
from heat.reading import Prior, Reading, Window, read
from heat.scale import shu
from models.explore import SLOTS, suggest
from models.features import Context, Menu
from models.ranker import Ranker, RuleRanker


@dataclass(frozen=True, slots=True)
class Question:
    """One visit, as a policy sees it. `stated_shu` is what the customer said or dialled, if they did."""

    reading: Reading
    menu: Menu
    context: Context
    stated_shu: int | None
    everywhere: Mapping[str, float]
    """Each sauce's share of all sites' pours (any scale); `context.popularity` has this site's."""
    seed: int
    """What the policy draws by; nothing that the customer does hangs together with it."""
    prior: Prior = Prior()  # noqa: RUF009 -- a frozen value
    """What the site believes of strangers."""


Policy = Callable[[Question], Sequence[str]]
"""Chooses the ids of the sauces to show, best first."""


def baselines() -> dict[str, Policy]:
    """What a ranker has to beat."""
    rule = RuleRanker()
    return {
        "rule": lambda question: greedy(rule, question),
        "popularity": popularity,
        "site_popularity": site_popularity,
        "nearest_stated_shu": nearest_stated_shu,
        "nearest_usual_shu": nearest_usual_shu,
        "repeat_last": repeat_last,
        "random": at_random,
    }


def served(ranker: Ranker, question: Question) -> list[str]:
    """What a gateway with this ranker shows, exploring where the ranker can."""
    chosen = suggest(ranker, question.reading, question.menu, question.context, seed=question.seed)
    return [pick.sauce.id for pick in chosen.picks]


def greedy(ranker: Ranker, question: Question) -> list[str]:
    """What this ranker holds for the best."""
    return [pick.sauce.id for pick in suggest(ranker, question.reading, question.menu, question.context).picks]


def popularity(question: Question) -> list[str]:
    """The sauces most poured at all sites."""
    return _best(question.menu, [float(lift) for lift in question.menu.popularity(question.everywhere)])


def site_popularity(question: Question) -> list[str]:
    """The sauces most poured at this site."""
    return _best(question.menu, [float(lift) for lift in question.menu.popularity(question.context.popularity)])


def nearest_stated_shu(question: Question) -> list[str]:
    """The sauces whose SHU are nearest to what the customer said or dialled; the site's popular ones without that."""
    if question.stated_shu is None:
        return site_popularity(question)
    return _nearest(question.menu, question.stated_shu)


def nearest_usual_shu(question: Question) -> list[str]:
    """The sauces whose SHU are nearest to the customer's usual heat; the site's popular ones for a new customer."""
    if not question.reading.evidence:
        return site_popularity(question)
    return _nearest(question.menu, shu(question.reading.state.mean_mo))


def repeat_last(question: Question) -> list[str]:
    """What the customer poured last, then what they poured most, then what is popular at the site."""
    last, own = question.context.last_poured, question.context.pours or {}
    lifts = question.menu.popularity(question.context.popularity)
    scores = [
        (last is not None and sauce.id == last.id, own.get(sauce.id, 0.0), float(lift))
        for sauce, lift in zip(question.menu.sauces, lifts, strict=True)
    ]
    return _best(question.menu, scores)


def at_random(question: Question) -> list[str]:
    """Any sauces."""
    ids = list(question.menu.ids)
    return random.Random(question.seed).sample(ids, min(SLOTS, len(ids)))


def without_heat(reading: Reading, prior: Prior) -> Reading:
    """The reading of a gateway that keeps no heat state: everybody is believed to like what the prior says.

    Flavours and the count of evidence stay.
    """
    windows = tuple(Window(window.days, window.pours, None) for window in reading.windows)
    return replace(reading, state=read(Profile(), 0, prior).state, windows=windows)


def _nearest(menu: Menu, wanted_shu: int) -> list[str]:
    return _best(menu, [-abs(sauce.shu - wanted_shu) for sauce in menu.sauces])


def _best(menu: Menu, scores: Sequence[float] | Sequence[tuple[bool, float, float]]) -> list[str]:
    order = sorted(range(len(menu)), key=lambda row: scores[row], reverse=True)
    return [menu.ids[row] for row in order[:SLOTS]]
