"""Outcomes -> the figures of a report, each with its interval: what report.json holds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec
import numpy as np

from models.evaluation.outcomes import GROUPS, Outcomes
from models.evaluation.statistics import DECIMALS, Interval, Resampled, by_customer

FORMAT = 1
POPULARITY = "popularity"
"""What others are compared with."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """One policy on one kind of visits.

    `accepted`: share of visits on which one of the sauces shown was poured. `lift`: that, less popularity's, on the
    same customers. `by_seed`, in the order of the seeds, with their `mean` and the `worst`. `far_too_hot`: share of
    shown sauces that were.
    """

    policy: str
    accepted: Interval
    lift: Interval
    by_seed: tuple[float, ...]
    mean: float
    worst: float
    lift_by_seed: tuple[float, ...]
    worst_lift: float
    far_too_hot: Interval


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """The scores on one kind of visits, the best policy first."""

    name: str
    customers: int
    visits: int
    scores: tuple[Score, ...]

    def score(self, policy: str) -> Score:
        """A policy's."""
        return next(score for score in self.scores if score.policy == policy)


class WorldReport(msgspec.Struct, frozen=True, kw_only=True):
    """One world, by kind of visits."""

    world: str
    seeds: tuple[int, ...]
    groups: tuple[Group, ...]

    def group(self, name: str) -> Group:
        """A kind of visits."""
        return next(group for group in self.groups if group.name == name)


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """A bundle that is judged, and by which name."""

    name: str
    bundle: str
    kind: str
    trained_on_visits: int


class Split(msgspec.Struct, frozen=True, kw_only=True):
    """What was learnt from, and what was judged on: other people, and later."""

    training_days: int
    judged_days: int
    training_customers: int
    judged_customers_a_seed: int


class Check(msgspec.Struct, frozen=True, kw_only=True):
    """One rule or goal, and what was found. A rule that fails fails the run; a goal is reported."""

    what: str
    where: str
    policy: str
    found: Interval
    wanted: str
    passed: bool
    is_rule: bool = True

    def __str__(self) -> str:
        verdict = "pass" if self.passed else "FAIL" if self.is_rule else "short of the goal"
        return f"{verdict}: {self.what}, {self.where}, {self.policy}: {self.found} (wanted: {self.wanted})"


class RealScore(msgspec.Struct, frozen=True, kw_only=True):
    """One way of choosing, on real choices: the share of people's own first choices that it named first."""

    policy: str
    hits: Interval
    lift: Interval


class Real(msgspec.Struct, frozen=True, kw_only=True):
    """One set of real choices. Lifts are above `baseline`."""

    name: str
    split: str
    baseline: str
    choices: int
    people: int
    scores: tuple[RealScore, ...]


class Estimated(msgspec.Struct, frozen=True, kw_only=True):
    """What one off-policy estimator says: by the ratios of each slot, or of whole slates.

    `effective_visits`: how many visits of the judged policy's own would say as much.
    """

    estimator: str
    ratios: str
    value: Interval
    effective_visits: int


class OffPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy earns a visit, told from the logs of another one.

    `logged` is what the one that ran earned, `true` what the judged one does: shown, on the very same visits.
    """

    world: str
    policy: str
    visits: int
    logged: float
    true: Interval
    estimates: tuple[Estimated, ...]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All of it. The same bundles, seeds and sizes give the same bytes."""

    format: int = FORMAT
    mode: str
    catalog: str
    split: Split
    bundles: tuple[Judged, ...]
    worlds: tuple[WorldReport, ...]
    checks: tuple[Check, ...]
    real: tuple[Real, ...] = ()
    off_policy: tuple[OffPolicy, ...] = ()

    @property
    def failed(self) -> tuple[Check, ...]:
        """The rules that were not kept."""
        return tuple(check for check in self.checks if check.is_rule and not check.passed)

    def off_policy_of(self, policy: str) -> tuple[OffPolicy, ...]:
        """What is told of a policy from the logs of another, world by world."""
        return tuple(told for told in self.off_policy if told.policy == policy)


