"""Rankers: the rule, the bundle in onnxruntime and in NumPy, and falling back from one to the next."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from heat.errors import ModelError
from heat.reading import Reading
from models import ranker as ranker_module
from models.bundle import load, pretrained
from models.explore import MARGIN_MO, SLOTS, hurts_mo, limit_mo, suggest
from models.features import COLUMN, FEATURES, Context, Matrix, Menu, features
from models.ranker import LinearRanker, OnnxRanker, RuleRanker, onnxruntime_works, open_ranker, rank
from tests.tasting import CONTEXTS, MENUS, SAUCES, reading, readings

SHIPPED = load(pretrained())
ONNX = OnnxRanker(SHIPPED)
LINEAR = LinearRanker(SHIPPED.short_id, SHIPPED.manifest.weights)


def test_equal_scores_keep_the_menu_s_order() -> None:
    assert rank(np.array([1, 3, 3, 2, 3], dtype=np.float32), 4) == [1, 2, 4, 3]
    assert rank(np.array([np.nan, -5, np.nan], dtype=np.float32), 3) == [1, 0, 2]
    assert rank(np.array([], dtype=np.float32), 3) == []


@given(readings(), MENUS, CONTEXTS)
def test_the_rule_puts_nothing_above_tolerance_first(known: Reading, menu: Menu, context: Context) -> None:
    matrix = features(known, menu, context)
    above = matrix[:, COLUMN["above_tolerance"]] > 0.05
    order = [bool(above[row]) for row in rank(RuleRanker().scores(matrix), len(menu))]
    assert order == sorted(order)


@given(readings(), MENUS, CONTEXTS, st.sampled_from([RuleRanker(), ONNX]))
def test_nothing_above_the_limit_is_shown_while_something_milder_is_left(
    known: Reading, menu: Menu, context: Context, ranker: RuleRanker | OnnxRanker
) -> None:
    picks = suggest(ranker, known, menu, context)
    bearable = [one for one in menu.sauces if one.heat.milli_octaves < hurts_mo(context)]
    assert len(picks) == min(SLOTS, len(bearable)) == len({pick.sauce.id for pick in picks})
    limit = limit_mo(known, context)
    within = [one for one in menu.sauces if one.heat.milli_octaves <= limit]
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
    shown = [pick.sauce.id for pick in suggest(reckless, known, Menu(SAUCES), Context())]
    assert shown == ["table-red", "lime-jalapeno", "smoked-paprika"]  # the hottest three up to 7.5 octaves
    # with too few of them, the mildest beyond fill up
    few = Menu([SAUCES[23], SAUCES[20], SAUCES[15], SAUCES[0]])
    assert [pick.sauce.id for pick in suggest(reckless, known, few, Context())] == [
        "garden-green",
        "smoked-thai",
        "ghost-honey",
    ]


def test_the_limit_is_the_tolerance_unless_more_is_dialled() -> None:
    known = reading(6000, tolerance_mo=7000)
    dial = SAUCES[12].heat  # 10.8 octaves
    assert limit_mo(known, Context()) == 7000 + MARGIN_MO
    assert limit_mo(known, Context(dial=dial)) == dial.milli_octaves + MARGIN_MO


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
    assert {pick.sauce.id for pick in suggest(RuleRanker(), known, menu, context)} == {SAUCES[0].id, SAUCES[8].id}


def test_an_empty_menu_has_no_picks() -> None:
    assert suggest(RuleRanker(), reading(), Menu([]), Context()) == ()


@given(arrays(np.float32, st.tuples(st.integers(1, 40), st.just(len(FEATURES))), elements=st.floats(-20, 20, width=32)))
def test_numpy_scores_as_onnxruntime_does(matrix: Matrix) -> None:
    np.testing.assert_allclose(LINEAR.scores(matrix), ONNX.scores(matrix), rtol=1e-4, atol=1e-3)


@given(readings(), MENUS, CONTEXTS)
def test_numpy_ranks_as_onnxruntime_does(known: Reading, menu: Menu, context: Context) -> None:
    matrix = features(known, menu, context)
    linear, onnx = LINEAR.scores(matrix), ONNX.scores(matrix)
    by_linear, by_onnx = rank(linear, len(menu)), rank(onnx, len(menu))
    # what differs in order differs by no more than float32 can tell
    assert all(abs(onnx[a] - onnx[b]) < 1e-4 for a, b in zip(by_linear, by_onnx, strict=True) if a != b)


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


def test_the_shipped_bundle_opens() -> None:
    ranker, problem = open_ranker(pretrained())
    assert problem is None
    assert isinstance(ranker, OnnxRanker)
    assert ranker.name == SHIPPED.id[:12]


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


def test_without_onnxruntime_numpy_scores_the_same_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranker_module, "onnxruntime_works", lambda: False)
    ranker, problem = open_ranker(pretrained())
    assert isinstance(ranker, LinearRanker)
    assert ranker.name == ONNX.name
    assert "reinstall onnxruntime" in str(problem)


def test_an_import_that_kills_the_process_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxruntime.py").write_text("import os; os.abort()")
    onnxruntime_works.cache_clear()
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert not onnxruntime_works()
    monkeypatch.delenv("PYTHONPATH")
    onnxruntime_works.cache_clear()
    assert onnxruntime_works()
