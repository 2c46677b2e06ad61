"""The plant: what flows, what meters and sensors make of it, and what goes wrong with them."""

from __future__ import annotations

import random
import statistics

import pytest

from heat.catalog import default_catalog
from hw_sim.physics import CABINET_C, IDEAL, VISCOSITIES_MPAS, Physics, Sensor, level_sensor, viscosity_mpas
from hw_sim.plant import TANK_UL, TRAY_FULL_UL, Dose, Nozzle, Plant

CATALOG = default_catalog()
HOUR_MS = 3_600_000


def plant_of(physics: Physics = IDEAL, seed: int = 1, factor: float = 100.0) -> Plant:
    nozzles = [Nozzle(1, CATALOG["table-red"]), Nozzle(2, CATALOG["garlic-ghost"])]
    return Plant(nozzles, physics, random.Random(seed), lambda _: factor)


# -- viscosity ---------------------------------------------------------------------------------------------------------


def test_sauces_differ_and_keep_their_viscosity() -> None:
    at_20 = [viscosity_mpas(sauce, 20.0) for sauce in CATALOG]
    assert at_20 == [viscosity_mpas(sauce, 20.0) for sauce in CATALOG]
    assert len(set(at_20)) == len(CATALOG)
    assert VISCOSITIES_MPAS[0] <= min(at_20) < max(at_20) <= VISCOSITIES_MPAS[1]
    assert max(at_20) / min(at_20) > 2


def test_warm_sauce_flows_faster_and_pours_sooner() -> None:
    plant = plant_of()
    cool, first = plant.flow_ul_s(1), plant.dose(1, 10_000, 0)
    plant.cabinet.celsius = 30.0
    warm, second = plant.flow_ul_s(1), plant.dose(1, 10_000, 0)
    assert 1.2 < warm / cool < 1.5
    assert first is not None
    assert second is not None
    assert second.duration_ms < first.duration_ms


# -- meters ------------------------------------------------------------------------------------------------------------


def test_an_ideal_pour_is_what_was_wanted() -> None:
    plant = plant_of()
    dose = plant.dose(1, 6_000, 0)
    assert dose is not None
    assert dose.volume_ul == 6_000
    assert plant.nozzles[1].level_ul == TANK_UL - 6_000
    assert plant.readings(0).nozzles[0].pulses == 600


def test_a_calibration_that_is_off_pours_and_keeps_the_books_as_it_believes() -> None:
    """It counts too many pulses for a ml: what it reports is what was wanted, and too much leaves the bottle."""
    plant = plant_of(factor=120.0)
    dose = plant.dose(1, 6_000, 0)
    assert dose is not None
    assert dose.volume_ul == 6_000
    assert TANK_UL - plant.nozzles[1].level_ul == pytest.approx(7_200)


def test_a_bottle_that_runs_empty_is_counted_as_far_as_it_went() -> None:
    plant = plant_of(factor=50.0)
    plant.nozzles[1].level_ul = 500
    dose = plant.dose(1, 6_000, 0)
    assert dose is not None
    assert dose.volume_ul == 1_000, "50 pulses at 50 a ml"
    assert plant.nozzles[1].level_ul == 0
    assert plant.dose(1, 6_000, 0) is None


def test_meters_scatter_by_their_noise() -> None:
    plant = plant_of(Physics(meter_noise=0.02, meter_spread=0.0))
    poured = []
    for _ in range(300):
        before = plant.nozzles[1].level_ul
        plant.dose(1, 2_000, 0)
        poured.append(before - plant.nozzles[1].level_ul)
    assert statistics.mean(poured) == pytest.approx(2_000, rel=0.01)
    assert statistics.stdev(poured) == pytest.approx(40, rel=0.25)


def test_a_meter_s_factor_creeps() -> None:
    plant = plant_of()
    plant.meters[1].creep_per_h = -0.02
    plant.settle(5 * HOUR_MS)
    assert plant.meters[1].pulses_per_ml == pytest.approx(100 * 0.98**5, rel=0.002)
    assert plant.meters[2].pulses_per_ml == 100.0
    plant.dose(1, 10_000, 5 * HOUR_MS)
    assert TANK_UL - plant.nozzles[1].level_ul > 10_900, "fewer pulses for a ml: it pours too much"


