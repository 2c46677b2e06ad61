"""Shoppers who judge: other people, later days, the same visits for all; and the shipped bundle held against them."""

from __future__ import annotations

import random
import shutil
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from heat.catalog import default_catalog
from heat.reading import Prior
from hw_sim.shoppers.world import WORLDS, World
from models.bundle import load, pretrained
from models.evaluation.estimates import SLATEWISE, SLOTWISE, off_policy
from models.evaluation.outcomes import ALL, COLD
from models.evaluation.policies import baselines, greedy, served, without_heat
from models.evaluation.report import OffPolicy, Report, WorldReport, json_of, world_report
from models.evaluation.rules import ABLATIONS, FAR_TOO_HOT_LIMIT, REFIT
from models.ranker import open_ranker
from models.train import fit
from picante.judging import (
    JUDGED_DAYS,
    QUICK,
    TRAINING_DAYS,
    Size,
    judge,
    judge_bundles,
    judged_moments,
    sized,
    steps,
)
from picante.log_reader import LogReader
from picante.simulated import SITES, judging_crowd, moments, slate, training_crowd
from picante.training import simulated

CATALOG = default_catalog()
TINY = Size("tiny", (1001,), 40, 60)


# -- who is judged, and on what -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_who_judges_was_not_trained_on(seed: int) -> None:
    trained = {shopper.token for shopper in training_crowd(seed, 50, CATALOG).shoppers}
    for other in (seed, seed + 1, 1001):
        judges = {shopper.token for shopper in judging_crowd(other, 50, CATALOG).shoppers}
        assert trained & judges == {None}


def test_judged_days_come_after_all_that_was_learnt_from() -> None:
    judged = list(judged_moments("burn", CATALOG, 3, 30))
    assert {moment.day for moment in judged} <= set(range(TRAINING_DAYS, TRAINING_DAYS + JUDGED_DAYS))
    assert {moment.history for moment in judged} >= {0, 5}, "strangers, and customers with a history before those days"
    trained = list(moments(training_crowd(3, 30, CATALOG), 3, TRAINING_DAYS))
    assert max(moment.day for moment in trained) < TRAINING_DAYS


def test_what_the_gateway_knows_is_what_came_before() -> None:
    poured: dict[int, int] = {}
    for moment in moments(judging_crowd(3, 30, CATALOG), 3, 40):
        if moment.shopper.token is None:
            assert moment.history == 0
            assert moment.question.context.pours == {}
        else:
            assert moment.history == poured.get(moment.customer, 0)
        context = moment.question.context
        assert (context.hour, context.temperature_c) == (moment.visit.hour, moment.visit.temperature_c)
        assert sum((context.pours or {}).values()) <= moment.history
        poured[moment.customer] = moment.history + (moment.chosen is not None)


def test_a_slate_is_what_was_on_offer_shown_and_poured() -> None:
    moment = next(one for one in moments(training_crowd(3, 30, CATALOG), 3, 10) if one.chosen is not None)
    made = slate(moment, moment.question.reading)
    assert moment.question.menu.ids[made.chosen] == moment.chosen
    assert [moment.question.menu.ids[row] for row in np.argsort(made.slots)[-3:]] == list(moment.shown)
    blind = slate(moment, without_heat(moment.question.reading, moment.question.prior))
    assert (blind.slots == made.slots).all()


def test_what_a_policy_draws_tells_nothing_of_a_mis_tap() -> None:
    """Both are a visit's first draw: by one seed, whoever explores would explore where it costs nothing."""
    told = list(moments(judging_crowd(3, 30, CATALOG), 3, 30))
    policy = [random.Random(moment.question.seed).random() for moment in told]
    shopper = [random.Random(moment.visit.seed).random() for moment in told]
    assert abs(np.corrcoef(policy, shopper)[0, 1]) < 4 / len(told) ** 0.5


