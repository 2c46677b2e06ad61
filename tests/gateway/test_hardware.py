"""What a machine tells of itself, from trees as the kernel's documentation has them."""

from __future__ import annotations

from pathlib import Path

import pytest

from gateway.hardware import look
from tests.gateway.machine import THROTTLED, compute_module, raspberry_pi, write_files


def test_a_pi_that_is_well(tmp_path: Path) -> None:
    machine = look(tmp_path, raspberry_pi(tmp_path))
    assert machine.model == "Raspberry Pi 4 Model B Rev 1.4"
    assert machine.temperature_c == 48.312
    assert machine.memory_bytes == 1917356 * 1024
    assert machine.memory_free_bytes == 1400000 * 1024
    assert (machine.load, machine.up_s) == (0.42, 86400)
    assert machine.power is not None
    assert not any(
        (
            machine.power.under_voltage,
            machine.power.throttled,
            machine.power.under_voltage_before,
            machine.power.throttled_before,
        )
    )


@pytest.mark.parametrize(
    ("bits", "now", "before"),
    [
        ("50005", (True, True), (True, True)),
        ("50000", (False, False), (True, True)),
        ("1", (True, False), (False, False)),
        ("2", (False, True), (False, False)),
        ("8", (False, True), (False, False)),
        ("80000", (False, False), (False, True)),
    ],
)
def test_what_the_firmware_says_of_power(
    tmp_path: Path, bits: str, now: tuple[bool, bool], before: tuple[bool, bool]
) -> None:
    write_files(raspberry_pi(tmp_path), {THROTTLED: bits})
    power = look(tmp_path, tmp_path).power
    assert power is not None
    assert (power.under_voltage, power.throttled) == now
    assert (power.under_voltage_before, power.throttled_before) == before


def test_an_alarm_of_the_voltage_alone(tmp_path: Path) -> None:
    power = look(tmp_path, write_files(tmp_path, {"sys/class/hwmon/hwmon0/in0_lcrit_alarm": "1"})).power
    assert power is not None
    assert power.under_voltage
    assert power.under_voltage_before is None


def test_an_sd_card_tells_no_wear_and_what_was_written(tmp_path: Path) -> None:
    flash = look(tmp_path, raspberry_pi(tmp_path)).flash
    assert flash is not None
    assert (flash.kind, flash.worn_percent, flash.pre_eol, flash.worn) == ("SD card", None, None, False)
    assert flash.written_bytes == 2 * 1024**3
    assert flash.size_bytes == 62333952 * 512
    years = flash.years(86_400)
    assert years is not None
    assert 20 < years < 21  # 29.7 GiB 500 times over, 2 GiB a day
    assert flash.years(600) is None


@pytest.mark.parametrize(
    ("life", "eol", "percent", "worn"),
    [
        ("0x02 0x03", "0x01", 30, False),
        ("0x01 0x09", "0x01", 90, True),
        ("0x0b 0x01", "0x01", 110, True),
        ("0x01 0x01", "0x02", 10, True),
        ("0x00 0x00", "0x00", None, False),
    ],
)
def test_how_worn_an_emmc_is(tmp_path: Path, life: str, eol: str, percent: int | None, worn: bool) -> None:
    device = "sys/block/mmcblk0/device"
    write_files(compute_module(tmp_path), {f"{device}/life_time": life, f"{device}/pre_eol_info": eol})
    flash = look(tmp_path, tmp_path).flash
    assert flash is not None
    assert (flash.kind, flash.worn_percent, flash.worn) == ("eMMC", percent, worn)


def test_a_machine_that_says_nothing(tmp_path: Path) -> None:
    machine = look(tmp_path, tmp_path)
    assert (machine.model, machine.power, machine.temperature_c, machine.flash, machine.up_s) == (None,) * 5


def test_what_is_no_number_is_as_if_it_were_not_there(tmp_path: Path) -> None:
    device = "sys/block/mmcblk0"
    write_files(
        compute_module(tmp_path),
        {
            THROTTLED: "broken",
            "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "",
            "sys/class/thermal/thermal_zone0/temp": "hot",
            f"{device}/stat": "1 2",
            "proc/loadavg": "",
        },
    )
    machine = look(tmp_path, tmp_path)
    assert machine.power is None
    assert machine.temperature_c is None
    assert machine.flash is None
    assert machine.load is None


def test_this_machine_itself(tmp_path: Path) -> None:
    machine = look(tmp_path)
    assert machine.up_s
    assert machine.memory_bytes
