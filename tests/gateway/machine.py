"""Machines as the kernel's documentation describes their files: what `gateway.hardware` and the daemon read."""

from __future__ import annotations

from pathlib import Path

THROTTLED = "sys/devices/platform/soc/soc:firmware/get_throttled"


def write_files(root: Path, files: dict[str, str]) -> Path:
    """Files below a root; the root."""
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text + "\n")
    return root


def raspberry_pi(root: Path) -> Path:
    """A Raspberry Pi 4 with an SD card, well supplied, up for a day in which 2 GiB were written."""
    return write_files(
        root,
        {
            "proc/device-tree/model": "Raspberry Pi 4 Model B Rev 1.4\0",
            "proc/meminfo": "MemTotal:        1917356 kB\nMemFree:          512000 kB\nMemAvailable:    1400000 kB",
            "proc/loadavg": "0.42 0.30 0.25 1/150 1234",
            "proc/uptime": "86400.00 300000.00",
            THROTTLED: "0",
            "sys/class/hwmon/hwmon1/name": "rpi_volt",
            "sys/class/hwmon/hwmon1/in0_lcrit_alarm": "0",
            "sys/class/thermal/thermal_zone0/temp": "48312",
            "sys/block/mmcblk0/stat": "1 0 8 0 900 0 4194304 0 0 0 0",
            "sys/block/mmcblk0/size": "62333952",
            "sys/block/mmcblk0/device/type": "SD",
        },
    )


def compute_module(root: Path) -> Path:
    """A Compute Module 4, whose eMMC tells how worn it is."""
    raspberry_pi(root)
    return write_files(
        root,
        {
            "sys/block/mmcblk0/device/type": "MMC",
            "sys/block/mmcblk0/device/life_time": "0x02 0x03",
            "sys/block/mmcblk0/device/pre_eol_info": "0x01",
            "sys/block/mmcblk0boot0/stat": "0 0 0 0 0 0 0 0 0 0 0",
        },
    )