def test_a_blocked_nozzle_gives_nothing_and_is_noticed() -> None:
    plant = plant_of()
    plant.nozzles[1].blocked = True
    assert plant.dose(1, 6_000, 0) is None
    plant.spill(1, 500, 0)
    assert plant.nozzles[1].level_ul == TANK_UL
    read = plant.readings(0).nozzles[0]
    assert (read.stalls, read.pulses) == (1, 0)
    plant.nozzles[1].blocked = False
    assert plant.dose(1, 6_000, 0) is not None


# -- sensors -----------------------------------------------------------------------------------------------------------


def test_ultrasound_is_coarser_than_pressure() -> None:
    errors = {}
    for kind in ("ultrasonic", "hydrostatic"):
        sensor = level_sensor(kind, random.Random(3))
        read = [sensor.read(400.0) for _ in range(500)]
        errors[kind] = statistics.pstdev(read)
        assert statistics.mean(read) == pytest.approx(400.0, abs=0.5)
    assert errors["ultrasonic"] > 2 * errors["hydrostatic"] > 1.0


def test_a_sensor_reads_in_steps_and_may_get_stuck() -> None:
    sensor = Sensor(noise=0.0, step=0.5, rng=random.Random(0))
    assert [sensor.read(truth) for truth in (3.1, 3.4, 3.8)] == [3.0, 3.5, 4.0]
    sensor.stuck = True
    assert [sensor.read(truth) for truth in (9.0, 0.0)] == [4.0, 4.0]
    sensor.stuck = False
    assert sensor.read(9.0) == 9.0


def test_what_is_nearly_empty_is_told_as_empty() -> None:
    plant = plant_of()
    plant.nozzles[1].level_ul = 4_900
    assert [plant.level_ml(number) for number in (1, 2)] == [0, 750]


# -- leaks, cabinet, tray ----------------------------------------------------------------------------------------------


def test_a_leak_empties_the_bottle_into_the_tray_without_a_pulse() -> None:
    plant = plant_of()
    plant.settle(1_000)
    plant.nozzles[2].leak_ul_s = 100.0
    read = plant.readings(1_000 + 60_000)
    assert plant.nozzles[2].level_ul == TANK_UL - 6_000
    assert plant.tray_ul == 6_000
    assert read.nozzles[1].pulses == 0
    assert (read.nozzles[1].level_ml, read.tray_full) == (744.0, False)
    full = plant.readings(HOUR_MS)
    assert full.tray_full
    plant.empty_tray(HOUR_MS)
    assert plant.tray_ul < TRAY_FULL_UL
    assert not plant.readings(HOUR_MS).tray_full


def test_an_open_door_warms_the_cabinet_and_a_shut_one_cools_it() -> None:
    plant = plant_of(Physics(room_c=30.0, celsius_noise=0.0))
    assert plant.readings(0).cabinet_c == CABINET_C
    plant.cabinet.door_open = True
    warm = plant.readings(600_000)
    assert warm.door_open
    assert warm.cabinet_c == pytest.approx(26.3, abs=0.1)
    plant.cabinet.door_open = False
    assert CABINET_C < plant.readings(1_200_000).cabinet_c < warm.cabinet_c


def test_without_power_the_counters_are_lost_and_leaks_go_on() -> None:
    plant = plant_of()
    plant.dose(1, 6_000, 10_000)
    plant.nozzles[1].leak_ul_s = 100.0
    plant.reboot(off_ms=60_000)
    read = plant.readings(0)
    assert (read.uptime_ms, read.nozzles[0].pulses) == (0, 0)
    assert plant.nozzles[1].level_ul == pytest.approx(TANK_UL - 12_000)


# -- the seed ----------------------------------------------------------------------------------------------------------


def test_a_seed_s_plant_pours_the_same_however_often_it_is_looked_at() -> None:
    def pours(seed: int, looks: int) -> tuple[list[Dose | None], float]:
        plant = plant_of(Physics(), seed)
        doses = []
        for number in range(20):
            for _ in range(looks):
                plant.readings(number)
            doses.append(plant.dose(1, 1_000 + number, number))
        return doses, plant.nozzles[1].level_ul

    assert pours(5, looks=0) == pours(5, looks=3) != pours(6, looks=0)
