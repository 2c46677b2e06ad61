"""The baselines do what they are called."""

from __future__ import annotations

from heat.reading import Prior, Reading
from models.evaluation.policies import (
    Question,
    at_random,
    baselines,
    nearest_stated_shu,
    nearest_usual_shu,
    popularity,
    repeat_last,
    site_popularity,
    without_heat,
)
from models.features import COLUMN, Context, Menu, features
from tests.tasting import reading, sauce

MENU = Menu(
    [
        sauce(name, shu, popularity=p)
        for name, shu, p in [("a", 1000, 1), ("b", 2000, 9), ("c", 9000, 5), ("d", 80_000, 7)]
    ]
)
EVERYWHERE = {"a": 3.0, "b": 1.0, "c": 2.0, "d": 0.0}


def _question(known: Reading | None = None, stated_shu: int | None = None, context: Context | None = None) -> Question:
    return Question(known or reading(), MENU, context or Context(), stated_shu, EVERYWHERE, seed=4)


def test_popularity_is_everybodys_or_the_sites() -> None:
    assert popularity(_question()) == ["a", "c", "b"]
    assert site_popularity(_question()) == ["b", "d", "c"]
    assert site_popularity(_question(context=Context(popularity={"c": 2, "d": 1}))) == ["c", "d", "a"]


def test_the_nearest_heat_is_what_was_said_or_what_is_usual() -> None:
    assert nearest_stated_shu(_question(stated_shu=50_000)) == ["d", "c", "b"]
    assert nearest_stated_shu(_question()) == ["b", "d", "c"]
    assert nearest_usual_shu(_question(reading(6000, evidence=2))) == ["a", "b", "c"]
    assert nearest_usual_shu(_question(reading(6000))) == ["b", "d", "c"]


def test_what_was_poured_last_comes_first_and_then_what_was_poured_most() -> None:
    context = Context(last_poured=MENU.sauces[0], pours={"a": 0.5, "c": 2.5})
    assert repeat_last(_question(context=context)) == ["a", "c", "b"]
    assert repeat_last(_question(context=Context(last_poured=sauce("gone", 1000)))) == ["b", "d", "c"]


def test_chance_is_the_visits_own() -> None:
    assert len(set(at_random(_question()))) == 3
    assert at_random(_question()) == at_random(_question())


def test_every_baseline_fills_the_screen() -> None:
    assert all(len(set(policy(_question()))) == 3 for policy in baselines().values())


def test_without_a_heat_state_two_customers_differ_in_flavours_alone() -> None:
    mild, hot = (features(without_heat(reading(mean, evidence=9), Prior()), MENU, Context()) for mean in (4000, 15_000))
    assert (mild == hot).all()
    smoky = Reading(reading().state, 9, (), {"smoky": 0.5})
    assert without_heat(smoky, Prior()).flavours == smoky.flavours
    assert without_heat(smoky, Prior()).evidence == 9
    assert (
        features(without_heat(reading(4000), Prior()), MENU, Context())[:, COLUMN["recent_distance"]].tolist()
        == [0] * 4
    )
