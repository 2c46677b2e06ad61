"""Logs of real choices: what of the past is known at each, and what is said of files that are none."""

from __future__ import annotations

import gzip
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from heat.errors import DataError
from picante.real_choices import COFFEE, VENDING, coffee, real_choices, vending


def _vending(path: Path, drinks: list[tuple[str, str]]) -> Path:
    lines = ["date,time,payment,card,price,drink"]
    lines += [
        f"{at.date()},{at:%Y-%m-%d %H:%M:%S},card,{card},30,{drink}"
        for i, (card, drink) in enumerate(drinks)
        for at in [datetime(2024, 3, 1, 9, tzinfo=UTC) + timedelta(minutes=20 * i)]
    ]
    path.write_text("\n".join(lines))
    return path


def test_creatures_of_habit_are_named_and_strangers_not_asked_for(tmp_path: Path) -> None:
    rng = random.Random(1)
    usual = ["Latte", "Espresso", "Cocoa", "Americano"]
    regulars = [(f"card-{i}", usual[i % 4]) for i in (rng.randrange(12) for _ in range(300))]
    once = [(f"once-{i}", "Cortado") for i in range(200)]
    everybody = [*regulars, *once]
    rng.shuffle(everybody)
    found = vending(_vending(tmp_path / VENDING, everybody))
    scores = {score.policy: score for score in found.scores}
    assert found.people <= 12, "who came once was never known"
    assert scores["model"].hits.value == scores["repeat last"].hits.value == 1
    assert scores["popularity"].hits.value < 0.5


def test_what_follows_from_the_past_is_learnt(tmp_path: Path) -> None:
    """Cards that change their drink at each purchase."""
    drinks = [(f"card-{i % 10}", ["Latte", "Espresso"][i // 10 % 2]) for i in range(400)]
    scores = {score.policy: score for score in vending(_vending(tmp_path / VENDING, drinks)).scores}
    assert scores["repeat last"].hits.value == 0
    assert scores["model"].hits.value == 1


def test_nothing_is_known_of_what_is_bought_now(tmp_path: Path) -> None:
    """Cards that buy at random: whoever names more than one in four has seen what they buy."""
    rng = random.Random(3)
    drinks = [(f"card-{rng.randrange(10)}", rng.choice(["Latte", "Espresso", "Cocoa", "Cortado"])) for _ in range(800)]
    found = vending(_vending(tmp_path / VENDING, drinks))
    assert all(score.hits.value < 0.35 for score in found.scores)


def _coffee(path: Path, people: int) -> Path:
    rng = random.Random(2)
    lines = ["submission_id,coffee,stated_strength,stated_roast,stated_style,favourite_overall"]
    for i in range(people):
        roast = rng.choice(["Light", "Dark"])
        favourite = rng.choice("AD") if roast == "Light" else rng.choice("BC")
        lines += [f"p{i},{one},Medium,{roast},Fruity,Coffee {favourite}" for one in "ABCD"]
    path.write_bytes(gzip.compress("\n".join(lines).encode()))
    return path


def test_a_person_counts_once_and_their_roast_tells(tmp_path: Path) -> None:
    found = coffee(_coffee(tmp_path / COFFEE, 400))
    scores = {score.policy: score for score in found.scores}
    assert (found.choices, found.people) == (400, 400)
    assert 0.4 < scores["model"].hits.value < 0.6, "one of two"
    assert scores["model"].lift.low > 0.1


def test_whatever_is_there_is_reported_on(tmp_path: Path) -> None:
    _coffee(tmp_path / COFFEE, 60)
    assert [one.name for one in real_choices(tmp_path)] == ["coffee tasting"]


@pytest.mark.parametrize("broken", ["", "a,b\n1,2\n", "date,time,payment,card,price,drink\n1,never,card,c,1,Latte\n"])
def test_a_file_that_is_no_such_log_is_named(broken: str, tmp_path: Path) -> None:
    (tmp_path / VENDING).write_text(broken)
    with pytest.raises(DataError, match=VENDING):
        real_choices(tmp_path)


def test_a_folder_without_any_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="neither"):
        real_choices(tmp_path)
