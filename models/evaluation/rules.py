"""What a ranker has to show, or the run fails; and what it is meant to reach."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from models.evaluation.outcomes import ALL, COLD, Outcomes
from models.evaluation.report import POPULARITY, Check, accepted, far_too_hot
from models.evaluation.statistics import Interval

FAR_TOO_HOT_LIMIT = 0.005
"""Of all shown sauces. People come back from a dull pick; from a pick that hurt they don't."""
GOAL_LIFT, GOAL_COLD_LIFT, GOAL_BEHIND_ORACLE = 0.10, 0.04, 0.10
FIRST_WORLD: Literal["burn"] = "burn"
REFIT = "refit"
"""The ranker that was fitted anew on each world, against which its ablations are held."""
NO_HEAT_STATE, SHUFFLED_LABELS = "no heat state", "shuffled labels"
NOTHING = Interval(value=0.0, low=0.0, high=0.0)
ABLATIONS = (NO_HEAT_STATE, SHUFFLED_LABELS)


def checks(worlds: Iterable[tuple[str, Outcomes]], models: Sequence[str]) -> tuple[Check, ...]:
    """The rules and the goals, world by world, for each of the judged policies `models`."""
    found = [check for world, outcomes in worlds for check in _of_world(world, outcomes, models)]
    return tuple(sorted(found, key=lambda check: not check.is_rule))


def _of_world(world: str, outcomes: Outcomes, models: Sequence[str]) -> list[Check]:
    place, where = outcomes.policies.index, f"{world}, {ALL}"
    result = [check for group in (ALL, COLD) for check in _lifts(world, group, outcomes.where(group), models)]
    hot, drawn = far_too_hot(outcomes), accepted(outcomes)
    for model in models:
        behind, share = drawn.difference(place("oracle"), place(model)), hot.share(place(model))
        result += [
            Check(
                what="far too hot",
                where=where,
                policy=model,
                found=share,
                wanted=f"at most {100 * FAR_TOO_HOT_LIMIT:g} % of the shown sauces",
                passed=share.value <= FAR_TOO_HOT_LIMIT,
            ),
            Check(
                what="behind the oracle",
                where=where,
                policy=model,
                found=behind,
                wanted=f"at most {100 * GOAL_BEHIND_ORACLE:g} points",
                passed=behind.value <= GOAL_BEHIND_ORACLE,
                is_rule=False,
            ),
        ]
    for ablation in ABLATIONS:
        lost = drawn.difference(place(REFIT), place(ablation))
        result.append(
            Check(
                what=f"{REFIT} beats its ablation",
                where=where,
                policy=ablation,
                found=lost,
                wanted="interval above 0",
                passed=lost.low > 0,
            )
        )
    return result


def _lifts(world: str, group: str, outcomes: Outcomes, models: Sequence[str]) -> Iterator[Check]:
    """Whether the models are above popularity on one kind of visits, and in the first world by how much."""
    where, goal = f"{world}, {group}", GOAL_LIFT if group == ALL else GOAL_COLD_LIFT
    drawn = accepted(outcomes) if len(outcomes) else None
    for model in models:
        # where nobody came nothing was shown, so nothing is passed
        lift, what = NOTHING, "above popularity"
        if drawn is not None:
            lift = drawn.difference(outcomes.policies.index(model), outcomes.policies.index(POPULARITY))
        yield Check(what=what, where=where, policy=model, found=lift, wanted="interval above 0", passed=lift.low > 0)
        if world == FIRST_WORLD:
            wanted, passed = f"at least {100 * goal:g} points", lift.value >= goal
            yield Check(what=what, where=where, policy=model, found=lift, wanted=wanted, passed=passed, is_rule=False)
