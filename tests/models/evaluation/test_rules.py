"""An evaluation that can fail: each rule, broken on its own."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from models.evaluation.outcomes import Outcomes
from models.evaluation.report import Check
from models.evaluation.rules import ABLATIONS, FAR_TOO_HOT_LIMIT, checks
from tests.models.evaluation.figures import good, outcomes


def _failed(of: Outcomes, world: str = "burn") -> list[Check]:
    return [check for check in checks([(world, of)], ["model"]) if check.is_rule and not check.passed]


def test_what_is_good_keeps_every_rule_and_reaches_every_goal() -> None:
    found = checks([("burn", good())], ["model"])
    assert all(check.passed for check in found)
    assert [check.is_rule for check in found] == [True] * 5 + [False] * 3
    assert {check.policy for check in found} == {"model", *ABLATIONS}


@pytest.mark.parametrize(
    ("visits", "what", "where"),
    [
        (lambda i: "p r o", "above popularity", "burn, all visits"),
        (lambda i: "m r o" if i % 2 else "p r o", "above popularity", "burn, no pour known"),
        (lambda i: "m o n" if i % 2 else "m r o", "refit beats its ablation", "burn, all visits"),
        (lambda i: "m o s" if i % 2 else "m r o", "refit beats its ablation", "burn, all visits"),
    ],
    ids=["overall", "cold", "heat state", "labels"],
)
def test_a_loss_is_named_with_its_figure(visits: Callable[[int], str], what: str, where: str) -> None:
    """Odd customers are known, even ones strangers."""
    failed = _failed(outcomes((i, 5 * (i % 2), visits(i)) for i in range(60)))
    named = [check for check in failed if (check.what, check.where) == (what, where)]
    assert named
    assert named[0].found.low <= 0
    assert f"FAIL: {what}, {where}, " in str(named[0])
    assert f"[{named[0].found.low:.3f}, {named[0].found.high:.3f}]" in str(named[0])


def test_a_lift_that_may_be_luck_is_no_lift() -> None:
    failed = _failed(outcomes((i, 0, "m r o" if i < 3 else "p r o" if i == 3 else "o r") for i in range(30)))
    assert ("above popularity", "model") in {(check.what, check.policy) for check in failed}


def test_an_ablation_that_may_have_lost_by_bad_luck_has_not_lost() -> None:
    part = outcomes((i, 0, "m r o" if i < 3 else "m o n s" if i == 3 else "m r o n s") for i in range(30))
    lost = [check for check in _failed(part) if check.what == "refit beats its ablation"]
    assert [check.policy for check in lost] == list(ABLATIONS)
    assert all(check.found.value > 0 for check in lost)


def test_too_many_that_are_far_too_hot_fail() -> None:
    """One slot in three of one customer in so many."""
    for customers, passes in ((60, False), (80, True)):
        part = outcomes((i, 5 * (i % 2), "m r o") for i in range(customers))
        part.far_too_hot[0, 0] = 1
        found = [check for check in checks([("company", part)], ["model"]) if check.what == "far too hot"]
        assert found[0].found.value == pytest.approx(1 / (3 * customers), abs=1e-4)
        assert found[0].passed is passes is (found[0].found.value <= FAR_TOO_HOT_LIMIT)


def test_nobody_of_a_kind_is_no_pass() -> None:
    failed = _failed(outcomes((i, 5, "m r o") for i in range(60)))
    assert [(check.what, check.where) for check in failed] == [("above popularity", "burn, no pour known")]


def test_goals_are_reported_and_fail_nothing() -> None:
    """Two visits in a hundred more than popularity, and thirty fewer than the oracle."""
    part = outcomes((i, 0, "m r o" if i < 20 else "m p r o n s" if i < 140 else "o") for i in range(1000))
    short = [check for check in checks([("burn", part)], ["model"]) if not check.is_rule]
    assert [check.passed for check in short] == [False, False, False]
    assert "short of the goal: behind the oracle" in str(short[-1])
    assert not _failed(part)
