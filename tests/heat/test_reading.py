"""Reading a profile: decay, windows, heat state, flavours."""

from __future__ import annotations

from decimal import Decimal, getcontext

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.events import AnyData
from heat.profile import Profile, contribution
from heat.reading import ABOVE_TASTE_MO, UNIT, HeatState, Prior, default_decay, heat_state, read
from heat.scale import MAX_MO, MAX_SHU
from tests.strategies import EVIDENCE, poured, rated, stated

TODAY = 20_500


def _profile(*evidence: AnyData, day: int = TODAY) -> Profile:
    result = Profile()
    for body in evidence:
        result.fold(contribution(body, "gw-1", day))
    return result


def _state(*evidence: AnyData, day: int = TODAY, today: int = TODAY) -> HeatState:
    return heat_state(_profile(*evidence, day=day), today, Prior(), default_decay())


# -- decay --------------------------------------------------------------------------------------------------------


def test_the_decay_table_is_its_formula() -> None:
    getcontext().prec = 40
    table = default_decay()
    for k, weight in enumerate(table.weights):
        exact = Decimal(2**30) * Decimal(2) ** (Decimal(-k) / table.half_life_days)
        assert weight == int(exact.quantize(Decimal(1)))
    assert table.weights[:1] == (UNIT,)
    assert table.weights[table.half_life_days] == UNIT // 2


def test_evidence_ahead_of_today_or_of_an_unknown_day_counts_whole() -> None:
    table = default_decay()
    assert table.weight(TODAY + 3, TODAY) == table.weight(-7, TODAY) == UNIT
    assert table.weight(TODAY - 30, TODAY) == UNIT // 2
    assert table.weight(TODAY - len(table.weights), TODAY) == 0


def test_old_evidence_fades_into_the_prior() -> None:
    means = [_state(*[poured(200_000)] * 5, today=TODAY + age).mean_mo for age in (0, 30, 90, 365, 5000)]
    assert means == sorted(means, reverse=True)
    assert means[0] > 13_000
    assert means[-1] == Prior().mean_mo


def test_sums_beyond_64_bits_are_exact() -> None:
    profile = _profile(*[rated(MAX_SHU, "just_right", w=400)] * 10_000)
    (sums,) = profile.buckets.values()
    assert sums.wq * UNIT > 2**63
    assert heat_state(profile, TODAY, Prior(), default_decay()) == HeatState(
        19_931, 1, MAX_MO
    )  # sd: the root of 16e6 / 4e6, less the prior


# -- heat state ---------------------------------------------------------------------------------------------------


def test_nothing_known_is_the_prior() -> None:
    assert _state() == HeatState(8000, 2500, 10_000)
    prior = Prior(mean_mo=11_000, sd_mo=1500)
    assert heat_state(Profile(), TODAY, prior, default_decay()) == HeatState(11_000, 1500, 13_000)


def test_each_kind_of_evidence_moves_the_state_its_own_way() -> None:
    before = _state(poured(4000))
    assert _state(poured(4000), poured(100_000)).mean_mo > before.mean_mo
    assert _state(poured(4000), stated(400)).mean_mo < before.mean_mo
    assert _state(poured(4000), rated(4000, "more")).mean_mo > before.mean_mo
    assert _state(poured(4000), rated(4000, "just_right")).sd_mo < before.sd_mo


def test_too_hot_lowers_mean_and_tolerance() -> None:
    before = _state(poured(20_000))
    after = _state(poured(20_000), rated(20_000, "too_hot"))
    assert after.mean_mo < before.mean_mo
    assert after.tolerance_mo < before.tolerance_mo
    # and not only as far as the mean went down
    assert after.tolerance_mo < after.mean_mo + ABOVE_TASTE_MO


def test_a_far_too_hot_sauce_is_no_reason_to_like_it_hot() -> None:
    assert _state(rated(1_600_000, "too_hot")) == _state()
    assert _state(rated(100, "more")) == _state()


