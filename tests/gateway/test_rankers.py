"""Who answers whom: the arms of an experiment, a ranker that fails, and whose picks were called too hot."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from gateway.rankers import PICKS_KEPT, Rankers
from gateway.shadow import Shadow
from gateway.store import Store
from heat.events import Rated, Verdict
from heat.scale import heat_from_shu
from models.experiment import Experiment
from models.features import FEATURES, Matrix
from models.ranker import LinearRanker, Ranker

PEOPLE = [f"p1-{number:032x}" for number in range(400)]
OLD, NEW = (LinearRanker(name, [0.0] * len(FEATURES)) for name in ("old", "new"))


SITE: dict[str, Any] = {"store": "plaza", "region": "south", "channel": "dispenser", "consent": "session"}
ABOUT: dict[str, Any] = {"sauce": "table-red", "heat": heat_from_shu(2_200), "flavours": (), "w": 9}


def rate(
    store: Store, rankers: Rankers, pick_id: str | None, verdict: Verdict = "too_hot", sauce: str = "table-red"
) -> None:
    rated = Rated(**SITE, **ABOUT | {"sauce": sauce}, verdict=verdict, pick_id=pick_id)
    store.write(lambda tx: rankers.note_rating(tx, rated)).result(20)


def name_of(ranker: Ranker) -> str:
    return ranker.name


def fails_for(*names: str) -> Callable[[Ranker], str]:
    def ask(ranker: Ranker) -> str:
        if ranker.name in names:
            raise RuntimeError("no such operator")
        return ranker.name

    return ask


def test_one_ranker_answers_everybody() -> None:
    rankers = Rankers(OLD)
    answers = {rankers.answer(who, name_of) for who in (*PEOPLE, None)}
    assert {(said, assigned.experiment, assigned.arm) for said, assigned in answers} == {("old", None, None)}
    assert rankers.answers == {"old": 401}


def test_an_experiment_divides_the_customers_and_says_so() -> None:
    rankers = Rankers(OLD)
    rankers.use(NEW, OLD, experiment := Experiment("warmer-1", 30))
    for who in PEOPLE:
        said, assigned = rankers.answer(who, name_of)
        arm = experiment.arm(who)
        assert (said, assigned.experiment, assigned.arm) == ("new" if arm == "challenger" else "old", "warmer-1", arm)
    assert 80 < rankers.answers["new"] < 160
    said, assigned = rankers.answer(None, name_of)
    assert (said, assigned.experiment, assigned.arm) == ("old", None, None), "nobody is in no arm"


def test_a_bundle_on_probation_answers_everybody() -> None:
    rankers = Rankers(OLD)
    rankers.use(NEW, OLD)
    assert {rankers.answer(who, name_of)[0] for who in PEOPLE} == {"new"}


@pytest.mark.parametrize(("broken", "answers"), [(("new",), "old"), (("new", "old"), "rule")])
def test_a_ranker_that_fails_costs_nobody_their_picks(
    broken: tuple[str, ...], answers: str, caplog: pytest.LogCaptureFixture
) -> None:
    rankers = Rankers(OLD)
    rankers.use(NEW, OLD, Experiment("warmer-1", 100))
    for _ in range(4):
        said, assigned = rankers.answer(PEOPLE[0], fails_for(*broken))
        assert (said, assigned.ranker.name, assigned.experiment) == (answers, answers, None), "it is no exposure"
    assert rankers.errors == dict.fromkeys(broken, 4)
    told = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
    assert told == [f"{name} could not rank, another ranker does" for name in broken], "each is told of once"


def test_what_the_rule_fails_on_is_told() -> None:
    with pytest.raises(RuntimeError):
        Rankers(OLD).answer(None, fails_for("old", "rule"))


def test_a_shadow_sees_what_was_shown_until_it_has_seen_enough() -> None:
    rankers = Rankers(OLD)
    made = 0

    def features() -> Matrix:
        nonlocal made
        made += 1
        return np.zeros((5, len(FEATURES)), dtype=np.float32)

    rankers.answered("p", OLD, features)
    rankers.shadow = Shadow(NEW, wanted=3)
    for number in range(6):
        rankers.answered(f"p{number}", OLD, features)
    assert (rankers.shadow.slates, made) == (3, 3)


def test_ratings_count_for_who_ranked_what_they_are_about(store: Store) -> None:
    rankers = Rankers(OLD)
    rankers.answered("by-old", OLD, list)  # type: ignore[arg-type]
    rankers.answered("by-new", NEW, list)  # type: ignore[arg-type]
    verdicts: list[tuple[str | None, Verdict, str]] = [
        ("by-old", "too_hot", "table-red"),
        ("by-new", "just_right", "table-red"),
        ("by-new", "more", "roast-garlic"),
        ("by-new", "too_hot", "green-apple"),
        ("unknown", "too_hot", "table-red"),
        (None, "too_hot", "table-red"),
        # the same customer, who presses the button again and again
        ("by-old", "too_hot", "table-red"),
        ("by-new", "too_hot", "green-apple"),
    ]
    for pick_id, verdict, sauce in verdicts:
        rate(store, rankers, pick_id, verdict, sauce)
    reader = store.reader()
    found = [(o.rated, o.too_hot) for o in (rankers.outcomes(reader, name) for name in ("old", "new", "none"))]
    assert found == [(1, 1), (3, 1), (0, 0)]
    reader.close()


def test_the_oldest_impressions_are_forgotten(store: Store) -> None:
    rankers = Rankers(OLD)
    for number in range(PICKS_KEPT + 1):
        rankers.answered(f"p{number}", OLD, list)  # type: ignore[arg-type]
    for pick_id in ("p0", "p1", f"p{PICKS_KEPT}"):
        rate(store, rankers, pick_id)
    reader = store.reader()
    assert rankers.outcomes(reader, "old").rated == 2
    reader.close()
