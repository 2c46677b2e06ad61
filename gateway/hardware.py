"""What the kernel says of this machine: power, temperature, flash, memory, load. None where it doesn't say.

    sys/devices/platform/soc*/*firmware/get_throttled   hex; bits 0..3 now, bits 16..19 since the boot (Raspberry Pi's
                                                        `vcgencmd get_throttled`)
    sys/class/hwmon/hwmon*/in0_lcrit_alarm              1 while the voltage is too low (hwmon/raspberrypi-hwmon)
    sys/class/thermal/thermal_zone*/temp                thousandths of a degree (kernel's thermal/sysfs-api)
    sys/block/mmcblk0/device/life_time, pre_eol_info    how worn an eMMC is (kernel's mmc/mmc-dev-attrs); SD cards
                                                        have neither
    sys/block/*/stat                                    sectors of 512 bytes (kernel's block/stat)
    proc/meminfo, loadavg, uptime                       proc(5)

Reading it all takes less than a millisecond. The root is another one than / in tests alone.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path("/")
SECTOR_BYTES = 512
WORN_PERCENT = 90
"""Of its life, from which on an eMMC is called worn: the last tenth that it tells of."""
OVERWRITES = 500
"""Times that a cheap SD card bears to be written over, at least: makers promise nothing, industrial ones bear 3,000."""
ENOUGH_S = 3_600
"""s since the boot before which what was written says nothing of a usual day."""

_UNDER_VOLTAGE, _CAPPED, _THROTTLED, _TOO_HOT = 1, 2, 4, 8
_SINCE_BOOT = 16

PreEol = Literal["normal", "warning", "urgent"]
_PRE_EOL: dict[int, PreEol] = {1: "normal", 2: "warning", 3: "urgent"}


@dataclass(frozen=True, slots=True)
class Power:
    """What the supply and the heat do to the processor."""

    under_voltage: bool
    """Below 4.63 V now; cards get damaged by that."""
    throttled: bool
    """Slower now than it could be, for whatever reason."""
    under_voltage_before: bool | None
    """Whether it was since the boot; None where only the present is told."""
    throttled_before: bool | None


@dataclass(frozen=True, slots=True)
class Flash:
    """The device that holds the data directory."""

    name: str
    kind: Literal["eMMC", "SD card", "disk"]
    size_bytes: int | None
    written_bytes: int
    """Since the boot."""
    worn_percent: int | None
    """Of its life that is used, as it says itself, in tenths rounded up; an SD card doesn't say."""
    pre_eol: PreEol | None
    """How its spare blocks are: `warning` from 80 % used on."""

    @property
    def worn(self) -> bool:
        """Whether it should be replaced, by what it says itself."""
        return (self.worn_percent or 0) >= WORN_PERCENT or self.pre_eol in {"warning", "urgent"}

    def years(self, up_s: float) -> float | None:
        """Years that a device which bears `OVERWRITES` lasts at the rate since the boot; None before that says much."""
        if self.size_bytes is None or not self.written_bytes or up_s < ENOUGH_S:
            return None
        return self.size_bytes * OVERWRITES / (self.written_bytes / up_s) / (365 * 86_400)


@dataclass(frozen=True, slots=True)
class Hardware:
    """One look at the machine."""

    model: str | None
    power: Power | None
    temperature_c: float | None
    flash: Flash | None
    memory_bytes: int | None
    memory_free_bytes: int | None
    """What programs may still take."""
    load: float | None
    """Processes that ran or waited, over the last minute; by the number of cores, 1 is all that it can do."""
    cores: int
    up_s: float | None


def look(data_dir: Path, root: Path = ROOT) -> Hardware:
    """Look at the machine. Blocks for less than a millisecond."""
    memory = _memory(root)
    return Hardware(
        model=_text(root / "proc/device-tree/model"),
        power=_power(root),
        temperature_c=_temperature(root),
        flash=_flash(data_dir, root),
        memory_bytes=memory.get("MemTotal"),
        memory_free_bytes=memory.get("MemAvailable"),
        load=_first_number(root / "proc/loadavg"),
        cores=os.cpu_count() or 1,
        up_s=_first_number(root / "proc/uptime"),
    )


def _power(root: Path) -> Power | None:
    told = [_first_number(path) for path in root.glob("sys/class/hwmon/hwmon*/in0_lcrit_alarm")]
    alarms = [one for one in told if one is not None]
    alarm = any(alarms)
    for path in sorted(root.glob("sys/devices/platform/soc*/*firmware/get_throttled")):
        if (bits := _hex(_text(path))) is not None:
            before = bits >> _SINCE_BOOT
            slowed = _CAPPED | _THROTTLED | _TOO_HOT
            return Power(
                under_voltage=alarm or bool(bits & _UNDER_VOLTAGE),
                throttled=bool(bits & slowed),
                under_voltage_before=bool(before & _UNDER_VOLTAGE),
                throttled_before=bool(before & slowed),
            )
    return Power(alarm, throttled=False, under_voltage_before=None, throttled_before=None) if alarms else None


def _temperature(root: Path) -> float | None:
    zones = [_first_number(path) for path in root.glob("sys/class/thermal/thermal_zone*/temp")]
    told = [zone / 1000 for zone in zones if zone is not None]
    return max(told) if told else None


def _flash(data_dir: Path, root: Path) -> Flash | None:
    device = _device(data_dir, root)
    if device is None:
        return None
    numbers = (_text(device / "stat") or "").split()
    if len(numbers) < 7 or not numbers[6].isdecimal():
        return None
    size = _first_number(device / "size")
    of_mmc = _text(device / "device/type")
    life = [used for word in (_text(device / "device/life_time") or "").split() if (used := _hex(word))]
    return Flash(
        name=device.name,
        kind="eMMC" if of_mmc == "MMC" else "SD card" if of_mmc == "SD" else "disk",
        size_bytes=None if size is None else int(size) * SECTOR_BYTES,
        written_bytes=int(numbers[6]) * SECTOR_BYTES,
        worn_percent=min(max(life) * 10, 110) if life else None,
        pre_eol=_PRE_EOL.get(_hex(_text(device / "device/pre_eol_info")) or 0),
    )


def _device(data_dir: Path, root: Path) -> Path | None:
    """The whole device that holds the data directory; where that is not told, the only one that there is."""
    try:
        number = data_dir.stat().st_dev
        place = (root / f"sys/dev/block/{os.major(number)}:{os.minor(number)}").resolve(strict=True)
        return place.parent if (place / "partition").exists() else place
    except OSError:
        found = [one for kind in ("mmcblk*", "nvme*", "sd*", "vd*") for one in root.glob(f"sys/block/{kind}")]
        real = [one for one in found if "boot" not in one.name and "rpmb" not in one.name]
        return real[0] if len(real) == 1 else None


def _memory(root: Path) -> dict[str, int]:
    lines = (line.split() for line in (_text(root / "proc/meminfo") or "").splitlines())
    return {words[0].rstrip(":"): int(words[1]) * 1024 for words in lines if len(words) > 1 and words[1].isdecimal()}


def _first_number(path: Path) -> float | None:
    try:
        return float((_text(path) or "").split()[0])
    except (ValueError, IndexError):
        return None


def _hex(text: str | None) -> int | None:
    try:
        return int(text or "", 16)
    except ValueError:
        return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(errors="replace").strip().strip("\0")
    except OSError:
        return None
