"""What a rule forbids is never picked, not even to fill up a slate."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.catalog import Sauce
from heat.reading import Reading
from heat.scale import MAX_MO, milli_octaves
from models.explore import suggest
from models.features import Context, Menu
from models.ranker import RuleRanker
from models.rules import ASKED_MARGIN_MO, Needs, Rules, allowed, confirmed
from tests.tasting import CONTEXTS, SAUCES, readings, sauce

ALLERGENS = ("egg", "milk", "soya")
TAGS = st.lists(st.sampled_from(ALLERGENS), unique=True).map(tuple)
LABELLED = st.lists(
    st.builds(
        lambda one, allergens, adults_only: msgspec.structs.replace(one, allergens=allergens, adults_only=adults_only),
        st.sampled_from(SAUCES), TAGS, st.booleans(),
    ),
    max_size=12, unique_by=lambda one: one.id,
)  # fmt: skip
NEEDS = st.builds(Needs, st.frozensets(st.sampled_from((*ALLERGENS, "lupin"))), st.booleans())
HEATS = st.none() | st.integers(0, MAX_MO)


@given(LABELLED, NEEDS, HEATS, HEATS, readings(), CONTEXTS)
def test_nothing_forbidden_is_ever_picked(
    sauces: list[Sauce], needs: Needs, limit_mo: int | None, wish_mo: int | None, known: Reading, context: Context
) -> None:
    rules = Rules(limit_mo, frozenset(ALLERGENS))
    menu = Menu(allowed(sauces, rules, needs, wish_mo))
    picks = suggest(RuleRanker(), known, menu, context).picks
    if "lupin" in needs.avoid:
        assert picks == (), "nobody checked the sauces for it"
    for pick in picks:
        assert not needs.avoid.intersection(pick.sauce.allergens)
        assert needs.adult or not pick.sauce.adults_only
        if limit_mo is not None and pick.sauce.heat.milli_octaves > limit_mo:
            assert wish_mo is not None
            assert wish_mo > limit_mo
            assert pick.sauce.heat.milli_octaves <= wish_mo + ASKED_MARGIN_MO


@given(LABELLED, st.integers(0, MAX_MO))
def test_nothing_else_is_forbidden(sauces: list[Sauce], limit_mo: int) -> None:
    rules, adult = Rules(limit_mo, frozenset(ALLERGENS)), Needs(frozenset(), adult=True)
    asked = allowed(sauces, rules, adult, MAX_MO)
    assert asked == (tuple(sauces) if limit_mo < MAX_MO else tuple(s for s in sauces if not confirmed(s, rules)))
    assert allowed(sauces, Rules(), adult) == tuple(sauces)


HOT = sauce("hot", 60_000)


@pytest.mark.parametrize(
    ("wish_shu", "picked"),
    [(None, False), (2_000, False), (50_000, False), (50_100, True), (900_000, True)],
)
def test_above_the_limit_only_what_was_asked_for(wish_shu: int | None, picked: bool) -> None:
    rules = Rules(milli_octaves(50_000))
    wish = None if wish_shu is None else milli_octaves(wish_shu)
    assert (allowed([HOT], rules, Needs(), wish) == (HOT,)) is picked
    hotter = sauce("hotter", 2_000_000)
    assert allowed([hotter], rules, Needs(), wish) == (), "what is far above the wish was not asked for"
    assert confirmed(HOT, rules)
    assert not confirmed(sauce("at-the-limit", 50_000), rules)
