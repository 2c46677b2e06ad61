"""Scenarios: what they mean, and how a mistake in one is told."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from heat.catalog import default_catalog
from heat.errors import ConfigError
from hw_sim.faults import FaultRates, Faults
from hw_sim.keys import ensure_keys, load_keys
from hw_sim.scenario import load_scenario, nozzles_of, parse_scenario

SCENARIOS = Path(__file__).parents[2] / "scenarios"
ONE = '[[dispensers]]\nid = "bar-1"\n'


@pytest.mark.parametrize("path", sorted(SCENARIOS.glob("*.toml")), ids=lambda path: path.stem)
def test_the_scenarios_that_ship_can_be_used(path: Path) -> None:
    scenario = load_scenario(path)
    for settings in scenario.dispensers:
        assert nozzles_of(settings, scenario.seed)


def test_the_store_has_both_kinds_of_link() -> None:
    links = [settings.link for settings in load_scenario(SCENARIOS / "store.toml").dispensers]
    assert (links.count("serial"), links.count("mqtt")) == (4, 2)


def test_whatever_is_left_out_has_a_default() -> None:
    [settings] = parse_scenario(ONE).dispensers
    assert (settings.link, settings.baud, settings.ring) == ("serial", 115_200, 2048)


def test_a_count_makes_many() -> None:
    scenario = parse_scenario('[[dispensers]]\nid = "bar"\ncount = 200\n')
    assert [settings.id for settings in scenario.dispensers][:2] == ["bar-1", "bar-2"]
    assert len(scenario.dispensers) == 200
    assert scenario.dispensers[0].hardware is None
    both = parse_scenario('[[dispensers]]\nid = "bar"\ncount = 2\nhardware = "PD-8 no. 4"\n').dispensers
    assert [settings.hardware for settings in both] == ["PD-8 no. 4-1", "PD-8 no. 4-2"]


def test_nozzles_follow_from_the_seed() -> None:
    [settings] = parse_scenario(ONE + "nozzles = 6").dispensers
    drawn = [nozzle.sauce.id for nozzle in nozzles_of(settings, 1)]
    assert len(set(drawn)) == 6
    assert drawn == [nozzle.sauce.id for nozzle in nozzles_of(settings, 1)]
    assert drawn != [nozzle.sauce.id for nozzle in nozzles_of(settings, 2)]
    heats = [default_catalog()[sauce].shu for sauce in drawn]
    assert heats == sorted(heats)


def test_nozzles_may_be_named() -> None:
    [settings] = parse_scenario(ONE + 'nozzles = ["table-red", "garlic-ghost"]').dispensers
    named = [(nozzle.number, nozzle.sauce.id) for nozzle in nozzles_of(settings, 1)]
    assert named == [(1, "table-red"), (2, "garlic-ghost")]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("sede = 1\n" + ONE, "unknown key 'sede'. Did you mean 'seed'?"),
        ("[crowd]\nvisits_every_s = 1\n" + ONE, "crowd: unknown key 'visits_every_s'. Did you mean 'visit_every_s'?"),
        (ONE + "buad = 9600", "dispensers: unknown key 'buad'. Did you mean 'baud'?"),
        (ONE + "hue = 1", "unknown key 'hue'. Known: id, link, baud"),
        (ONE + 'baud = "fast"', "Expected `int`, got `str` - at `$.dispensers[0].baud`"),
        (ONE + 'nozzles = ["table-redd"]', "bar-1: no sauce 'table-redd' in the catalogue. Did you mean 'table-red'?"),
        (ONE + "nozzles = 13", "Expected `int` <= 12"),
        (ONE + "nozzles = []", "bar-1: 0 nozzles. Give 1 to 12"),
        (ONE + ONE, "dispenser 'bar-1' stands there twice"),
        (ONE + 'link = "mqtt"', "dispenser 'bar-1' needs a broker. Add an [mqtt] section"),
        (ONE + 'link = "wifi"', "Invalid enum value 'wifi'"),
        ("[faults]\ndrop = 1.5\n" + ONE, "Expected `float` <= 1.0"),
        ('[[dispensers]]\nid = "Bar 1"', "dispenser 'Bar 1' is not a name"),
        ("dispensers = []", "no dispensers. Add a [[dispensers]] entry"),
        ("seed = ", "Invalid value"),
    ],
)
def test_a_mistake_is_told_with_its_place(text: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_scenario(text, "store.toml")
    assert str(raised.value).startswith("store.toml: ")
    assert told in str(raised.value)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"scenarios/store\.toml"):
        load_scenario(tmp_path / "none.toml")


# -- keys --------------------------------------------------------------------------------------------------------------


def test_keys_are_made_once_and_only_their_owner_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "state/keys.toml"
    assert ensure_keys(path, []) == {} == load_keys(path)
    assert path.exists(), "a gateway's configuration names it"
    first = ensure_keys(path, ["bar-1", "bar-2"])
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    more = ensure_keys(path, ["bar-2", "bar-3"])
    assert more == first | {"bar-3": more["bar-3"]} == load_keys(path)
    assert {len(key) for key in more.values()} == {32}
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("text", ['[dispensers]\nbar-1 = "00"', "[dispensers]\nbar-1 = 5", "[dispensers"])
def test_a_bad_keys_file_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "keys.toml").write_text(text)
    with pytest.raises(ConfigError, match=r"keys\.toml"):
        load_keys(tmp_path / "keys.toml")


# -- faults ------------------------------------------------------------------------------------------------------------


def outcomes(seed: str) -> list[list[bytes]]:
    faults = Faults(FaultRates(drop=0.1, duplicate=0.1, corrupt=0.1), seed)
    return [faults.pass_on(b"\x00frame\x00") for _ in range(2_000)]


def test_faults_are_as_frequent_as_told() -> None:
    results = outcomes("a")
    assert 150 < sum(result == [] for result in results) < 250
    assert 130 < sum(len(result) == 2 for result in results) < 230
    damaged = [result[0] for result in results if result and result[0] != b"\x00frame\x00"]
    assert 130 < len(damaged) < 230
    assert all(_bits_apart(frame, b"\x00frame\x00") == 1 for frame in damaged)


def test_the_same_seed_gives_the_same_faults() -> None:
    assert outcomes("a") == outcomes("a") != outcomes("b")


def test_every_fault_is_told_and_hangs_on_its_frame_s_number_alone() -> None:
    told: list[tuple[str, int]] = []
    faults = Faults(
        FaultRates(drop=0.1, duplicate=0.1, corrupt=0.1), "a", lambda fault, frame: told.append((fault, frame))
    )
    for number in range(2_000):
        faults.pass_on(b"x" * (1 + number % 90))
    assert len(told) == faults.dropped + faults.duplicated + faults.corrupted
    dropped = [number for number, result in enumerate(outcomes("a"), start=1) if not result]
    assert [frame for fault, frame in told if fault == "drop"] == dropped


def test_no_faults_unless_asked_for() -> None:
    faults = Faults(FaultRates(), "a")
    assert all(faults.pass_on(b"frame") == [b"frame"] for _ in range(1_000))


def _bits_apart(one: bytes, other: bytes) -> int:
    return sum((a ^ b).bit_count() for a, b in zip(one, other, strict=True))
