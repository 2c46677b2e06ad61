"""The profile algebra, held against a second implementation and against golden vectors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heat.events import AnyData, BucketRow, FlavourRow, Impression, Refilled, SequenceGap, SessionClaimed, decode_data
from heat.profile import KINDS, MAX_W, Profile, contribution, merge, precision_class, profile_of_rows
from heat.reading import Prior, default_decay, heat_state
from heat.scale import MAX_MO, MAX_SHU, heat_from_shu
from heat.tally import Tally
from tests import reference
from tests.strategies import DAYS, EVIDENCE, ORIGINS, PLACE, SHU, plain, poured, rated, stated, voided

VECTORS = sorted((Path(__file__).parent.parent / "vectors" / "profile").glob("*.json"))
Evidence = tuple[AnyData, str, int]
SOME = st.lists(EVIDENCE, max_size=12)


def _folded(evidence: list[Evidence]) -> Profile:
    result = Profile()
    for part in evidence:
        result.fold(contribution(*part))
    return result


def _plain_rows(profile: Profile) -> tuple[list[Any], list[Any]]:
    buckets, flavours = profile.rows()
    return (
        [[b.origin, b.day, b.kind, b.n, b.w, b.wq, b.wqq, list(b.bands)] for b in buckets],
        [[f.origin, f.day, f.kind, f.tag, f.n, f.w] for f in flavours],
    )


# -- golden vectors -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_golden(path: Path) -> None:
    vector = json.loads(path.read_text())
    subjects: dict[str, Profile] = {}
    for event in vector["events"]:
        if event["subject"] is None or event["type"] == "picante.from-the-future.v9":
            continue
        part = contribution(decode_data(event["type"], event["data"]), event["origin"], event["day"])
        profile = subjects.setdefault(event["subject"], Profile())
        for _ in range(event.get("repeat", 1)):
            profile.fold(part)
    assert subjects.keys() == vector["expected"].keys()
    for subject, expected in vector["expected"].items():
        buckets, flavours = _plain_rows(subjects[subject])
        assert buckets == expected["buckets"]
        assert flavours == expected["flavours"]
        assert subjects[subject].digest() == expected["digest"]
        for state in expected["heat_states"]:
            got = heat_state(subjects[subject], state["today"], Prior(), default_decay())
            assert (got.mean_mo, got.sd_mo, got.tolerance_mo) == (
                state["mean_mo"],
                state["sd_mo"],
                state["tolerance_mo"],
            )


@pytest.mark.parametrize("path", VECTORS, ids=lambda path: path.stem)
def test_golden_by_the_reference(path: Path) -> None:
    vector = json.loads(path.read_text())
    events = [event for event in vector["events"] for _ in range(event.get("repeat", 1))]
    expected = {
        subject: {key: rows[key] for key in ("buckets", "flavours", "digest")}
        for subject, rows in vector["expected"].items()
    }
    assert reference.profiles(events) == expected


def test_there_are_vectors() -> None:
    assert {"one_visit", "pure_capsaicin", "three_origins", "claimed_session"} <= {path.stem for path in VECTORS}


def test_the_largest_sums_stay_within_json_s_integers() -> None:
    vector = json.loads((VECTORS[0].parent / "heaviest_bucket.json").read_text())
    (profile,) = vector["expected"].values()
    assert 2**53 - 400 * MAX_MO**2 * 1000 < profile["buckets"][0][6] < 2**53


# -- properties ---------------------------------------------------------------------------------------------------


@given(SOME, st.randoms())
def test_any_order_gives_the_reference_s_rows_and_digest(evidence: list[Evidence], random: Any) -> None:
    buckets, flavours = reference.rows(map(plain, evidence))
    random.shuffle(evidence)
    profile = _folded(evidence)
    assert _plain_rows(profile) == (buckets, flavours)
    assert profile.digest() == reference.digest(buckets, flavours)


@given(SOME)
def test_one_origin_s_digest_is_that_of_its_rows_alone(evidence: list[Evidence]) -> None:
    profile = _folded(evidence)
    buckets, flavours = _plain_rows(profile)
    for origin in (*ORIGINS, "nobody"):
        alone = [row for row in buckets if row[0] == origin], [row for row in flavours if row[0] == origin]
        assert profile.digest(origin) == reference.digest(*alone)


@given(st.lists(st.tuples(st.integers(0, 7), EVIDENCE), max_size=16), st.randoms())
def test_duplicates_removed_by_identity_change_nothing(numbered: list[tuple[int, Evidence]], random: Any) -> None:
    by_id = dict(numbered)
    once = _folded(list(by_id.values()))
    again = list(by_id.items()) * 3
    random.shuffle(again)
    seen: set[int] = set()
    deduplicated = Profile()
    for number, part in again:
        if number not in seen:
            seen.add(number)
            deduplicated.fold(contribution(*part))
    assert deduplicated.digest() == once.digest()


@given(st.lists(st.tuples(st.integers(0, 3), EVIDENCE), max_size=16))
def test_shards_merge_to_the_whole(sharded: list[tuple[int, Evidence]]) -> None:
    shards = [_folded([part for shard, part in sharded if shard == wanted]) for wanted in range(4)]
    whole = _folded([part for _, part in sharded])
    assert merge(shards) == merge(reversed(shards)) == merge([merge(shards[:2]), merge(shards[2:])]) == whole
    assert merge(shards).digest() == whole.digest()


@given(SOME, SOME)
def test_folding_then_unfolding_leaves_no_trace(kept: list[Evidence], taken_back: list[Evidence]) -> None:
    profile = _folded(kept)
    other = _folded(taken_back)
    profile.fold(other)
    profile.fold(other, -1)
    assert profile == _folded(kept)
    # the other way round: what is taken back first is missing until it comes
    early = Profile()
    early.fold(other, -1)
    early.fold(_folded(kept))
    early.fold(other)
    assert early.digest() == _folded(kept).digest()


@given(SOME, DAYS, DAYS)
def test_moving_a_day_is_as_if_it_had_always_been_the_other(evidence: list[Evidence], old: int, new: int) -> None:
    direct = [part for part in evidence if not isinstance(part[0], SessionClaimed)]
    moved = [(body, origin, new if day == old else day) for body, origin, day in direct]
    assert _folded(direct).moved(old, new) == _folded(moved)


@given(SOME)
def test_rows_hold_the_whole_profile(evidence: list[Evidence]) -> None:
    profile = _folded(evidence)
    assert profile_of_rows(*profile.rows()) == profile


@settings(max_examples=50)
@given(SOME, st.integers(19_990, 20_200))
def test_the_heat_state_is_the_reference_s(evidence: list[Evidence], today: int) -> None:
    profile = _folded(evidence)
    state = heat_state(profile, today, Prior(), default_decay())
    expected = reference.heat_state(_plain_rows(profile)[0], today, default_decay().weights)
    assert (state.mean_mo, state.sd_mo, state.tolerance_mo) == expected


@given(SOME, st.lists(st.tuples(SHU, st.sampled_from(ORIGINS), DAYS, st.booleans()), max_size=6), st.randoms())
def test_pours_that_were_taken_back_leave_nothing_in_any_order(
    evidence: list[Evidence], ghosts: Any, random: Any
) -> None:
    """`late`: the void's own day is another one than the pour's."""
    events = list(evidence)
    for shu, origin, day, late in ghosts:
        pour = poured(shu, tags=("smoky",))
        events += [(pour, origin, day), (voided(pour, day), origin, day + 3 * late)]
    random.shuffle(events)
    tally = Tally()
    for body, origin, day in events:
        tally.add(body, origin, day)
    assert _folded(events) == _folded(evidence) == tally.profile()
    assert tally.rows() == _folded(evidence).rows()
    assert reference.rows(map(plain, events)) == _plain_rows(_folded(evidence))
    back = Tally()
    for body, origin, day in events:
        back.add(body, origin, day, -1)
        back.add(body, origin, day)
    assert back.dump() == ({}, {}), "a void that is taken back, too"


# -- single events ------------------------------------------------------------------------------------------------


def test_what_is_no_evidence_adds_nothing() -> None:
    place = PLACE | {"channel": "gateway"}
    bodies: list[AnyData] = [
        Refilled(**place, nozzle=1, sauce="s", volume_ul=1),
        Impression(**place, pick_id="k", dispenser="d", picks=(), candidates=(), ranker="rule", latency_us=1),
        SequenceGap(**place, dispenser="d", generation=1, first=1, last=2),
    ]
    for body in bodies:
        assert contribution(body, "gw-1", 1) == Profile()


def test_two_pours_at_once_are_two_pours() -> None:
    profile = _folded([(poured(2200), "gw-1", 1)] * 2)
    assert [sums.n for sums in profile.buckets.values()] == [2]


def test_rows_without_events_are_no_evidence() -> None:
    empty = BucketRow("gw-1", 1, "poured", 0, 5, 5, 5, (0,) * 10)
    assert profile_of_rows([empty], [FlavourRow("gw-1", 1, "poured", "smoky", 0, 5)]) == Profile()


def test_precision_classes() -> None:
    label = heat_from_shu(2200)
    assert precision_class("stated", label) == 44  # 16 / 0.6**2
    assert precision_class("poured", label) == 12  # 16 / (0.6**2 + 1)
    assert precision_class("too_hot", label) == precision_class("more", label) == 16
    assert precision_class("just_right", label) == 26
    assert precision_class("just_right", label, dose_percent=50) == 13


@given(st.sampled_from(KINDS), st.integers(0, MAX_MO), st.integers(1, 100))
def test_a_weight_is_never_outside_its_bounds(kind: Any, sd: int, percent: int) -> None:
    heat = heat_from_shu(MAX_SHU, sd_milli_octaves=sd)
    assert 1 <= precision_class(kind, heat, percent) <= MAX_W


def test_stated_heat_has_no_flavour() -> None:
    assert contribution(stated(2200), "gw-1", 1).flavours == {}
    assert len(contribution(rated(2200, "more", tags=("smoky", "sweet")), "gw-1", 1).flavours) == 2