def test_a_hotter_too_hot_does_not_hide_a_milder_one() -> None:
    hurt = _state(poured(20_000), rated(20_000, "too_hot"))
    profile = _profile(poured(20_000), rated(20_000, "too_hot"))
    profile.fold(contribution(rated(1_600_000, "too_hot"), "gw-1", TODAY - 1))
    assert heat_state(profile, TODAY, Prior(), default_decay()).tolerance_mo <= hurt.tolerance_mo


@given(st.lists(EVIDENCE, max_size=8))
def test_a_state_is_made_of_ints_within_the_scale(evidence: list[tuple[AnyData, str, int]]) -> None:
    profile = Profile()
    for part in evidence:
        profile.fold(contribution(*part))
    state = heat_state(profile, TODAY, Prior(), default_decay())
    assert all(type(value) is int for value in (state.mean_mo, state.sd_mo, state.tolerance_mo))
    assert 0 <= state.mean_mo <= state.tolerance_mo <= MAX_MO
    assert 0 <= state.sd_mo <= Prior().sd_mo


@given(st.lists(EVIDENCE, max_size=6), st.integers(0, MAX_SHU))
def test_the_first_verdict_moves_the_mean_its_own_way_only(evidence: list[tuple[AnyData, str, int]], shu: int) -> None:
    profile = Profile()
    for body, origin, day in evidence:
        part = contribution(body, origin, day)
        for key in [key for key in part.buckets if key.kind in {"too_hot", "more"}]:
            del part.buckets[key]
        profile.fold(part)
    before = heat_state(profile, TODAY, Prior(), default_decay())
    hot, more = Profile(), Profile()
    for other, verdict in ((hot, "too_hot"), (more, "more")):
        other.fold(profile)
        other.fold(contribution(rated(shu, verdict), "gw-1", TODAY))  # type: ignore[arg-type]  # both are verdicts
    assert heat_state(hot, TODAY, Prior(), default_decay()).mean_mo <= before.mean_mo
    assert heat_state(hot, TODAY, Prior(), default_decay()).tolerance_mo <= before.tolerance_mo
    assert heat_state(more, TODAY, Prior(), default_decay()).mean_mo >= before.mean_mo


# -- windows and flavours -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "pours"),
    [(0, (1, 1, 1)), (6, (1, 1, 1)), (7, (0, 1, 1)), (29, (0, 1, 1)), (30, (0, 0, 1)), (90, (0, 0, 0))],
)
def test_windows_end_today(age: int, pours: tuple[int, ...]) -> None:
    reading = read(_profile(poured(4000), day=TODAY - age), TODAY)
    assert tuple(window.pours for window in reading.windows) == pours
    assert tuple(window.days for window in reading.windows) == (7, 30, 90)


def test_a_silent_customer_s_windows_empty() -> None:
    profile = _profile(poured(4000))
    assert [window.mean_mo for window in read(profile, TODAY).windows] == [7972] * 3
    assert [window.mean_mo for window in read(profile, TODAY + 100).windows] == [None] * 3
    assert read(profile, TODAY + 100).evidence == 1


def test_windows_count_pours_only_and_those_of_an_unknown_day() -> None:
    assert read(_profile(stated(4000), rated(4000, "more")), TODAY).windows[0].pours == 0
    assert read(_profile(poured(4000), day=-2), TODAY).windows[0].pours == 1


def test_flavours_are_shrunk_shares_of_what_was_liked() -> None:
    reading = read(_profile(poured(4000, tags=("smoky", "sweet")), rated(4000, "too_hot", tags=("garlic",))), TODAY)
    assert reading.flavours == {"garlic": 0.0, "smoky": 0.2, "sweet": 0.2}  # 1 of 2 pieces, and 3 to shrink by
    often = read(_profile(*[poured(4000, tags=("smoky",))] * 30), TODAY)
    assert often.flavours["smoky"] > 0.9
    assert read(Profile(), TODAY).flavours == {}
