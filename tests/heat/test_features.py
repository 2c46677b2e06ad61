"""Features of a profile, and what is odd about it."""

from __future__ import annotations

import random
from fractions import Fraction
from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heat.changes import FLAGS, Dated, Weighed, flags, has_changed, weigh
from heat.events import AnyData
from heat.features import STEP_MO, Features, KindCounts, features, next_change_day
from heat.profile import KINDS, BucketKey, Profile, Sums, contribution
from heat.reading import Prior, default_decay, heat_state, read
from heat.scale import BANDS, shu
from tests.strategies import EVIDENCE, poured, rated, stated

TODAY = 20_500


def _profile(*parts: tuple[AnyData, int]) -> Profile:
    """The profile of events and their days."""
    result = Profile()
    for body, day in parts:
        result.fold(contribution(body, "gw-1", day))
    return result


def _folded(evidence: list[tuple[AnyData, str, int]]) -> Profile:
    result = Profile()
    for part in evidence:
        result.fold(contribution(*part))
    return result


# -- windows ------------------------------------------------------------------------------------------------------


def test_windows_count_kinds_heats_bands_and_days() -> None:
    profile = _profile(
        (poured(4000, tags=("smoky",)), TODAY),
        (poured(4000), TODAY),
        (poured(200), TODAY - 6),
        (rated(4000, "too_hot"), TODAY - 29),
        (stated(400), TODAY - 89),
        (poured(100_000), TODAY - 90),
    )
    week, month, quarter = features(profile, TODAY).windows
    assert (week.n, week.pour_days) == (KindCounts(poured=3), 2)
    assert week.mean_mo == (7972 * 2 + 3755) // 3
    assert week.bands == (0, 1, 0, 2, 0, 0, 0, 0, 0, 0)
    assert month.n == KindCounts(poured=3, too_hot=1)
    assert quarter.n == KindCounts(poured=3, stated=1, too_hot=1)
    assert features(profile, TODAY).evidence == 6


@pytest.mark.parametrize(
    ("age", "pours"),
    [(0, (1, 1, 1)), (6, (1, 1, 1)), (7, (0, 1, 1)), (29, (0, 1, 1)), (30, (0, 0, 1)), (90, (0, 0, 0))],
)
def test_windows_end_on_the_day_of_the_features(age: int, pours: tuple[int, ...]) -> None:
    windows = features(_profile((poured(4000), TODAY - age)), TODAY).windows
    assert tuple(window.n.poured for window in windows) == tuple(window.pour_days for window in windows) == pours


def test_every_kind_is_counted() -> None:
    assert KindCounts.__struct_fields__ == KINDS
    profile = Profile()
    for kind in KINDS:
        profile.add(BucketKey("gw-1", TODAY, kind), _at(8000, 10, 2))
    assert features(profile, TODAY).windows[0].n == KindCounts(**dict.fromkeys(KINDS, 2))


def test_a_silent_customer_s_windows_empty() -> None:
    profile = _profile((poured(4000), TODAY))
    later = features(profile, TODAY + 90)
    assert [(window.n, window.pour_days, window.mean_mo) for window in later.windows] == [(KindCounts(), 0, None)] * 3
    assert (later.last_day, later.evidence) == (TODAY, 1)


def test_evidence_of_no_known_day_is_in_the_state_and_in_no_window() -> None:
    profile = _profile((poured(200_000), -3))
    seen = features(profile, TODAY)
    assert seen.mean_mo > features(Profile(), TODAY).mean_mo
    assert [window.n for window in seen.windows] == [KindCounts()] * 3
    assert seen.last_day is None
    assert next_change_day(profile, TODAY) is None


def test_the_day_after_today_is_not_counted_yet() -> None:
    profile = _profile((poured(4000), TODAY + 1))
    assert features(profile, TODAY).windows[0].n == KindCounts()
    assert next_change_day(profile, TODAY) == TODAY + 1
    assert features(profile, TODAY + 1).windows[0].n == KindCounts(poured=1)


@given(st.lists(EVIDENCE, max_size=8), st.integers(19_990, 20_120))
def test_windows_are_those_that_the_gateway_reads(evidence: list[tuple[AnyData, str, int]], today: int) -> None:
    profile = _folded([part for part in evidence if all(key.day >= 0 for key in contribution(*part).buckets)])
    seen, reading = features(profile, today), read(profile, today)
    assert [(w.days, w.n.poured, w.mean_mo) for w in seen.windows] == [
        (w.days, w.pours, w.mean_mo) for w in reading.windows
    ]
    assert [sum(w.bands) for w in seen.windows] == [w.pours for w in reading.windows]


