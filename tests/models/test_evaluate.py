"""The yardstick itself, and the shipped bundle held against it."""

from __future__ import annotations

from pathlib import Path

import pytest

from heat.catalog import default_catalog
from heat.reading import Reading
from models.bundle import load, pretrained
from models.evaluate import (
    Outcome,
    Question,
    Report,
    at_random,
    most_popular,
    nearest_stated_shu,
    nearest_usual_shu,
    report,
    table,
)
from models.features import Context, Menu
from models.ranker import OnnxRanker
from models.train import fit
from picante.simulated import judging_crowd, simulate_slates, training_crowd
from picante.training import evaluate_ranker, train_bundle
from tests.tasting import reading, sauce

MENU = Menu(
    [
        sauce(name, shu, popularity=p)
        for name, shu, p in [("a", 1000, 1), ("b", 2000, 9), ("c", 9000, 5), ("d", 80_000, 7)]
    ]
)


def _question(known: Reading | None = None, stated_shu: int | None = None) -> Question:
    return Question(known or reading(), MENU, Context(), stated_shu, {}, seed=4)


def test_the_baselines_do_what_they_are_called() -> None:
    assert most_popular(_question()) == ["b", "d", "c"]
    assert nearest_stated_shu(_question(stated_shu=50_000)) == ["d", "c", "b"]
    assert nearest_stated_shu(_question()) == ["b", "d", "c"]
    assert nearest_usual_shu(_question(reading(6000, evidence=2))) == ["a", "b", "c"]
    assert nearest_usual_shu(_question(reading(6000))) == ["b", "d", "c"]
    assert len(set(at_random(_question()))) == 3


def _outcomes() -> list[Outcome]:
    good = {"model": True, "other": False}
    bad = {"model": False, "other": False}
    both = {"model": True, "other": True}
    return [Outcome(1, True, good), Outcome(1, False, both), Outcome(2, True, bad), Outcome(3, False, good)]


def test_a_report_counts_visits() -> None:
    summed = report("r", _outcomes(), seed=1)
    assert (summed.overall.visits, summed.overall.customers) == (4, 3)
    assert (summed.overall.accepted("model"), summed.overall.accepted("other")) == (0.75, 0.25)
    assert (summed.cold_start.visits, summed.cold_start.accepted("model")) == (2, 0.5)
    assert (summed.returning.visits, summed.returning.accepted("other")) == (2, 0.5)
    other = summed.overall.scores[1]
    assert (other.policy, other.behind_model) == ("other", 0.5)
    assert other.low <= other.accepted <= other.high
    assert report("r", _outcomes(), seed=1) == summed


def test_the_interval_is_about_customers_not_visits() -> None:
    """A hundred visits of two customers who disagree say as little as two visits."""
    few = [Outcome(c, True, {"model": c == 1}) for c in (1, 2)]
    (wide,) = report("r", few * 50, seed=1).overall.scores
    assert (wide.low, wide.high) == (0.0, 1.0)


def test_a_resample_divides_by_its_own_visits() -> None:
    lopsided = [Outcome(1, True, {"model": True})] * 9 + [Outcome(2, True, {"model": False})]
    (score,) = report("r", lopsided, seed=1).overall.scores
    assert (score.accepted, score.low, score.high) == (0.9, 0.0, 1.0)


def test_a_section_without_visits_is_empty() -> None:
    summed = report("r", [Outcome(1, True, {"model": True})], seed=1)
    assert (summed.returning.visits, summed.returning.scores) == (0, ())
    assert "known customers: 0 visits" in table(summed)


def test_the_table_names_every_policy() -> None:
    text = table(report("abc", _outcomes(), seed=1))
    assert text.startswith("Ranker abc")
    assert "other" in text
    assert "model +0.500" in text


# -- the shipped bundle -------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def judged() -> Report:
    """The shipped bundle on 250 customers whom its training never saw."""
    bundle = load(pretrained())
    seed = bundle.manifest.training.seed + 4242
    return evaluate_ranker(OnnxRanker(bundle), default_catalog(), seed=seed, customers=250, days=42)


@pytest.fixture(scope="module")
def other_truth() -> Report:
    """The same bundle on customers who choose in a way that it was not trained on."""
    ranker = OnnxRanker(load(pretrained()))
    return evaluate_ranker(ranker, default_catalog(), seed=77, customers=200, days=42, world="satisficing")


@pytest.mark.parametrize(
    ("policy", "margin"),
    [("popularity", 0.12), ("nearest_stated_shu", 0.05), ("nearest_usual_shu", 0.03), ("rule", 0.003), ("random", 0.3)],
)
def test_the_shipped_model_beats(judged: Report, policy: str, margin: float) -> None:
    score = next(score for score in judged.overall.scores if score.policy == policy)
    assert score.behind_low > 0, "the interval of the difference must not touch zero"
    assert score.behind_model > margin


@pytest.mark.parametrize("policy", ["popularity", "random"])
def test_the_shipped_model_beats_at_cold_start(judged: Report, policy: str) -> None:
    score = next(score for score in judged.cold_start.scores if score.policy == policy)
    assert score.behind_low > 0


@pytest.mark.parametrize("policy", ["popularity", "nearest_stated_shu", "random"])
def test_the_shipped_model_beats_among_customers_who_choose_otherwise(other_truth: Report, policy: str) -> None:
    score = next(score for score in other_truth.overall.scores if score.policy == policy)
    assert score.behind_low > 0


def test_nobody_beats_the_oracle(judged: Report) -> None:
    assert judged.overall.scores[0].policy == "oracle"
    assert judged.overall.accepted("model") < judged.overall.accepted("oracle") < 1


def test_the_shipped_bundle_is_what_training_gives() -> None:
    manifest = load(pretrained()).manifest
    crowd = training_crowd(manifest.training.seed, manifest.training.customers, default_catalog())
    slates = simulate_slates(crowd, manifest.training.seed, days=56)
    assert len(slates) == manifest.training.slates
    assert fit(slates).weights == pytest.approx(manifest.weights, abs=2e-3)


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_who_judges_was_not_trained_on(seed: int) -> None:
    trained = {shopper.token for shopper in training_crowd(seed, 50, default_catalog()).shoppers}
    for other in (seed, seed + 1, 1001):
        judges = {shopper.token for shopper in judging_crowd(other, 50, default_catalog()).shoppers}
        assert trained & judges == {None}


def test_same_seed_same_bundle(tmp_path: Path) -> None:
    a, b, c = (
        train_bundle(tmp_path / str(i), default_catalog(), seed=seed, customers=40, days=14)[0].id
        for i, seed in enumerate((5, 5, 6))
    )
    assert a == b != c
