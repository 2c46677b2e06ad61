"""Reasons: short, plain, and true."""

from __future__ import annotations

import pytest
from hypothesis import given

from heat.reading import Reading
from heat.scale import default_words
from models.bundle import load, pretrained
from models.explain import GROUPS, MAX_CHARS, reasons
from models.explore import suggest
from models.features import FEATURES, Context, Menu, features
from models.ranker import LinearRanker, RuleRanker
from tests.tasting import CATALOG, CONTEXTS, MENUS, SAUCES, reading, readings, sauce

MODEL = LinearRanker("model", load(pretrained()).manifest.weights)
RULE = RuleRanker()
ALL = Menu(SAUCES)


def _first(known: Reading, context: Context | None = None, menu: Menu = ALL) -> str:
    return suggest(MODEL, known, menu, context or Context()).picks[0].why


def test_every_feature_has_a_place_in_conversation() -> None:
    assert sorted(name for names in GROUPS.values() for name in names) == sorted(FEATURES)


def test_close_to_the_usual() -> None:
    assert _first(reading(8000, 500, evidence=9)) == "close to your usual heat"


@pytest.mark.parametrize(
    ("octaves", "line"),
    [
        (9, "a little hotter than your usual"),
        (7, "a little milder than your usual"),
        (9.9, "hotter than your usual"),
        (5, "milder than your usual"),
    ],
)
def test_away_from_the_usual(octaves: float, line: str) -> None:
    menu = Menu([sauce("near", round(16 * (2**octaves - 1))), sauce("far", 10_000_000)])
    assert _first(reading(8000, 500, evidence=9), menu=menu) == line


def test_flavour() -> None:
    menu = Menu([sauce("a", 4000, ("smoky", "sweet")), sauce("b", 4000, ("garlic",))])
    known = reading(8000, 500, evidence=9, flavours={"smoky": 0.6, "sweet": 0.1})
    assert _first(known, menu=menu) == "smoky, as you like it"


def test_a_long_flavour_still_fits_the_screen() -> None:
    tag = "lacto-fermented-habanada"
    menu = Menu([sauce("a", 4000, (tag,)), sauce("b", 4000, ("garlic",))])
    assert _first(reading(8000, 500, evidence=9, flavours={tag: 0.6}), menu=menu) == "a flavour that you like"


def test_a_new_customer_has_no_usual() -> None:
    menu = Menu([sauce("a", 4000, popularity=60), sauce("b", 4000, popularity=2)])
    assert _first(reading(), menu=menu) == "a favourite here"
    assert all("your usual" not in pick.why for pick in suggest(MODEL, reading(), ALL, Context()).picks)


def test_the_dial() -> None:
    dial = default_words().dial(80)
    assert _first(reading(), Context(dial=dial)) == "close to your dial"


@pytest.mark.parametrize(
    ("mood", "octaves", "line"),
    [
        ("bold", 9, "bolder, for today's mood"),
        ("mellow", 7, "milder, for today's mood"),
        # milder than the other one, yet not milder than usual: that would not be true
        ("mellow", 9, "something else to try"),
    ],
)
def test_the_mood(mood: str, octaves: float, line: str) -> None:
    other = 4 if mood == "bold" else 12
    menu = Menu([sauce("a", round(16 * (2**octaves - 1))), sauce("b", round(16 * (2**other - 1)))])
    weights = MODEL.weights * 0
    weights[FEATURES.index("mood_gap")] = 1
    known, context = reading(8000, 500, evidence=9), Context(mood=mood)
    assert reasons([0], features(known, menu, context), weights, known, menu, context) == [line]


def test_after_something_too_hot() -> None:
    known = reading(11_000, 1500, 11_500, evidence=3)
    context = Context(last_poured=CATALOG["smoked-thai"], last_verdict="too_hot")
    weights = MODEL.weights * 0
    weights[FEATURES.index("after_too_hot")] = -1
    matrix = features(known, ALL, context)
    mild, hot = ALL.ids.index("table-red"), ALL.ids.index("reaper-raw")
    assert reasons([mild], matrix, weights, known, ALL, context) == ["milder: the last was too hot"]
    assert reasons([hot], matrix, weights, known, ALL, context) == ["hotter than you usually like"]


def test_when_all_is_too_hot_the_screen_says_so() -> None:
    menu = Menu([sauce("a", 500_000), sauce("b", 900_000)])
    assert _first(reading(6000, 500, evidence=9), menu=menu) == "hotter than you usually like"
    assert _first(reading(6000), menu=menu) == "hotter than most people like"


@given(readings(), MENUS, CONTEXTS)
def test_reasons_fit_the_screen_and_are_true(known: Reading, menu: Menu, context: Context) -> None:
    for ranker in (MODEL, RULE):
        for pick in suggest(ranker, known, menu, context).picks:
            assert 1 <= len(pick.why) <= MAX_CHARS
            gap = pick.sauce.heat.milli_octaves - known.state.mean_mo
            assert "usual" not in pick.why or known.evidence > 0
            assert "hotter than" not in pick.why or gap > 0
            assert "milder than" not in pick.why or gap < 0
            assert "dial" not in pick.why or context.dial is not None
            assert "mood" not in pick.why or (gap < 0 if pick.why.startswith("milder") else gap > 0)
            if "last was" in pick.why:
                assert context.last_poured is not None
                assert pick.sauce.heat.milli_octaves < context.last_poured.heat.milli_octaves
            assert "last time" not in pick.why or pick.sauce == context.last_poured
