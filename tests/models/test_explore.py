"""Picks that explore: never what may hurt, never a newcomer's first, and again to the bit from their impression."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heat.events import Impression, ShownPick
from heat.reading import Reading
from models import logged
from models.explore import SLOTS, Chosen, agrees, replay, slates, suggest
from models.features import Context, Menu
from models.ranker import LinearRanker, Ranker, RuleRanker
from models.safety import HURTS_Z, bearable, hurts_mo, limit_mo
from tests.tasting import CONTEXTS, MENUS, SAUCES, WEIGHTS, reading, readings, sauce, unsure

SEEDS = st.integers(0, 2**53 - 1)
ALL = Menu(SAUCES)
KNOWN = reading(9000, sd_mo=400, evidence=12, recent_mo=9000)


UNSURE = unsure()


def ids(chosen: Chosen) -> list[str]:
    return [pick.sauce.id for pick in chosen.picks]


@settings(max_examples=60)
@given(readings(), MENUS, CONTEXTS, SEEDS)
def test_what_is_explored_is_unlikely_to_hurt_or_would_be_shown_anyway(
    known: Reading, menu: Menu, context: Context, seed: int
) -> None:
    greedy = suggest(UNSURE, known, menu, context)
    chosen = suggest(UNSURE, known, menu, context, seed=seed)
    safe = {menu.ids[row] for row in np.flatnonzero(bearable(known, menu, context))}
    assert set(ids(chosen)) <= safe | set(ids(greedy))
    assert len(ids(chosen)) == len(set(ids(chosen))) == len(greedy.picks)
    # what only fills up is what greedy fills up with
    fill = [pick.sauce.id for pick in greedy.picks if not pick.fits]
    assert [pick.sauce.id for pick in chosen.picks if not pick.fits] == fill
    assert all(pick.propensity == 1 for pick in chosen.picks if not pick.fits)
    assert 0 < chosen.slate_propensity <= min((pick.propensity for pick in chosen.picks), default=1) <= 1


@settings(max_examples=40)
@given(readings(), MENUS, CONTEXTS)
def test_what_may_be_explored_hurts_three_in_ten_at_most(known: Reading, menu: Menu, context: Context) -> None:
    safe = bearable(known, menu, context)
    for one, fine in zip(menu.sauces, safe.tolist(), strict=True):
        if not fine:
            continue
        label = one.sd_milli_octaves
        spread = NormalDist(0, max((label**2 + known.state.sd_mo**2) ** 0.5, 1e-9))
        hurts = spread.cdf(one.heat.milli_octaves - known.state.tolerance_mo)
        if context.dial is not None:
            asked_for = NormalDist(0, max(label, 1e-9)).cdf(one.heat.milli_octaves - context.dial.milli_octaves)
            hurts = min(hurts, asked_for)
        assert hurts <= 0.301
        assert one.heat.milli_octaves <= limit_mo(known, context)
        assert one.heat.milli_octaves < hurts_mo(context)


def test_both_uncertainties_narrow_what_is_explored() -> None:
    def hottest(sd_mo: int, label_mo: int, dial: Any = None) -> int:
        menu = Menu([msgspec.structs.replace(one, sd_milli_octaves=label_mo) for one in SAUCES])
        safe = bearable(reading(9000, sd_mo=sd_mo, tolerance_mo=11_000, evidence=1), menu, Context(dial=dial))
        return int(menu.heat_mo[safe].max())

    assert hottest(0, 0) == 10_774  # of all up to 11,000
    assert hottest(0, 600) == 10_137  # of all up to 10,686
    assert hottest(2500, 600) == 9553  # of all up to 9,653
    assert hottest(2500, 600, dial=SAUCES[14].heat) == 11_288  # the dial is at 11,748


def test_a_newcomer_may_be_shown_seven_of_the_sauces_that_ship() -> None:
    assert bearable(reading(), ALL, Context()).sum() == 7
    assert bearable(KNOWN, ALL, Context()).sum() == 12
    assert NormalDist().cdf(HURTS_Z) == pytest.approx(0.7, abs=1e-3)


@pytest.mark.parametrize("newcomer", [reading(), reading(9000, sd_mo=900, evidence=2)], ids=["silent", "said a wish"])
def test_nothing_is_explored_in_a_newcomer_s_slot_1_by_either_part(newcomer: Reading) -> None:
    best = ids(suggest(UNSURE, newcomer, ALL, Context()))[0]
    seen: dict[str, list[list[str]]] = {"thompson": [], "uniform": []}
    for seed in range(300):
        chosen = suggest(UNSURE, newcomer, ALL, Context(), seed=seed)
        seen[chosen.policy].append(ids(chosen))
        assert (ids(chosen)[0], chosen.picks[0].propensity) == (best, 1)
    for shown in seen.values():
        assert len({slate[1] for slate in shown}) > 2
        assert len({slate[2] for slate in shown}) > 2
    known = {ids(suggest(UNSURE, KNOWN, ALL, Context(), seed=seed))[0] for seed in range(50)}
    assert len(known) > 2


@pytest.mark.parametrize("known", [KNOWN, reading()], ids=["regular", "newcomer"])
def test_the_chances_that_are_written_down_are_the_policy_s(known: Reading) -> None:
    policy = slates(UNSURE, known, ALL, Context(), explore=True).explored
    assert policy is not None
    for seed in range(80):
        chosen = suggest(UNSURE, known, ALL, Context(), seed=seed)
        part, rows = policy.draw(seed)
        assert (chosen.policy, chosen.seed, [pick.row for pick in chosen.picks]) == (part, seed, rows)
        chances = policy.chances(rows)
        assert chances.slate < min(chances.slots)
        assert chosen.slate_propensity == chances.slate
        assert [pick.propensity for pick in chosen.picks] == chances.slots


@pytest.mark.parametrize("ranker", [RuleRanker(), LinearRanker("sure", WEIGHTS)], ids=["rule", "no deviations"])
def test_who_knows_no_better_is_greedy_whatever_the_seed(ranker: Ranker) -> None:
    chosen = suggest(ranker, KNOWN, ALL, Context(), seed=7)
    assert chosen == suggest(ranker, KNOWN, ALL, Context())
    assert (chosen.policy, chosen.seed, chosen.slate_propensity) == ("greedy", None, 1.0)
    assert [pick.propensity for pick in chosen.picks] == [1.0] * SLOTS


def test_sure_weights_are_hardly_explored() -> None:
    greedy = suggest(UNSURE, KNOWN, ALL, Context())
    answers = [suggest(unsure(1e-4), KNOWN, ALL, Context(), seed=seed) for seed in range(100)]
    same = [chosen for chosen in answers if ids(chosen) == ids(greedy)]
    assert len(same) > 85
    assert all(chosen.slate_propensity > 0.95 for chosen in same)


def test_nothing_is_explored_where_nothing_is_safe() -> None:
    hot = Menu([sauce("ghost", 400_000), sauce("reaper", 1_600_000)])
    chosen = suggest(UNSURE, reading(), hot, Context(), seed=3)
    assert ids(chosen) == ["ghost"]
    assert (chosen.policy, [pick.fits for pick in chosen.picks]) == ("greedy", [False])
    assert suggest(UNSURE, reading(), Menu([]), Context(), seed=3) == Chosen(())


def impression(ranker: Ranker, known: Reading, menu: Menu, context: Context, seed: int | None) -> Impression:
    """What a gateway logs, as it comes out of Kafka."""
    chosen = suggest(ranker, known, menu, context, seed=seed)
    told = Impression(
        store="lyon-2",
        region="eu",
        channel="gateway",
        consent="none",
        pick_id="pick-1",
        dispenser="hot-bar-1",
        picks=tuple(
            ShownPick(
                slot=slot,
                nozzle=slot,
                sauce=pick.sauce.id,
                milli_octaves=pick.sauce.heat.milli_octaves,
                score=pick.score,
                propensity=pick.propensity,
            )
            for slot, pick in enumerate(chosen.picks, 1)
        ),
        candidates=menu.ids,
        ranker=ranker.name,
        latency_us=1,
        offered=logged.offered(menu, context),
        known=logged.known(known, menu, context),
        policy=chosen.policy,
        seed=chosen.seed,
        slate_propensity=chosen.slate_propensity,
    )
    return msgspec.json.decode(msgspec.json.encode(told), type=Impression)


@settings(max_examples=40)
@given(readings(), MENUS, CONTEXTS, st.none() | SEEDS)
def test_a_pick_is_replayed_to_the_bit_from_its_impression(
    known: Reading, menu: Menu, context: Context, seed: int | None
) -> None:
    told = impression(UNSURE, known, menu, context, seed)
    again = replay(told, UNSURE)
    assert again is not None
    assert agrees(told, again)


def test_another_ranker_or_seed_or_log_does_not_replay() -> None:
    told = impression(UNSURE, KNOWN, ALL, Context(), 11)
    other = replay(told, unsure(seed=2))
    assert other is not None
    assert not agrees(told, other)
    right = replay(told, UNSURE)
    assert right is not None
    for changes in (
        {"seed": 12},
        {"policy": "greedy"},
        {"slate_propensity": np.nextafter(right.slate_propensity, 1)},
        {"picks": told.picks[::-1]},
        {"picks": (msgspec.structs.replace(told.picks[0], propensity=0.5), *told.picks[1:])},
        {"picks": (msgspec.structs.replace(told.picks[0], score=0.5), *told.picks[1:])},
    ):
        assert not agrees(msgspec.structs.replace(told, **changes), right)


def test_an_impression_that_kept_too_little_does_not_replay() -> None:
    told = impression(UNSURE, KNOWN, ALL, Context(), 11)
    assert replay(msgspec.structs.replace(told, known=None), UNSURE) is None
