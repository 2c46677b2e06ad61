"""The feature matrix: its figures, its symmetry, its cost."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.reading import Reading, Window
from heat.scale import heat_from_shu
from models.features import COLUMN, FEATURES, MIN_SHARE, Context, Menu, features
from models.ranker import RuleRanker
from tests.tasting import CONTEXTS, MENUS, SAUCES, reading, readings, sauce

MENU = Menu([sauce("mild", 1008, ("smoky", "sweet"), 3), sauce("hot", 65_520, ("sweet",), 1)])  # 6 and 12 octaves


def _column(name: str, read: Reading, context: Context | None = None) -> list[float]:
    matrix = features(read, MENU, context or Context())
    return [round(float(value), 4) for value in matrix[:, COLUMN[name]]]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("gap", [-2, 4]),
        ("distance", [2, 4]),
        ("distance_sq", [4, 16]),
        # e**(-gap**2 / 2 / (0.36 for the label + 0.5 + 1))
        ("near", [round(math.exp(-4 / 3.72), 4), round(math.exp(-16 / 3.72), 4)]),
        ("above_tolerance", [0, 2.5]),
        ("gap_sure", [-1, 2]),
        ("distance_sure", [1, 2]),
        ("recent_distance", [1, 5]),
        ("flavour", [0.6, 0.2]),
        ("flavour_best", [0.4, 0.2]),
        ("popularity", [round(math.log(1.5), 4), round(math.log(0.5), 4)]),
        ("popularity_cold", [round(math.log(1.5) / 4, 4), round(math.log(0.5) / 4, 4)]),
        ("dial_distance", [4, 2]),
        ("dial_above", [0, 2]),
        ("dial_unsure", [2, 1]),
        ("distance_dialled", [1, 2]),
        ("mood_gap", [2, -4]),
        ("gap_evening", [-2, 4]),
        ("gap_warm", [-1, 2]),
        ("again", [0, 1]),
        ("poured_before", [round(math.log(4), 4), 0]),
        ("share_of_pours", [1, 0]),
        ("never_poured", [0, 0.75]),
        ("after_too_hot", [0, 1]),
    ],
)
def test_every_feature_by_hand(name: str, expected: list[float]) -> None:
    known = reading(8000, 1000, 9500, evidence=3, recent_mo=7000, flavours={"smoky": 0.4, "sweet": 0.2, "umami": 0.9})
    context = Context(
        dial=heat_from_shu(16_368), mood="mellow", last_poured=MENU.sauces[1], last_verdict="too_hot",
        pours={"mild": 3.0, "elsewhere": 9.0}, hour=17, temperature_c=20,
    )  # fmt: skip  # the dial stands at 10 octaves
    assert _column(name, known, context) == expected


def test_no_feature_was_forgotten_above() -> None:
    marks = test_every_feature_by_hand.pytestmark  # type: ignore[attr-defined]  # pytest puts it there
    assert [case[0] for case in marks[0].args[1]] == list(FEATURES)


def test_far_is_far() -> None:
    assert _column("distance_sq", reading(3000)) == [9, 16]


def test_recent_is_a_month() -> None:
    windows = (Window(7, 1, 6000), Window(30, 2, 9000), Window(90, 3, 12_000))
    assert _column("recent_distance", replace(reading(8000), windows=windows)) == [3, 3]


def test_what_is_unknown_is_zero() -> None:
    for name in FEATURES:
        if name.startswith(("gap_e", "gap_w", "pour", "share", "never")):
            assert _column(name, reading()) == [0, 0]
        if name.startswith(("dial", "mood", "again", "after", "flavour", "recent")) or name == "distance_dialled":
            assert _column(name, reading()) == [0, 0]
    assert _column("mood_gap", reading(), Context(mood="hangry")) == [0, 0]


@pytest.mark.parametrize(("hour", "evening"), [(16, False), (17, True), (23, True), (0, False), (None, False)])
def test_the_evening(hour: int | None, evening: bool) -> None:
    assert (_column("gap_evening", reading(8000), Context(hour=hour)) != [0, 0]) is evening


def test_a_heat_wave_counts_no_more_than_a_hot_day() -> None:
    for degrees, times in ((15, 0), (25, 1), (35, 2), (60, 2), (-40, -2)):
        assert _column("gap_warm", reading(8000), Context(temperature_c=degrees)) == [-2 * times, 4 * times]


@pytest.mark.parametrize("pours", [None, {}, {"mild": 0.0}, {"elsewhere": 3.0}])
def test_who_poured_none_of_these_has_no_habit(pours: dict[str, float] | None) -> None:
    for name in ("poured_before", "share_of_pours", "never_poured"):
        assert _column(name, reading(evidence=5), Context(pours=pours)) == [0, 0]


def test_a_site_s_popularity_comes_before_the_catalogue_s() -> None:
    assert _column("popularity", reading(), Context(popularity={"hot": 7.0, "other": 99.0})) == [
        round(math.log(2 * MIN_SHARE), 4),
        round(math.log(2), 4),
    ]
    # nothing known of any: nothing to choose by
    assert len(set(_column("popularity", reading(), Context(popularity={})))) == 1


@given(readings(), MENUS, CONTEXTS)
def test_features_are_finite_float32_in_rows(known: Reading, menu: Menu, context: Context) -> None:
    matrix = features(known, menu, context)
    assert matrix.shape == (len(menu), len(FEATURES))
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    assert np.isfinite(matrix).all()


@given(readings(), MENUS, CONTEXTS, st.randoms())
def test_a_sauce_s_features_do_not_depend_on_its_place(
    known: Reading, menu: Menu, context: Context, random: object
) -> None:
    order = list(range(len(menu)))
    random.shuffle(order)  # type: ignore[attr-defined]  # Hypothesis types it as an object
    shuffled = Menu([menu.sauces[row] for row in order])
    np.testing.assert_allclose(
        features(known, shuffled, context), features(known, menu, context)[order], rtol=1e-5, atol=1e-6
    )


def many_bits() -> str:
    """A digest of many features, and of what the rule makes of them."""
    chance, digest, menu = np.random.default_rng(7), hashlib.sha256(), Menu(SAUCES)
    for _ in range(200):
        known = reading(int(chance.integers(20_000)), int(chance.integers(2500)), evidence=3)
        pours = dict(zip(menu.ids, chance.random(len(menu)).tolist(), strict=True))
        matrix = features(known, menu, Context(pours=pours, popularity=pours))
        digest.update(matrix.tobytes() + RuleRanker().scores(matrix).tobytes())
    return digest.hexdigest()


def test_an_older_processor_gives_the_same_bits() -> None:
    """NumPy and OpenBLAS have other code for each generation of processors."""
    from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__  # type: ignore[import-not-found]

    newer = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
    script = "from tests.models.test_features import many_bits; print(many_bits())"
    older = os.environ | {"NPY_DISABLE_CPU_FEATURES": newer, "OPENBLAS_CORETYPE": "Nehalem"}
    said = subprocess.run(
        [sys.executable, "-c", script], cwd=Path(__file__).parents[2], env=older, capture_output=True, text=True,
        check=True, timeout=60,
    )  # fmt: skip
    assert said.stdout.strip() == many_bits()
