"""Reasons: short, plain, and true."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from firmware_bridge.messages import WHY_BYTES
from heat.catalog import Sauce
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


def _likes(tag: str, it: Said) -> bool:
    return tag in it.sauce.flavours and it.known.flavours.get(tag, 0) > 0


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
    assert _first(reading(), menu=menu) == "liked by many"
    assert _first(reading(), Context(popularity={"a": 60.0, "b": 2.0}), menu) == "a favourite here"
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


@dataclass(frozen=True)
class Said:
    """A sauce of which a line was said, and what was known."""

    sauce: Sauce
    known: Reading
    menu: Menu
    context: Context

    @property
    def gap(self) -> float:
        """Octaves from the usual heat."""
        return (self.sauce.heat.milli_octaves - self.known.state.mean_mo) / 1000

    @property
    def clear(self) -> bool:
        """Whether it is clearly another heat than the usual one."""
        return self.known.evidence > 0 and abs(self.gap) > 0.59

    @property
    def had(self) -> float:
        """How often it was poured."""
        return (self.context.pours or {}).get(self.sauce.id, 0)

    @property
    def share(self) -> float:
        """Of what was poured of this menu."""
        return self.had / max(sum((self.context.pours or {}).get(id_, 0) for id_ in self.menu.ids), 1e-9)

    @property
    def cold(self) -> bool:
        """Whether it is cold outside."""
        return self.context.temperature_c is not None and self.context.temperature_c <= 8

    @property
    def hot(self) -> bool:
        """Whether it is hot outside."""
        return self.context.temperature_c is not None and self.context.temperature_c >= 25

    @property
    def evening(self) -> bool:
        """Whether it is."""
        return self.context.hour is not None and 17 <= self.context.hour <= 23

    @property
    def popular(self) -> float:
        """Its share of the pours, over an equal one."""
        shares = self.context.popularity
        shares = {one.id: float(one.popularity) for one in self.menu.sauces} if shares is None else shares
        whole = max(sum(shares.get(id_, 0) for id_ in self.menu.ids), 1e-9)
        return shares.get(self.sauce.id, 0) / whole * len(self.menu)


TRUE: dict[str, Callable[[Said], bool]] = {
    "hotter than you usually like": lambda it: it.known.evidence > 0 and it.gap > 0.59,
    "hotter than most people like": lambda it: it.known.evidence == 0 and it.gap > 0.59,
    "a heat that most people like": lambda it: it.known.evidence == 0 and abs(it.gap) < 1.51,
    "close to your usual heat": lambda it: it.known.evidence > 0 and abs(it.gap) < 0.61,
    "a little hotter than your usual": lambda it: it.clear and 0 < it.gap < 1.51,
    "a little milder than your usual": lambda it: it.clear and -1.51 < it.gap < 0,
    "hotter than your usual": lambda it: it.clear and it.gap > 1.49,
    "milder than your usual": lambda it: it.clear and it.gap < -1.49,
    "liked by many": lambda it: it.context.popularity is None and it.popular > 0.99,
    "a favourite here": lambda it: it.context.popularity is not None and it.popular > 0.99,
    "close to your dial": lambda it: (
        it.context.dial is not None and abs(it.context.dial.milli_octaves - it.sauce.heat.milli_octaves) < 1510
    ),
    "bolder, for today's mood": lambda it: it.context.mood == "bold" and it.gap > 0,
    "milder, for today's mood": lambda it: it.context.mood == "mellow" and it.gap < 0,
    "bolder, for the evening": lambda it: it.clear and it.gap > 0 and it.evening,
    "milder, for the evening": lambda it: it.clear and it.gap < 0 and it.evening,
    "bolder, for a hot day": lambda it: it.clear and it.gap > 0 and it.hot,
    "milder, for a hot day": lambda it: it.clear and it.gap < 0 and it.hot,
    "bolder, for a cold day": lambda it: it.clear and it.gap > 0 and it.cold and not it.evening,
    "for a cold evening": lambda it: it.clear and it.gap > 0 and it.cold and it.evening,
    "milder, for a cold day": lambda it: it.clear and it.gap < 0 and it.cold,
    "the one you had last time": lambda it: it.sauce == it.context.last_poured,
    "just right last time": lambda it: it.sauce == it.context.last_poured and it.context.last_verdict == "just_right",
    "one of your favourites": lambda it: it.had >= 2 and it.share > 0.33,
    "you have had it before": lambda it: it.had > 0,
    "new here": lambda it: it.sauce.id in it.context.new,
    "one you have yet to try here": lambda it: it.known.evidence > 0 and it.had == 0 and bool(it.context.pours),
    "milder: the last was too hot": lambda it: (
        it.context.last_poured is not None
        and it.context.last_verdict == "too_hot"
        and it.sauce.heat.milli_octaves < it.context.last_poured.heat.milli_octaves
    ),
    "something else to try": lambda it: it.sauce.id not in it.context.new,
    **{f"{tag}, as you like it": partial(_likes, tag) for tag in CATALOG.flavours},
}
"""What must hold wherever a line is said. Octaves have a hundredth of slack: features are float32."""


@given(readings(), MENUS, CONTEXTS, st.none() | st.integers(0, 2**16))
def test_whatever_is_said_is_true_and_fits_the_screen(
    known: Reading, menu: Menu, context: Context, seed: int | None
) -> None:
    """`seed`: of weights that no training would give, so that each group has its say; None: those that ship."""
    matrix, weights = features(known, menu, context), MODEL.weights
    if seed is not None:
        weights = np.random.default_rng(seed).normal(size=len(FEATURES)).astype(np.float32)
        weights *= np.random.default_rng(seed).random(len(FEATURES)) < 0.3
    lines = reasons(range(len(menu)), matrix, weights, known, menu, context)
    for one, line in zip(menu.sauces, lines, strict=True):
        assert 1 <= len(line) <= MAX_CHARS
        assert len(line.encode()) <= WHY_BYTES
        assert TRUE[line](Said(one, known, menu, context)), line


@given(readings(), MENUS, CONTEXTS)
def test_every_pick_has_a_reason(known: Reading, menu: Menu, context: Context) -> None:
    for ranker in (MODEL, RULE):
        assert all(pick.why in TRUE for pick in suggest(ranker, known, menu, context).picks)


USUAL = reading(8000, 500, 12_000, evidence=9)
PAIR = Menu([sauce("mild", 1008), sauce("hot", 6384)])  # 6 octaves and 8.64
COLD, HOT = {"temperature_c": 2.0}, {"temperature_c": 31.0}


@pytest.mark.parametrize(
    ("feature", "weight", "row", "context", "line"),
    [
        ("gap_evening", 1, 1, {"hour": 20}, "bolder, for the evening"),
        ("gap_evening", -1, 0, {"hour": 20}, "milder, for the evening"),
        ("gap_warm", 1, 1, HOT, "bolder, for a hot day"),
        ("gap_warm", -1, 0, HOT, "milder, for a hot day"),
        ("gap_warm", -1, 1, COLD, "bolder, for a cold day"),
        ("gap_warm", -1, 1, COLD | {"hour": 18}, "for a cold evening"),
        ("gap_warm", 1, 0, COLD, "milder, for a cold day"),
        ("again", 1, 0, {"last_poured": PAIR.sauces[0]}, "the one you had last time"),
        ("again", 1, 0, {"last_poured": PAIR.sauces[0], "last_verdict": "just_right"}, "just right last time"),
        ("poured_before", 1, 0, {"pours": {"mild": 0.5}}, "you have had it before"),
        ("poured_before", 1, 0, {"pours": {"mild": 1.9, "hot": 0.5}}, "you have had it before"),
        ("poured_before", 1, 0, {"pours": {"mild": 2.0, "hot": 1.0}}, "one of your favourites"),
        ("never_poured", 1, 1, {"pours": {"mild": 0.5}}, "one you have yet to try here"),
        ("poured_before", -1, 1, {"pours": {"mild": 0.5}}, "one you have yet to try here"),
        ("never_poured", 1, 1, {"pours": {"mild": 0.5}, "new": frozenset({"hot"})}, "new here"),
        ("again", 1, 1, {"new": frozenset({"hot"})}, "new here"),
        ("again", 1, 1, {}, "something else to try"),
        ("gap_warm", 1, 1, {"temperature_c": 15.5}, "something else to try"),
    ],
)
def test_the_feature_that_lifts_a_sauce_gives_the_reason(
    feature: str, weight: int, row: int, context: dict[str, Any], line: str
) -> None:
    weights = MODEL.weights * 0
    weights[FEATURES.index(feature)] = weight
    asked = Context(**context)
    assert reasons([row], features(USUAL, PAIR, asked), weights, USUAL, PAIR, asked) == [line]
