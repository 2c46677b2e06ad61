"""Shoppers behave like customers, and the same way each time."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from statistics import mean, median

import pytest

from heat.catalog import default_catalog
from heat.scale import default_words
from hw_sim.shoppers.shopper import Shopper
from hw_sim.shoppers.taste import MOODS, Visit
from hw_sim.shoppers.world import Crowd

CATALOG = default_catalog()
SAUCES = tuple(CATALOG.values())
CROWD = Crowd(11, 400, CATALOG)


def _with_taste(shopper: Shopper, **changes: object) -> Shopper:
    """The same shopper with another taste."""
    taste = replace(shopper.taste, **changes)  # type: ignore[arg-type]  # fields of Taste
    return replace(shopper, taste=taste)


def _visits(count: int = 3, seed: int = 1) -> list[tuple[Shopper, Visit]]:
    rng = random.Random(seed)
    return [(shopper, shopper.arrive(rng)) for shopper in CROWD.shoppers for _ in range(count)]


def _octaves(sauce_id: str) -> float:
    return CATALOG[sauce_id].heat.milli_octaves / 1000


# -- repeatability ------------------------------------------------------------------------------------------------


def test_same_seed_same_people_other_seed_other_people() -> None:
    again, other = Crowd(11, 400, CATALOG), Crowd(12, 400, CATALOG)
    assert [s.taste for s in again.shoppers] == [s.taste for s in CROWD.shoppers]
    assert [s.token for s in again.shoppers] == [s.token for s in CROWD.shoppers]
    assert not {s.taste.preferred_octaves for s in other.shoppers} & {s.taste.preferred_octaves for s in CROWD.shoppers}
    tokens = {s.token for s in CROWD.shoppers if s.token}
    assert not tokens & {s.token for s in other.shoppers}
    assert len(tokens) == sum(s.token is not None for s in CROWD.shoppers)


def test_a_visit_answers_the_same_question_the_same_way() -> None:
    for shopper, visit in _visits(1):
        chosen = [shopper.choose(visit, SAUCES, ("table-red",)) for _ in range(2)]
        rated = [shopper.rate(visit, SAUCES[3]) for _ in range(2)]
        assert (chosen[0], rated[0]) == (chosen[1], rated[1])


def test_only_pouring_is_remembered() -> None:
    shopper, visit = Crowd(1, 1, CATALOG).shoppers[0], _visits(1)[0][1]
    before = shopper.enjoyment(visit, SAUCES[2])
    shopper.choose(visit, SAUCES)
    shopper.rate(visit, SAUCES[2])
    assert shopper.enjoyment(visit, SAUCES[2]) == before
    assert shopper.pour_ul(visit, SAUCES[2]) >= 200
    assert shopper.enjoyment(visit, SAUCES[2]) == pytest.approx(before - shopper.taste.variety)
    shopper.pour_ul(visit, SAUCES[5])
    assert shopper.enjoyment(visit, SAUCES[2]) == pytest.approx(before - shopper.taste.variety / 2)


def test_arrivals_are_seeded_and_ordered() -> None:
    first, second = (list(CROWD.arrivals(random.Random(3), 14)) for _ in range(2))
    assert first == second
    when = [(arrival.day, arrival.hour) for arrival in first]
    assert when == sorted(when)
    assert {day for day, _ in when} == set(range(14))
    assert all(9 <= hour < 22 for _, hour in when)


def test_some_come_for_the_first_time_later() -> None:
    arrivals = list(CROWD.arrivals(random.Random(3), 60))
    assert all(arrival.day >= arrival.shopper.since_day for arrival in arrivals)
    assert 0.3 < mean(shopper.since_day > 0 for shopper in CROWD.shoppers) < 0.5


def test_frequent_visitors_are_drawn_more_often() -> None:
    rng = random.Random(5)
    drawn = mean(CROWD.draw(rng).visits_per_week for _ in range(3000))
    assert drawn > 1.2 * mean(shopper.visits_per_week for shopper in CROWD.shoppers)


# -- plausibility -------------------------------------------------------------------------------------------------


def test_choices_follow_the_true_taste() -> None:
    chosen = [(shopper, visit, shopper.choose(visit, SAUCES)) for shopper, visit in _visits()]
    off = [abs(_octaves(c) - s.taste.preferred_octaves - v.craving_octaves) for s, v, c in chosen if c is not None]
    anyhow = [abs(_octaves(sauce.id) - s.taste.preferred_octaves) for s, _, _ in chosen for sauce in SAUCES]
    assert median(off) < 1.3
    assert median(off) < median(anyhow) / 2


def test_some_walk_away_and_every_sauce_finds_friends() -> None:
    counts = Counter(shopper.choose(visit, SAUCES) for shopper, visit in _visits())
    assert 0.01 < counts[None] / counts.total() < 0.2
    assert set(counts) >= set(CATALOG)
    assert counts.most_common(1)[0][1] < counts.total() / 4


def test_nothing_on_offer_is_nothing_poured() -> None:
    shopper, visit = _visits(1)[0]
    assert shopper.choose(visit, ()) is None


def test_being_shown_helps_those_who_look() -> None:
    def times(attention: float, shown: tuple[str, ...]) -> int:
        watched = ((_with_taste(shopper, attention=attention), visit) for shopper, visit in _visits())
        return sum(shopper.choose(visit, SAUCES, shown) == "serrano-verde" for shopper, visit in watched)

    unseen = times(1.0, ())
    assert times(1.0, ("serrano-verde",)) > 1.3 * unseen
    assert unseen < times(1.0, ("a", "b", "serrano-verde")) < times(1.0, ("serrano-verde",))
    assert times(0.0, ("serrano-verde",)) == unseen
    assert times(1.0, ("a", "b", "c", "serrano-verde")) == unseen, "there are three slots"


def test_mistaps_hit_anything() -> None:
    counts = Counter(_with_taste(shopper, mistap=1.0).choose(visit, SAUCES) for shopper, visit in _visits())
    assert None not in counts
    assert max(counts.values()) < 3 * min(counts.values())


def test_too_hot_is_pressed_where_it_hurts() -> None:
    verdicts = {True: Counter[str | None](), False: Counter[str | None]()}
    for shopper, visit in _visits(6):
        keen = _with_taste(shopper, rates=1.0)
        for sauce in SAUCES:
            burn = keen.taste.burn(sauce.heat.milli_octaves / 1000)
            if abs(burn - keen.taste.tolerance) > 0.1:
                verdicts[burn > keen.taste.tolerance][keen.rate(visit, sauce)] += 1
    assert verdicts[True]["too_hot"] > 0.85 * verdicts[True].total()
    assert verdicts[True]["more"] == 0
    assert verdicts[False]["too_hot"] < 0.15 * verdicts[False].total()
    assert verdicts[False]["more"] > verdicts[False]["too_hot"]


def test_a_verdict_on_a_chosen_sauce_is_mostly_just_right() -> None:
    counts: Counter[str | None] = Counter()
    for shopper, visit in _visits(4):
        chosen = shopper.choose(visit, SAUCES)
        if chosen is not None:
            counts[shopper.rate(visit, CATALOG[chosen])] += 1
    assert counts["just_right"] > counts["more"] > counts["too_hot"] > 0
    assert counts[None] > counts.total() / 2


def test_some_never_rate() -> None:
    silent = [shopper for shopper in CROWD.shoppers if shopper.taste.rates == 0]
    assert 0.2 < len(silent) / len(CROWD.shoppers) < 0.5
    visit = _visits(1)[0][1]
    assert {shopper.rate(visit, sauce) for shopper in silent for sauce in SAUCES} == {None}


def test_what_is_said_is_about_the_taste() -> None:
    words = default_words()
    off = []
    for shopper, visit in _visits(8):
        assert visit.said_shu is None or visit.said_word is None
        assert visit.mood is None or visit.mood in MOODS
        wanted = shopper.wanted_octaves(visit)
        if visit.dial is not None:
            assert 0 <= visit.dial <= 100
            off.append(words.dial(visit.dial).milli_octaves / 1000 - wanted)
        if visit.said_word is not None:
            assert words.word(visit.said_word) is not None
        if visit.said_shu is not None:
            assert 0 <= visit.said_shu <= 16_000_000
    assert len(off) > 500
    assert median(map(abs, off)) < 0.8


def test_moods_move_the_craving() -> None:
    by_mood = {mood: [v.craving_octaves for _, v in _visits(8) if v.mood == mood] for mood in MOODS}
    assert mean(by_mood["mellow"]) < -1 < mean(by_mood["usual"]) < 1 < mean(by_mood["bold"])


def test_hot_sauces_are_poured_sparingly() -> None:
    mild, hot = (
        median(Crowd(1, 1, CATALOG).shoppers[0].pour_ul(visit, CATALOG[sauce]) for _, visit in _visits(1))
        for sauce in ("garden-green", "reaper-raw")
    )
    assert mild > 2 * hot


def test_what_hurts_is_enjoyed_less_than_missing_the_wanted_burn_explains() -> None:
    """The same sauce, to a mouth that stands it and to one that doesn't."""
    for shopper, visit in _visits(1):
        hottest = max(SAUCES, key=lambda sauce: sauce.shu)
        stands, hurts = (_with_taste(shopper, tolerance=end).enjoyment(visit, hottest) for end in (0.999, 0.01))
        assert hurts < stands - 1 or shopper.taste.burn(_octaves(hottest.id)) < 0.1
