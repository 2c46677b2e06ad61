"""How good are picks? The ranker beside what a shop would do without it, on the same visits.

The measure is *accepted slates*: the share of visits on which the customer poured one of the three sauces shown; a
visit without a pour counts as not accepted. Intervals come from a bootstrap over customers, since visits of one
customer are no independent evidence. Needs no extra, but is never imported on a gateway.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from heat.reading import Reading
from heat.scale import shu
from models.explore import SLOTS, suggest
from models.features import Context, Menu
from models.ranker import Ranker, RuleRanker

RESAMPLES = 1000
"""Bootstrap samples: the ends of a 95 % interval move by about 2 % of its width."""


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


Policy = Callable[[Question], Sequence[str]]
"""Chooses the ids of the sauces to show, best first."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one visit under each policy. `cold` if nothing was known of the customer before it."""

    customer: int
    cold: bool
    accepted: Mapping[str, bool]


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Accepted slates of one policy, with a 95 % interval; `behind_model` is model minus this policy."""

    policy: str
    accepted: float
    low: float
    high: float
    behind_model: float
    behind_low: float
    behind_high: float


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """The scores on one kind of visit, the best policy first."""

    name: str
    customers: int
    visits: int
    scores: tuple[Score, ...]

    def accepted(self, policy: str) -> float:
        """The accepted slates of a policy."""
        return next(score.accepted for score in self.scores if score.policy == policy)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All visits; those of customers of whom nothing was known before the visit; the others."""

    ranker: str
    overall: Section
    cold_start: Section
    returning: Section


def baselines() -> dict[str, Policy]:
    """What a ranker has to beat."""
    rule = RuleRanker()
    return {
        "rule": lambda question: served(rule, question),
        "popularity": most_popular,
        "nearest_stated_shu": nearest_stated_shu,
        "nearest_usual_shu": nearest_usual_shu,
        "random": at_random,
    }


def served(ranker: Ranker, question: Question) -> list[str]:
    """What a gateway with this ranker shows."""
    return [pick.sauce.id for pick in suggest(ranker, question.reading, question.menu, question.context).picks]


def most_popular(question: Question) -> list[str]:
    """The sauces most poured at the site."""
    return _best(question.menu, [float(lift) for lift in question.menu.popularity(question.context.popularity)])


def nearest_stated_shu(question: Question) -> list[str]:
    """The sauces whose SHU are nearest to what the customer said or dialled; the most popular without that."""
    if question.stated_shu is None:
        return most_popular(question)
    return _nearest(question.menu, question.stated_shu)


def nearest_usual_shu(question: Question) -> list[str]:
    """The sauces whose SHU are nearest to the customer's usual heat; the most popular for a new customer."""
    if not question.reading.evidence:
        return most_popular(question)
    return _nearest(question.menu, shu(question.reading.state.mean_mo))


def at_random(question: Question) -> list[str]:
    """Any sauces."""
    ids = list(question.menu.ids)
    return random.Random(question.seed).sample(ids, min(SLOTS, len(ids)))


def _nearest(menu: Menu, wanted_shu: int) -> list[str]:
    return _best(menu, [-abs(sauce.shu - wanted_shu) for sauce in menu.sauces])


def _best(menu: Menu, scores: Sequence[float]) -> list[str]:
    order = sorted(range(len(menu)), key=lambda row: -scores[row])
    return [menu.ids[row] for row in order[:SLOTS]]


def report(ranker: str, outcomes: Sequence[Outcome], seed: int) -> Report:
    """The outcomes, summed up. The policy called `model` is the one that others are compared with."""
    return Report(
        ranker=ranker,
        overall=_section("all visits", outcomes, seed),
        cold_start=_section("cold start", [outcome for outcome in outcomes if outcome.cold], seed),
        returning=_section("known customers", [outcome for outcome in outcomes if not outcome.cold], seed),
    )


def _section(name: str, outcomes: Sequence[Outcome], seed: int) -> Section:
    if not outcomes:
        return Section(name=name, customers=0, visits=0, scores=())
    policies = list(outcomes[0].accepted)
    customers = sorted({outcome.customer for outcome in outcomes})
    place = {customer: i for i, customer in enumerate(customers)}
    visits = np.zeros(len(customers))
    accepted = np.zeros((len(customers), len(policies)))
    for outcome in outcomes:
        visits[place[outcome.customer]] += 1
        accepted[place[outcome.customer]] += [outcome.accepted[policy] for policy in policies]
    counts = np.random.default_rng(seed).multinomial(
        len(customers), [1 / len(customers)] * len(customers), size=RESAMPLES
    )
    rates = (counts @ accepted) / (counts @ visits)[:, None]
    overall = accepted.sum(axis=0) / visits.sum()
    behind = rates[:, [policies.index("model")]] - rates
    scores = [
        _score(policy, float(overall[i]), float(overall[policies.index("model")]), rates[:, i], behind[:, i])
        for i, policy in enumerate(policies)
    ]
    scores.sort(key=lambda score: -score.accepted)
    return Section(name=name, customers=len(customers), visits=len(outcomes), scores=tuple(scores))


def _score(policy: str, accepted: float, model: float, rates: np.ndarray, behind: np.ndarray) -> Score:
    low, high, behind_low, behind_high = (
        round(float(value), 4) for value in (*np.percentile(rates, [2.5, 97.5]), *np.percentile(behind, [2.5, 97.5]))
    )
    return Score(
        policy=policy,
        accepted=round(accepted, 4),
        low=low,
        high=high,
        behind_model=round(model - accepted, 4),
        behind_low=behind_low,
        behind_high=behind_high,
    )


def table(report: Report) -> str:
    """The report as text."""
    lines = [f"Ranker {report.ranker}: share of visits on which one of three picks was poured (95 % interval)"]
    for section in (report.overall, report.cold_start, report.returning):
        lines += ["", f"{section.name}: {section.visits} visits of {section.customers} customers"]
        lines += [
            f"  {score.policy:20}{score.accepted:7.3f}  [{score.low:.3f}, {score.high:.3f}]"
            + (
                ""
                if score.policy == "model"
                else f"   model {score.behind_model:+.3f} [{score.behind_low:+.3f}, {score.behind_high:+.3f}]"
            )
            for score in section.scores
        ]
    return "\n".join(lines)