@given(st.lists(EVIDENCE, max_size=8))
def test_what_decays_is_the_state_to_the_next_step(evidence: list[tuple[AnyData, str, int]]) -> None:
    profile = _folded(evidence)
    seen, state = features(profile, TODAY), heat_state(profile, TODAY, Prior(), default_decay())
    for told, exact in zip(
        (seen.mean_mo, seen.sd_mo, seen.tolerance_mo), (state.mean_mo, state.sd_mo, state.tolerance_mo), strict=True
    ):
        assert told % STEP_MO == 0
        assert abs(told - exact) <= STEP_MO // 2


def test_flavours_are_the_largest_shares() -> None:
    tags = ("smoky", "sweet", "garlic", "citrus", "umami", "herbal")
    profile = _profile(*((poured(4000, tags=tags[:n]), TODAY) for n in range(1, 7) for _ in range(2)))
    shares = features(profile, TODAY).flavours
    assert [share.tag for share in shares] == ["smoky", "sweet", "garlic", "citrus", "umami"]
    assert [share.percent for share in shares] == [25, 20, 15, 15, 10]  # 12, 10, 8, 6, 4 of 42 + 3


@given(st.lists(EVIDENCE, max_size=6))
def test_features_survive_their_json(evidence: list[tuple[AnyData, str, int]]) -> None:
    seen = features(_folded(evidence), TODAY)
    assert msgspec.json.decode(msgspec.json.encode(seen), type=Features) == seen


# -- when to look again -------------------------------------------------------------------------------------------


def _but_for_the_day(seen: Features) -> Features:
    return msgspec.structs.replace(seen, as_of_day=0)


@given(st.lists(EVIDENCE, max_size=6), st.integers(19_995, 20_105))
def test_features_stay_until_the_next_change_day(evidence: list[tuple[AnyData, str, int]], today: int) -> None:
    profile = _folded(evidence)
    until = next_change_day(profile, today)
    now = _but_for_the_day(features(profile, today))
    assert until is None or until > today
    for day in range(today + 1, until or today + 40):
        assert _but_for_the_day(features(profile, day)) == now, day


def test_a_customer_who_left_is_looked_at_less_and_less_and_in_the_end_never() -> None:
    profile = _profile(*((poured(40_000, tags=("smoky",)), TODAY - day) for day in range(0, 60, 6)))
    looks, published = [TODAY], 0
    while (day := next_change_day(profile, looks[-1])) is not None:
        published += _but_for_the_day(features(profile, day)) != _but_for_the_day(features(profile, looks[-1]))
        looks.append(day)
    assert looks[-1] > TODAY + 800
    assert published < 90  # not 840
    assert max(b - a for a, b in pairwise(looks)) <= 8
    cold = features(Profile(), 0)
    last = features(profile, looks[-1])
    assert (last.mean_mo, last.sd_mo, last.tolerance_mo) == (cold.mean_mo, cold.sd_mo, cold.tolerance_mo)


def test_nothing_known_never_changes() -> None:
    assert next_change_day(Profile(), TODAY) is None


# -- what is odd --------------------------------------------------------------------------------------------------


def _at(q: int, w: int, n: int = 1) -> Sums:
    return Sums(n, n * w, n * w * q, n * w * q * q, (n, *(0,) * (BANDS - 1)))


SIDE = st.lists(st.builds(_at, st.integers(0, 19_932), st.integers(1, 400), st.integers(1, 4)), max_size=6)