def test_a_site_believes_of_strangers_what_it_found_in_its_own_customers() -> None:
    """As a gateway does; the brand's prior until there are enough."""
    told = list(moments(judging_crowd(3, 400, CATALOG), 3, 36))
    assert told[0].question.prior == Prior()
    assert len({moment.question.prior for moment in told if moment.day == 35}) == SITES, "each site its own"
    strangers = [moment for moment in told if not moment.question.reading.evidence]
    assert strangers
    for moment in strangers:
        assert moment.question.reading.state.mean_mo == moment.question.prior.mean_mo
    likings = [shopper.taste.preferred_octaves for shopper in judging_crowd(3, 400, CATALOG).shoppers]
    liked_mo = 1000 * float(np.mean(likings))
    assert abs(np.mean([moment.question.prior.mean_mo for moment in told if moment.day == 35]) - liked_mo) < 600
    assert abs(Prior().mean_mo - liked_mo) > 600, "the brand's is worse here"


def test_a_session_of_a_stranger_teaches_a_site_nothing() -> None:
    crowd = judging_crowd(3, 160, CATALOG)
    for shopper in crowd.shoppers:
        shopper.token = None
    assert {moment.question.prior for moment in moments(crowd, 3, 30)} == {Prior()}


def test_all_policies_see_the_same_visits_and_a_seed_says_which() -> None:
    first, again = (judge(baselines(), "burn", CATALOG, 5, 25) for _ in range(2))
    other = judge(baselines(), "burn", CATALOG, 6, 25)
    assert (first.accepted == again.accepted).all()
    assert first.accepted.shape != other.accepted.shape or (first.accepted != other.accepted).any()
    assert first.policies[-1] == "oracle"
    assert (first.shown[:, 1:] == 3).all(), "whatever a dispenser has, all but the rule fill the screen"


# -- the shipped bundle -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module", params=list(WORLDS))
def judged_and_told(request: pytest.FixtureRequest) -> tuple[WorldReport, OffPolicy]:
    """The shipped bundle, as a gateway serves it, on 130 customers of each world; and what their log tells of it."""
    ranker, error = open_ranker(pretrained())
    assert error is None
    policies = {"model": partial(served, ranker), "greedy": partial(greedy, ranker)} | baselines()
    world: World = request.param
    reader = LogReader(ranker, ranker.weights.tolist())
    found = world_report(world, judge(policies, world, CATALOG, 4242, 130, readers=[reader]))
    return found, off_policy(world, "model", reader.visits, found.group(ALL).score("model").accepted)


@pytest.fixture
def judged(judged_and_told: tuple[WorldReport, OffPolicy]) -> WorldReport:
    return judged_and_told[0]


@pytest.mark.parametrize("group", [ALL, COLD])
def test_the_shipped_bundle_beats_popularity_in_every_world(judged: WorldReport, group: str) -> None:
    score = judged.group(group).score("model")
    assert score.lift.low > 0, "the interval of the difference must not touch zero"
    assert score.lift.value > 0.04
    assert score.accepted.value > judged.group(group).score("random").accepted.value + 0.15


def test_nobody_beats_the_oracle(judged: WorldReport) -> None:
    assert judged.group(ALL).scores[0].policy == "oracle"
    assert judged.group(ALL).score("oracle").accepted.value < 1


def test_what_is_shown_is_hardly_ever_far_too_hot(judged: WorldReport) -> None:
    """A few slots decide at this size, so twice the limit is allowed; `picante models evaluate` keeps to it."""
    hot = judged.group(ALL).score("model").far_too_hot.value
    assert hot <= 2 * FAR_TOO_HOT_LIMIT
    assert hot < judged.group(ALL).score("random").far_too_hot.value / 10


