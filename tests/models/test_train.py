"""Fitting: finds planted weights, tells taste from being shown, and does so the same way every time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.assemble import About, write_bundle
from models.bundle import Bundle
from models.export import onnx_model
from models.features import COLUMN, FEATURES
from models.manifest import Training
from models.posterior import MEMBERS, draw
from models.train import Fit, Slate, fit

TRUTH = {"distance": -1.2, "flavour": 3.0, "popularity": 0.4}


def _planted(count: int, seed: int, slot_lift: float = 0.0) -> list[Slate]:
    """Slates of a customer whose choices are a logit with weights TRUTH, lifted where a sauce is shown in slot 1."""
    rng = np.random.default_rng(seed)
    weights = np.zeros(len(FEATURES))
    for name, weight in TRUTH.items():
        weights[COLUMN[name]] = weight
    slates = []
    for _ in range(count):
        n = int(rng.integers(3, 9))
        x = np.zeros((n, len(FEATURES)), dtype=np.float32)
        for name in TRUTH:
            x[:, COLUMN[name]] = rng.normal(size=n)
        slots = np.zeros(n, dtype=np.int8)
        # a policy that shows what is near: being shown and being liked go together
        slots[int(np.argmin(x[:, COLUMN["distance"]]))] = 1
        utility = x @ weights + slot_lift * (slots == 1) + rng.gumbel(size=n)
        slates.append(Slate(x, slots, int(np.argmax(utility))))
    return slates


def _weight(fitted: Fit, name: str) -> float:
    return fitted.weights[COLUMN[name]]


@pytest.mark.parametrize("slot_lift", [0.0, 1.5])
def test_planted_weights_are_found(slot_lift: float) -> None:
    fitted = fit(_planted(4000, seed=3, slot_lift=slot_lift))
    for name, weight in TRUTH.items():
        assert _weight(fitted, name) == pytest.approx(weight, abs=0.15)
    assert fitted.slot_weights[0] == pytest.approx(slot_lift, abs=0.2)
    assert fitted.slot_weights[1:] == (0.0, 0.0)
    assert all(_weight(fitted, name) == 0 for name in FEATURES if name not in TRUTH)
    assert fitted.loss < fitted.guessing_loss
    assert fitted.steps < 12


def test_the_fit_is_a_minimum() -> None:
    slates = _planted(300, seed=5)
    fitted = fit(slates, penalty=1e-9)

    def loss(weights: np.ndarray) -> float:
        total = 0.0
        for slate in slates:
            utility = slate.features @ weights + fitted.slot_weights[0] * (slate.slots == 1)
            total += float(np.log(np.exp(utility).sum()) - utility[slate.chosen])
        return total / len(slates)

    here = np.array(fitted.weights)
    assert loss(here) == pytest.approx(fitted.loss, abs=1e-4)
    for name in TRUTH:
        for step in (-0.05, 0.05):
            there = here.copy()
            there[COLUMN[name]] += step
            assert loss(there) > loss(here)


def test_a_stronger_penalty_means_smaller_weights() -> None:
    slates = _planted(200, seed=7)
    weak, strong = fit(slates, penalty=0.1), fit(slates, penalty=300)
    assert abs(_weight(strong, "distance")) < abs(_weight(weak, "distance")) / 2


def test_the_order_of_columns_scales_does_not_matter() -> None:
    slates = _planted(500, seed=9)
    larger = [Slate(slate.features * np.float32(8), slate.slots, slate.chosen) for slate in slates]
    assert _weight(fit(larger), "distance") * 8 == pytest.approx(_weight(fit(slates), "distance"), abs=1e-3)


def test_separable_choices_still_converge() -> None:
    """Without the penalty the weights would run away."""
    x = np.zeros((2, len(FEATURES)), dtype=np.float32)
    x[0, COLUMN["distance"]] = 1
    fitted = fit([Slate(x, np.zeros(2, dtype=np.int8), 1)] * 50)
    assert -50 < _weight(fitted, "distance") < -1


def test_nothing_to_train_on() -> None:
    with pytest.raises(ValueError, match="no slates"):
        fit([])


def test_same_slates_same_bundle(tmp_path: Path) -> None:
    about = About(Training(seed=1, customers=1, slates=400, penalty=3.0), {"m": 0.5}, "t", "test")

    def written(name: str, slates: list[Slate]) -> Bundle:
        return write_bundle(tmp_path / name, fit(slates), [slate.features for slate in slates], about)

    one, again = written("a", _planted(400, seed=11)), written("b", _planted(400, seed=11))
    assert one.id == again.id
    assert (tmp_path / "a" / "model.onnx").read_bytes() == onnx_model(fit(_planted(400, seed=11)).weights)
    assert len(one.golden) == 16
    assert written("c", _planted(400, seed=12)).id != one.id


# -- how sure the weights are -------------------------------------------------------------------------------------


def test_the_covariance_is_how_far_fits_scatter() -> None:
    """The truth lies as many deviations away as it should, over many data sets: Laplace's approximation holds."""
    truth = np.array([TRUTH.get(name, 0.0) for name in FEATURES])
    columns = [COLUMN[name] for name in TRUTH]
    off = []
    for seed in range(60):
        fitted = fit(_planted(150, seed=seed), penalty=0.1)
        sd = np.sqrt(np.diag(fitted.covariance))[columns]
        off.append((np.array(fitted.weights)[columns] - truth[columns]) / sd)
    assert 0.8 < float(np.std(off)) < 1.25


def test_a_slate_that_is_worth_less_leaves_weights_less_sure_and_where_they_were() -> None:
    slates = _planted(400, seed=3)
    whole, tenth = fit(slates, penalty=1e-6), fit(slates, penalty=1e-6, worth=0.1)
    assert tenth.weights == whole.weights
    column = COLUMN["distance"]
    assert tenth.covariance[column, column] == pytest.approx(10 * whole.covariance[column, column], rel=1e-3)


def test_nobody_explores_along_what_never_varied() -> None:
    fitted = fit(_planted(200, seed=3))
    deviations = draw(fitted.covariance, seed=1)
    varied = {COLUMN[name] for name in TRUTH}
    for column in range(len(FEATURES)):
        assert bool(deviations[:, column].any()) == (column in varied)


def test_deviations_are_centred_and_spread_as_the_covariance_says() -> None:
    chance = np.random.default_rng(2)
    mixed = chance.normal(size=(len(FEATURES), len(FEATURES)))
    covariance = mixed @ mixed.T / 100
    deviations = draw(covariance, seed=4)
    assert deviations.dtype == np.float32
    assert deviations.shape == (MEMBERS, len(FEATURES))
    assert not deviations.astype(np.float64).sum(axis=0).any()
    many = np.vstack([draw(covariance, seed) for seed in range(400)])
    np.testing.assert_allclose(many.T @ many / len(many), covariance, atol=0.02)
    np.testing.assert_array_equal(draw(covariance, seed=4), deviations)
    assert not np.array_equal(draw(covariance, seed=5), deviations)