@given(SIDE, SIDE)
def test_a_change_is_what_its_formula_says(recent: list[Sums], earlier: list[Sums]) -> None:
    found = has_changed(weigh(recent), weigh(earlier))
    sides = []
    for side in (recent, earlier):
        points = [(s.wq // s.w, s.w // s.n) for s in side for _ in range(s.n)]
        total = sum(w for _, w in points)
        if not total:
            assert not found
            return
        mean = Fraction(sum(q * w for q, w in points), total)
        sides.append((len(points), total, mean, sum(w * (q - mean) ** 2 for q, w in points)))
    (n1, w1, m1, d1), (n2, w2, m2, d2) = sides
    if n1 < 3 or n2 < 5:
        assert not found
        return
    s2 = Fraction(d1 + d2, w1 + w2) * Fraction(n1 + n2, n1 + n2 - 2)
    noise = max(Fraction(16_000_000, w1) + Fraction(16_000_000, w2), s2 / n1 + s2 / n2)
    # whole numbers may round where the formula has its edge
    edge = 2 * abs(m1 - m2) + 100
    if (m1 - m2) ** 2 > 9 * noise + edge and abs(m1 - m2) > 601:
        assert found
    if (m1 - m2) ** 2 < 9 * noise - edge or abs(m1 - m2) < 599:
        assert not found


def test_sums_that_no_events_make_are_judged_without_an_error() -> None:
    odd = Weighed(9, 5, 10_000, 0)
    assert odd.spread == 0
    assert not has_changed(odd, Weighed(9, 0, 0, 0))
    assert has_changed(odd, Weighed(9, 10**6, 19_932 * 10**6, 0)) in {True, False}
    no_weight = Dated(0, "poured", Sums(20, 0, 0, 0, (0,) * BANDS))
    assert flags([no_weight]) == ()


def _visits(chance: random.Random, mean_mo: int, ages: range) -> list[tuple[AnyData, int]]:
    """A pour every day or two about a preferred heat, as loosely as a pour is taken to point at it."""
    heats = (max(round(chance.gauss(mean_mo, 1166)), 0) for _ in ages)
    return [(poured(shu(q)), TODAY - age) for q, age in zip(heats, ages, strict=True)]


def test_few_steady_customers_are_said_to_have_changed_and_most_who_did_are() -> None:
    chance = random.Random(34)
    alarms = found = wrong_way = 0
    for _ in range(400):
        steady = features(_profile(*_visits(chance, 8000, range(0, 90, 2))), TODAY).flags
        alarms += bool({"turned_hotter", "turned_milder"} & {*steady})
        turned = (*_visits(chance, 11_000, range(0, 12, 2)), *_visits(chance, 8000, range(12, 90, 2)))
        told = features(_profile(*turned), TODAY).flags
        found += "turned_hotter" in told
        wrong_way += "turned_milder" in told
    assert alarms < 8  # two splits at three deviations: 0.5 % expected
    assert found > 340
    assert wrong_way == 0


def test_a_change_goes_both_ways_and_ages_out() -> None:
    milder = _profile(*((poured(200), TODAY - age) for age in range(4)), *((poured(20_000), TODAY - 40),) * 6)
    hotter = _profile(*((poured(20_000), TODAY - age) for age in range(4)), *((poured(200), TODAY - 40),) * 6)
    assert features(milder, TODAY).flags == ("turned_milder",)
    assert features(hotter, TODAY).flags == ("turned_hotter",)
    assert features(hotter, TODAY + 50).flags == ()


@pytest.mark.parametrize(("after_shu", "told"), [(4600, ()), (7000, ("turned_hotter",))])
def test_a_change_below_what_laboratories_tell_apart_is_none_however_sure(
    after_shu: int, told: tuple[str, ...]
) -> None:
    before, after = rated(4000, "just_right", w=400), rated(after_shu, "just_right", w=400)
    assert features(_profile(*((before, TODAY - 40),) * 99, *((after, TODAY),) * 99), TODAY).flags == told


def test_verdicts_that_point_one_way_make_no_change() -> None:
    hurt = _profile(*((rated(1_000_000, "too_hot"), TODAY),) * 9, *((poured(200), TODAY - 40),) * 9)
    assert features(hurt, TODAY).flags == ()


@pytest.mark.parametrize(("pours", "told"), [(40, ()), (41, ("crowded_day",))])
def test_a_crowded_day(pours: int, told: tuple[str, ...]) -> None:
    profile = _profile(*((poured(4000), TODAY - 5),) * (pours - 10))
    for _ in range(10):
        profile.fold(contribution(poured(4000), "gw-2", TODAY - 5))
    assert features(profile, TODAY).flags == told


def test_a_token_of_many_hands() -> None:
    profile = _profile(*((poured(heat), TODAY - age) for age in range(80) for heat in (0, 1_000_000)))
    assert features(profile, TODAY).flags == ("wide_taste",)
    assert features(_profile(*((poured(40_000), TODAY - age) for age in range(80))), TODAY).flags == ()


def test_who_says_one_thing_and_pours_another() -> None:
    pours = [(poured(100), TODAY - age) for age in range(5)]
    assert features(_profile(*pours, (stated(100_000), TODAY)), TODAY).flags == ("says_otherwise",)
    assert features(_profile(*pours, (stated(1000), TODAY)), TODAY).flags == ()


@given(st.lists(EVIDENCE, max_size=12), st.randoms(use_true_random=False))
def test_flags_are_words_of_the_list_and_no_matter_of_order(
    evidence: list[tuple[AnyData, str, int]], chance: random.Random
) -> None:
    told = features(_folded(evidence), 20_006).flags
    assert {*told} <= {*FLAGS}
    chance.shuffle(evidence)
    assert features(_folded(evidence), 20_006).flags == told


def test_buckets_are_never_dropped_by_a_flag() -> None:
    profile = _profile(*((poured(4000), TODAY),) * 50)
    assert features(profile, TODAY).flags == ("crowded_day",)
    assert profile.buckets[BucketKey("gw-1", TODAY, "poured")].n == 50
    assert features(profile, TODAY).windows[0].n == KindCounts(poured=50)