def world_report(world: str, outcomes: Outcomes) -> WorldReport:
    """The scores of a world, by kind of visits; a kind that nobody made is left out."""
    seeds = tuple(int(seed) for seed in np.unique(outcomes.seed))
    groups = [_group(name, outcomes.where(name), seeds) for name in GROUPS]
    return WorldReport(world=world, seeds=seeds, groups=tuple(group for group in groups if group.visits))


def accepted(outcomes: Outcomes) -> Resampled:
    """Accepted slates by policy."""
    hits = by_customer(outcomes.seed, outcomes.customer, outcomes.accepted)
    visits = by_customer(outcomes.seed, outcomes.customer, np.ones_like(outcomes.accepted))
    return Resampled(hits, visits, seed=len(outcomes))


def far_too_hot(outcomes: Outcomes) -> Resampled:
    """The share of shown sauces that were far too hot, by policy."""
    far = by_customer(outcomes.seed, outcomes.customer, outcomes.far_too_hot)
    shown = by_customer(outcomes.seed, outcomes.customer, outcomes.shown)
    return Resampled(far, shown, seed=len(outcomes))


def _group(name: str, outcomes: Outcomes, seeds: Sequence[int]) -> Group:
    if not len(outcomes):
        return Group(name=name, customers=0, visits=0, scores=())
    drawn, hot = accepted(outcomes), far_too_hot(outcomes)
    base = outcomes.policies.index(POPULARITY)
    parts = [part for seed in seeds if len(part := outcomes.of_seed(seed))]
    by_seed = np.array([part.accepted.mean(axis=0) for part in parts]).round(DECIMALS)
    lift = (by_seed - by_seed[:, [base]]).round(DECIMALS)
    scores = [
        Score(
            policy=policy,
            accepted=drawn.share(i),
            lift=drawn.difference(i, base),
            by_seed=tuple(by_seed[:, i].tolist()),
            mean=round(float(by_seed[:, i].mean()), DECIMALS),
            worst=float(by_seed[:, i].min()),
            lift_by_seed=tuple(lift[:, i].tolist()),
            worst_lift=float(lift[:, i].min()),
            far_too_hot=hot.share(i),
        )
        for i, policy in enumerate(outcomes.policies)
    ]
    scores.sort(key=lambda score: -score.accepted.value)
    customers = len(np.unique(np.stack([outcomes.seed, outcomes.customer]), axis=1).T)
    return Group(name=name, customers=customers, visits=len(outcomes), scores=tuple(scores))


def json_of(report: Report) -> bytes:
    """The report as JSON, the same bytes for the same figures."""
    return msgspec.json.format(msgspec.json.encode(report), indent=1) + b"\n"


def table(report: Report) -> str:
    """The report as text: scores overall and at cold start, then the verdicts."""
    lines = [line for world in report.worlds for line in (*world_lines(world), "")]
    for real in report.real:
        lines += [f"{real.name}: {real.choices} choices of {real.people}, {real.split}"]
        lines += [f"  {score.policy:24}{score.hits}   above {real.baseline} {score.lift}" for score in real.scores]
        lines.append("")
    for told in report.off_policy:
        lines += [f"{told.world}, {told.policy}: {told.true} of {told.visits} visits, told from the log alone:"]
        lines += [
            f"  {one.estimator:6}{one.ratios:18}{one.value}   worth {one.effective_visits} visits"
            for one in told.estimates
        ]
        lines.append("")
    lines += [str(check) for check in report.checks]
    return "\n".join(lines)


def world_lines(world: WorldReport) -> Iterator[str]:
    """A world's scores overall and at cold start, as text."""
    for group in world.groups[:2]:
        yield f"{world.world}, {group.name}: {group.visits} visits of {group.customers} customers"
        yield from map(_row, group.scores)


def _row(score: Score) -> str:
    hot = 100 * score.far_too_hot.value
    return f"  {score.policy:24}{score.accepted}   lift {score.lift}   far too hot {hot:5.2f} %"
