"""What goes wrong, and when: the same for the same seed, in the schedule and in what truly happened."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import pytest

from heat.errors import ConfigError
from hw_sim.faults import FaultRates
from hw_sim.journal import read_journal
from hw_sim.mishaps import Mishap, planned, schedule
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation, journal_path
from hw_sim.trouble import Babble, Freeze, Leak, Power, Unplug
from tests.hw_sim.desk import TWO
from tests.waiting import wait_until_async

RATES = FaultRates(unplug_per_h=30, power_cut_per_h=20, freeze_per_h=10, babble_per_h=40, longest_s=8)


def first(count: int, rates: FaultRates = RATES, seed: int = 1, dispenser: str = "bar-1") -> list[Mishap]:
    return list(itertools.islice(schedule(rates, [], seed, dispenser), count))


def times(dispenser: str) -> list[float]:
    return [mishap.at_s for mishap in first(200, dispenser=dispenser)]


def test_a_seed_has_one_schedule_and_another_seed_another() -> None:
    assert first(200) == first(200)
    assert first(200) != first(200, seed=2)
    assert times(dispenser="bar-2") != times(dispenser="bar-1")


def test_mishaps_come_in_their_order_and_as_often_as_they_should() -> None:
    mishaps = first(1_000)
    times = [mishap.at_s for mishap in mishaps]
    assert times == sorted(times)
    hours = times[-1] / 3600
    for kind, per_h in ((Unplug, 30), (Power, 20), (Freeze, 10), (Babble, 40)):
        seen = [getattr(mishap.trouble, "seconds", 0.0) for mishap in mishaps if isinstance(mishap.trouble, kind)]
        assert len(seen) / hours == pytest.approx(per_h, rel=0.25)
        assert all(0.8 <= seconds <= 8 for seconds in seen)


def test_one_kind_s_rate_moves_no_other_kind_s_times() -> None:
    without = FaultRates(unplug_per_h=30, freeze_per_h=10, babble_per_h=40, longest_s=8)
    others = [mishap for mishap in first(400) if not isinstance(mishap.trouble, Power)]
    assert first(len(others), without) == others


def test_without_rates_nothing_happens_but_what_is_set() -> None:
    assert list(schedule(FaultRates(), [], 1, "bar-1")) == []
    entries: list[dict[str, Any]] = [
        {"at_s": 30, "do": "unplug", "seconds": 5},
        {"at_s": 2.5, "do": "leak", "nozzle": 1},
    ]
    mishaps = [planned(entry, "bar-1") for entry in entries]
    assert list(schedule(FaultRates(), mishaps, 1, "bar-1")) == [
        Mishap(2.5, Leak(dispenser="bar-1", nozzle=1)),
        Mishap(30.0, Unplug(dispenser="bar-1", seconds=5.0)),
    ]
    between = list(itertools.islice(schedule(RATES, mishaps, 1, "bar-1"), 50))
    assert [mishap for mishap in between if mishap not in mishaps] == first(48)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ('{do = "unplug"}', "fault {'do': 'unplug'}: Expected `float`, got `null`"),
        ('{at_s = -5, do = "unplug"}', "Expected `float` >= 0.0"),
        ('{at_s = 1, do = "visit"}', "Invalid value 'visit'"),
        ('{at_s = 1, do = "leak"}', "missing required field `nozzle`"),
        ('{at_s = 1, do = "freeze", secs = 3}', "unknown field `secs`. It reads {at_s = 30"),
    ],
)
def test_a_fault_that_can_not_be_is_told(fault: str, told: str) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_scenario(f'[[dispensers]]\nid = "bar"\nfaults = [{fault}]')
    assert told in str(raised.value)
    assert str(raised.value).startswith("scenario: bar: ")


async def test_what_happens_is_the_schedule_and_in_the_journal(tmp_path: Path) -> None:
    """Two dispensers in a bad hour, a thousand times as bad as any; the journal tells each mishap in its order."""
    scenario = parse_scenario(
        "seed = 5\n[faults]\nunplug_per_h = 20_000\npower_cut_per_h = 10_000\nbabble_per_h = 10_000\n"
        "freeze_per_h = 10_000\nlongest_s = 0.05\n" + TWO
    )
    path = journal_path(tmp_path)
    async with Simulation(scenario, tmp_path) as simulation:
        await wait_until_async(lambda: sum("fault" in line for line in read_journal(path)) > 80, 20, "mishaps")
        simulation.check_tasks()
        await simulation.drain(0)
        assert all(
            unit.powered and unit.line.plugged and not unit.firmware.frozen for unit in simulation.units.values()
        )
        boots = {name: unit.header.boot for name, unit in simulation.units.items()}
    for name in ("bar-1", "bar-2"):
        happened = [line["fault"] for line in read_journal(path) if "fault" in line and line["dispenser"] == name]
        due = [str(mishap.trouble.__struct_config__.tag) for mishap in first(len(happened), scenario.faults, 5, name)]
        assert len(happened) > 20
        assert happened == due
        assert 2 <= boots[name] <= 1 + happened.count("power")
