"""Rankers: the rule, the bundle in onnxruntime and in NumPy, and falling back from one to the next."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.errors import ModelError
from heat.reading import Reading
from heat.scale import heat_from_shu
from models.assemble import About, write_bundle
from models.bundle import load, pretrained
from models.explore import SLOTS, suggest
from models.features import COLUMN, FEATURES, Context, Matrix, Menu, features
from models.manifest import Training
from models.ranker import LinearRanker, OnnxRanker, RuleRanker, open_ranker, rank
from models.safety import FILL_MO, MARGIN_MO, hurts_mo, limit_mo
from models.train import Fit
from tests.tasting import CONTEXTS, MENUS, SAUCES, reading, readings, sauce

SHIPPED = load(pretrained())
ONNX = OnnxRanker(SHIPPED)
LINEAR = LinearRanker(SHIPPED.short_id, SHIPPED.manifest.weights)


def test_equal_scores_keep_the_menu_s_order() -> None:
    assert rank(np.array([1, 3, 3, 2, 3], dtype=np.float32), 4) == [1, 2, 4, 3]
    assert rank(np.array([np.nan, -5, np.nan], dtype=np.float32), 3) == [1, 0, 2]
    assert rank(np.array([], dtype=np.float32), 3) == []


@pytest.mark.parametrize("scorer", [ONNX, LINEAR], ids=["onnx", "numpy"])
def test_equal_sauces_keep_the_menu_s_order_however_long_it_is(scorer: OnnxRanker | LinearRanker) -> None:
    alike = np.random.default_rng(3).normal(size=(2, len(FEATURES))).astype(np.float32)
    low, high = sorted(alike, key=lambda row: float(scorer.scores(row[None])[0]))
    matrix = np.tile(low, (250, 1))
    matrix[100:150] = high
    scores = scorer.scores(matrix)
    assert rank(scores, 3) == [100, 101, 102]
    assert rank(scores, 250) == [*range(100, 150), *range(100), *range(150, 250)]


def test_the_rule_goes_by_the_usual_heat_the_dial_and_what_many_like() -> None:
    menu = Menu([sauce("mild", 1008), sauce("near", 4080), sauce("liked", 4080, (), 9), sauce("hot", 65_520)])
    known = reading(8000, tolerance_mo=15_000)  # 6, 8, 8 and 12 octaves

    def order(context: Context) -> list[str]:
        return [menu.ids[row] for row in rank(RuleRanker().scores(features(known, menu, context)), 4)]

    assert order(Context()) == ["liked", "near", "mild", "hot"]
    assert order(Context(dial=heat_from_shu(65_520))) == ["liked", "near", "hot", "mild"]
    known = reading(12_000, tolerance_mo=11_990)
    assert order(Context())[-1] == "hot", "a hair above the tolerance is above it"


@given(readings(), MENUS, CONTEXTS)
def test_the_rule_puts_nothing_above_tolerance_first(known: Reading, menu: Menu, context: Context) -> None:
    matrix = features(known, menu, context)
    above = matrix[:, COLUMN["above_tolerance"]] > 0.05
    order = [bool(above[row]) for row in rank(RuleRanker().scores(matrix), len(menu))]
    assert order == sorted(order)


@given(readings(), MENUS, CONTEXTS, st.sampled_from([LINEAR, ONNX]))
def test_nothing_above_the_limit_is_shown_while_something_milder_is_left(
    known: Reading, menu: Menu, context: Context, ranker: LinearRanker | OnnxRanker
) -> None:
    picks = suggest(ranker, known, menu, context).picks
    bearable = [one for one in menu.sauces if one.heat.milli_octaves < hurts_mo(context)]
    limit = limit_mo(known, context)
    within = [one for one in menu.sauces if one.heat.milli_octaves <= limit]
    near = [one for one in bearable if one.heat.milli_octaves <= limit + FILL_MO]
    assert len(picks) == (min(SLOTS, len(near)) or min(1, len(bearable))) == len({pick.sauce.id for pick in picks})
    shown_beyond = [pick.sauce.heat.milli_octaves for pick in picks if pick.sauce.heat.milli_octaves > limit]
    assert len(shown_beyond) == max(len(picks) - len(within), 0)
    # and then the mildest of them
    beyond = sorted(one.heat.milli_octaves for one in bearable if one.heat.milli_octaves > limit)
    assert shown_beyond == beyond[: len(shown_beyond)]
    assert all(pick.propensity == 1.0 and np.isfinite(pick.score) for pick in picks)


def test_a_ranker_that_loves_heat_is_held_back() -> None:
    weights = [0.0] * len(FEATURES)
    weights[COLUMN["gap"]] = 1
    reckless, known = LinearRanker("reckless", weights), reading(6000, tolerance_mo=7000, evidence=5)
    shown = [pick.sauce.id for pick in suggest(reckless, known, Menu(SAUCES), Context()).picks]
    assert shown == ["table-red", "lime-jalapeno", "smoked-paprika"]  # the hottest three up to 7.5 octaves
    # with too few of them, the mildest beyond fill up, but nothing far beyond
    few = Menu([SAUCES[23], SAUCES[20], SAUCES[7], SAUCES[6], SAUCES[0]])
    assert [pick.sauce.id for pick in suggest(reckless, known, few, Context()).picks] == [
        "garden-green",
        "roast-garlic",
    ]
    # and where there is nothing else, the mildest alone
    none = Menu([SAUCES[23], SAUCES[20]])
    assert [pick.sauce.id for pick in suggest(reckless, known, none, Context()).picks] == ["ghost-honey"]


def test_the_limit_is_the_tolerance_unless_more_is_dialled() -> None:
    known = reading(6000, tolerance_mo=7000, evidence=1)
    dial = SAUCES[12].heat  # 10.8 octaves
    assert limit_mo(known, Context()) == 7000 + MARGIN_MO
    assert limit_mo(known, Context(dial=dial)) == dial.milli_octaves + MARGIN_MO


def test_a_stranger_is_shown_nothing_near_what_others_stand() -> None:
    stranger, dial = reading(8000, tolerance_mo=10_000), SAUCES[12].heat
    assert limit_mo(stranger, Context()) == 10_000 - MARGIN_MO
    assert limit_mo(stranger, Context(dial=dial)) == dial.milli_octaves + MARGIN_MO


def test_nothing_near_what_was_too_hot_is_within_the_limit() -> None:
    known, dial = reading(6000, tolerance_mo=9000), SAUCES[12].heat
    mild, hot = SAUCES[3], SAUCES[16]  # 6.5 and 12.9 octaves
    for context, limit in (
        (Context(last_poured=mild, last_verdict="too_hot"), mild.heat.milli_octaves - MARGIN_MO),
        (Context(dial=dial, last_poured=mild, last_verdict="too_hot"), mild.heat.milli_octaves - MARGIN_MO),
        (Context(dial=dial, last_poured=hot, last_verdict="too_hot"), 9000 + MARGIN_MO),
        (Context(dial=dial, last_poured=mild, last_verdict="just_right"), dial.milli_octaves + MARGIN_MO),
    ):
        assert limit_mo(known, context) == limit


def test_what_was_too_hot_does_not_even_fill_up() -> None:
    known = reading(6000, tolerance_mo=9000)
    menu = Menu([SAUCES[0], SAUCES[8], SAUCES[9], SAUCES[10]])
    context = Context(last_poured=SAUCES[9], last_verdict="too_hot")
    assert {pick.sauce.id for pick in suggest(LINEAR, known, menu, context).picks} == {SAUCES[0].id, SAUCES[8].id}


def test_of_what_fills_up_alike_hot_sauces_go_by_their_scores() -> None:
    mild, *hot = (sauce("mild", 1000), sauce("b", 40_000), sauce("c", 40_000, popularity=9), sauce("d", 41_000))
    known = reading(5000, tolerance_mo=10_700, evidence=3)
    ranker = LinearRanker("popular", [float(name == "popularity") for name in FEATURES])
    shown = suggest(ranker, known, Menu([mild, *hot]), Context()).picks
    assert [(pick.sauce.id, pick.fits) for pick in shown] == [("mild", True), ("c", False), ("b", False)]


@given(readings(), MENUS, CONTEXTS, st.none() | st.integers(0, 2**53 - 1))
def test_the_rule_shows_nothing_above_the_tolerance(
    known: Reading, menu: Menu, context: Context, seed: int | None
) -> None:
    picks = suggest(RuleRanker(), known, menu, context, seed=seed).picks
    dial_mo = context.dial.milli_octaves if context.dial is not None else 0
    assert all(pick.sauce.heat.milli_octaves <= max(known.state.tolerance_mo, dial_mo) for pick in picks)
    within = [one for one in menu.sauces if one.heat.milli_octaves <= limit_mo(known, context, 0)]
    assert len(picks) == min(SLOTS, len(within)), "what lies below is shown"


def test_an_empty_menu_has_no_picks() -> None:
    assert suggest(RuleRanker(), reading(), Menu([]), Context()).picks == ()


def slates(seed: int, count: int) -> Iterator[Matrix]:
    """Slates of 1 to 250 sauces: real ones, random ones, coarse ones full of ties, and numbers as large as they get."""
    chance, dice = np.random.default_rng(seed), random.Random(seed)
    for number in range(count):
        rows = int(chance.integers(1, 251))
        if number % 4 == 0:
            menu = Menu(dice.choices(SAUCES, k=rows))  # the same sauce on several nozzles: a tie
            known = reading(dice.randrange(20_000), tolerance_mo=dice.randrange(20_000), evidence=dice.randrange(50))
            last = dice.choice([None, *SAUCES])
            context = Context(
                dial=dice.choice(SAUCES).heat if dice.random() < 0.5 else None,
                mood=dice.choice([None, "mellow", "bold"]),
                last_poured=last,
                last_verdict=dice.choice(["too_hot", "more"]) if last else None,
            )
            yield features(known, menu, context)
            continue
        matrix = chance.normal(size=(rows, len(FEATURES)))
        if number % 4 == 1:
            matrix = matrix.round(1)
        elif number % 4 == 2:
            matrix *= 10.0 ** chance.integers(-40, 39, size=matrix.shape)
        doubled = matrix[chance.integers(0, rows, size=rows // 4)]
        with np.errstate(over="ignore"):
            result = np.vstack([matrix, doubled]).astype(np.float32)
        if number % 100 == 3:
            result[chance.integers(len(result)), chance.integers(len(FEATURES))] = chance.choice([np.nan, np.inf])
        yield result


def same_everywhere(onnx: OnnxRanker, linear: LinearRanker, seed: int, count: int) -> None:
    ties = 0
    for matrix in slates(seed, count):
        by_onnx, by_numpy = onnx.scores(matrix), linear.scores(matrix)
        assert by_onnx.dtype == by_numpy.dtype == np.float32
        np.testing.assert_array_equal(by_onnx, by_numpy, f"seed {seed}")
        assert rank(by_onnx, len(matrix)) == rank(by_numpy, len(matrix))
        ties += len(np.unique(by_numpy)) < len(by_numpy)
    assert ties > count / 2, "ties were rare"


def test_numpy_ranks_thousands_of_slates_as_onnxruntime_does() -> None:
    same_everywhere(ONNX, LINEAR, seed=5, count=3_000)


@pytest.mark.parametrize("seed", range(5))
def test_so_it_is_with_any_bundle(tmp_path: Path, seed: int) -> None:
    chance = np.random.default_rng(seed)
    weights = tuple(float(w) for w in chance.normal(size=len(FEATURES)) * 10.0 ** chance.integers(-5, 6))
    training = Training(seed=seed, customers=1, slates=1, penalty=1)
    fitted = Fit(weights, (), 0, 0, 0, np.eye(len(FEATURES)))
    slate = np.eye(4, len(FEATURES), dtype=np.float32)
    bundle = write_bundle(tmp_path / "bundle", fitted, [slate], About(training, {}, "1", "test"))
    same_everywhere(OnnxRanker(bundle), LinearRanker(bundle.short_id, weights), seed, 400)


def test_the_model_scores_on_the_calling_thread() -> None:
    tasks = Path("/proc/self/task")
    if not tasks.exists():
        pytest.skip("counts threads in /proc")
    before = len(list(tasks.iterdir()))
    rankers = [OnnxRanker(SHIPPED) for _ in range(3)]
    for one in rankers:
        one.scores(np.zeros((12, len(FEATURES)), dtype=np.float32))
    assert len(list(tasks.iterdir())) <= before


# -- falling back -------------------------------------------------------------------------------------------------


def test_the_shipped_bundle_opens_at_once_without_onnxruntime() -> None:
    ranker, problem = open_ranker(pretrained())
    assert problem is None
    assert isinstance(ranker, LinearRanker)
    assert ranker.name == ONNX.name == SHIPPED.id[:12]


def test_without_a_bundle_the_rule_ranks_and_nothing_is_wrong() -> None:
    ranker, problem = open_ranker(None)
    assert (ranker.name, problem) == ("rule", None)


def test_a_bad_bundle_means_the_rule_and_a_reason(tmp_path: Path) -> None:
    shutil.copytree(pretrained(), tmp_path / "bundle")
    model = tmp_path / "bundle" / "model.onnx"
    model.write_bytes(model.read_bytes()[:-1] + b"\x00")
    ranker, problem = open_ranker(tmp_path / "bundle")
    assert ranker.name == "rule"
    assert isinstance(problem, ModelError)
    assert "damaged or exchanged" in str(problem)


def test_onnxruntime_keeps_no_id_of_this_device(tmp_path: Path) -> None:
    quiet = {name: value for name, value in os.environ.items() if name not in {"ORT_DISABLE_TELEMETRY", "CI"}}
    home = {"HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path / "cache")}
    subprocess.run([sys.executable, "-m", "models.probe", str(pretrained())], env=quiet | home, check=True, timeout=60)
    assert list(tmp_path.iterdir()) == []