def test_what_the_log_alone_tells_is_what_came_of_it(judged_and_told: tuple[WorldReport, OffPolicy]) -> None:
    """Of right estimators one in three hundred is as far off as three errors.

    Slot by slot they are right where a slot is poured for what is in it. A satisficer takes the first that will do, so
    that a slot earns less beside good ones; whole slates are right there too, and say little.
    """
    told = judged_and_told[1]
    assert told.logged < told.true.low - 0.1, "a guess by what was logged is far off"
    for one in told.estimates:
        if one.ratios == SLOTWISE and told.world != "satisficing":
            error = (one.value.high - one.value.low) / (2 * 1.96)
            assert abs(one.value.value - told.true.value) < 3 * error < 0.3
            assert 50 < one.effective_visits < told.visits / 2


def test_the_shipped_bundle_is_what_training_gives() -> None:
    manifest = load(pretrained()).manifest
    training = manifest.training
    logs = simulated(default_catalog(), seed=training.seed, customers=training.customers, days=TRAINING_DAYS)
    assert len(logs.slates) == training.slates
    assert fit(logs.slates).weights == pytest.approx(manifest.weights, abs=2e-3)


def test_another_seed_is_other_slates_of_all_worlds() -> None:
    """That the same seed gives the same bundle, `tests/models/test_cli_models.py` shows."""
    told: list[str] = []
    one, other = (simulated(CATALOG, seed=seed, customers=30, days=14, step=told.append) for seed in (5, 6))
    assert [slate.chosen for slate in one.slates] != [slate.chosen for slate in other.slates]
    assert [line.split("'")[1] for line in told] == 2 * ["burn", "satisficing", "company"]


# -- the whole report ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def report() -> Report:
    done: list[int] = []
    made = judge_bundles([load(pretrained())], CATALOG, ["burn"], TINY, workers=1, step=lambda: done.append(1))
    assert len(done) == steps(["burn"], TINY)
    return made


def test_the_report_has_models_baselines_ablations_and_the_oracle(report: Report) -> None:
    (world,) = report.worlds
    found = {score.policy for score in world.group(ALL).scores}
    assert found == {"model", "model, greedy", REFIT, *ABLATIONS, *baselines(), "oracle"}
    assert {check.policy for check in report.checks} == {"model", *ABLATIONS}
    assert report.bundles[0].bundle == load(pretrained()).id


def test_ablations_lose(report: Report) -> None:
    accepted = {score.policy: score.accepted.value for score in report.worlds[0].group(ALL).scores}
    assert all(accepted[ablation] < accepted[REFIT] for ablation in ABLATIONS)


def test_the_value_is_told_from_the_log_too(report: Report) -> None:
    (found,) = report.off_policy
    everyone = report.worlds[0].group(ALL)
    assert (found.world, found.policy, found.visits) == ("burn", "model", everyone.visits)
    assert found.true == everyone.score("model").accepted
    assert found.logged < found.true.low, "what was logged is half chance"
    assert [(one.ratios, one.estimator) for one in found.estimates if one.estimator != "SNIPS"] == [
        (SLOTWISE, "IPS"),
        (SLOTWISE, "DR"),
        (SLATEWISE, "IPS"),
        (SLATEWISE, "DR"),
    ]


def test_two_processes_judge_as_one_and_two_bundles_go_by_their_folders(report: Report, tmp_path: Path) -> None:
    copies = [load(Path(shutil.copytree(pretrained(), tmp_path / name))) for name in ("old", "new")]
    links = judge_bundles(copies, CATALOG, ["burn"], TINY, workers=2)
    assert [judged.name for judged in links.bundles] == ["old", "new"]
    assert links.worlds[0].group(ALL).score(REFIT) == report.worlds[0].group(ALL).score(REFIT)
    assert json_of(links) != json_of(report)


def test_a_size_can_be_asked_for() -> None:
    assert sized(QUICK, None, None) == QUICK
    assert sized(QUICK, 3, 77).seeds == (1001, 1002, 1003)
    assert sized(QUICK, 3, 77).customers == 77
    assert sized(QUICK, 3, 77).mode == "3 x 77", "not what is called a quick run"
    assert sized(QUICK, 2, None) == QUICK
