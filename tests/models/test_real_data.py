"""The ranker's slate logit on choices that real people made; skips where the logs are not at hand."""

from __future__ import annotations

import pytest

from models.evaluation.report import Real, RealScore
from picante.real_choices import COFFEE, VENDING, coffee, vending
from tests.shared_data import real_choices


def _scores(of: Real) -> dict[str, RealScore]:
    return {score.policy: score for score in of.scores}


def test_a_stated_taste_names_the_favourite_coffee_better_than_popularity() -> None:
    """Of people whom the fit never saw."""
    found = coffee(real_choices() / COFFEE)
    model, popular = (_scores(found)[policy].hits for policy in ("model", "popularity"))
    assert found.choices == found.people > 2_500
    assert model.low > popular.high, "intervals apart"
    assert model.value > 0.42
    assert popular.value == pytest.approx(0.36, abs=0.01)


def test_a_known_card_is_named_at_least_as_often_as_by_repeating_the_last_drink() -> None:
    """On the later part of the log. The interval of the difference holds zero: too few cards to tell."""
    found = vending(real_choices() / VENDING)
    scores = _scores(found)
    assert scores["repeat last"].hits.value == pytest.approx(0.6, abs=0.03)
    assert scores["model"].lift.value >= 0
    assert scores["model"].lift.low > -0.03
    assert scores["model"].hits.low > scores["popularity"].hits.high
