"""The unit file: systemd understands it, hardens it, and restarts a frozen daemon in time."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cloud.config import CloudSection
from gateway.config import GatewaySection
from tests.docs.test_docs import objection
from tests.flow.world import ROOT

MANUAL = ROOT / "docs" / "operations.md"
UNIT = ROOT / "deploy" / "systemd" / "picante-gateway.service"
CLOUD_UNIT = UNIT.with_name("picante-cloud.service")
both_units = pytest.mark.parametrize("path", [UNIT, CLOUD_UNIT], ids=["gateway", "cloud"])
MOST_EXPOSED = 2.0
"""By systemd's own measure, from 0 to 10."""
BACK_WITHIN_S = 45
"""s from a freeze to a daemon that is ready again, the check of its database aside."""
START_S = 8
"""s that are left to a start; on a quarter of a busy core it took 5.1 (`test_squeezed.py` prints it)."""


class _Unit(configparser.RawConfigParser):
    """A unit file; of settings that stand several times, the last."""

    def __init__(self) -> None:
        super().__init__(strict=False, delimiters="=", interpolation=None)

    def optionxform(self, optionstr: str) -> str:
        return optionstr


DRIVERS = {"char-ttyUSB": "usbserial", "char-ttyACM": "cdc_acm"}
"""Devices by what /proc/devices calls them, and the modules that enter them there."""


@pytest.fixture
def unit() -> configparser.RawConfigParser:
    """The file."""
    parsed = _Unit()
    parsed.read_string(UNIT.read_text())
    return parsed


@pytest.fixture
def service(unit: configparser.RawConfigParser) -> configparser.SectionProxy:
    """Its [Service]."""
    return unit["Service"]


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run systemd-analyze."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze: run scripts/test-setup")
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, timeout=60, check=False)


@both_units
def test_it_is_hardened(path: Path) -> None:
    done = analyze("security", "--offline=true", "--no-pager", str(path))
    assert done.returncode == 0, done.stderr
    found = re.search(r"Overall exposure level for picante-(?:gateway|cloud)\.service: ([\d.]+)", done.stdout)
    assert found is not None, done.stdout
    assert float(found[1]) <= MOST_EXPOSED, done.stdout
    assert done.stderr == "", "systemd says what it does not understand"


@both_units
def test_systemd_has_no_objection(tmp_path: Path, path: Path) -> None:
    here = tmp_path / path.name
    here.write_text(path.read_text().replace("ExecStart=/opt/picante/bin/picante", f"ExecStart={sys.executable}"))
    done = analyze("verify", "--man=no", str(here))
    assert (done.returncode, done.stderr) == (0, "")


def test_the_command_and_the_folder_are_those_of_the_cloud() -> None:
    parsed = _Unit()
    parsed.read_string(CLOUD_UNIT.read_text())
    program, *words = parsed["Service"]["ExecStart"].split()
    assert (program, objection(words)) == ("/opt/picante/bin/picante", None)
    assert CloudSection().data_dir == f"/var/lib/{parsed['Service']['StateDirectory']}"


def test_the_command_and_the_folder_are_those_of_the_gateway(service: configparser.SectionProxy) -> None:
    program, *words = service["ExecStart"].split()
    assert program.endswith("/bin/picante")
    assert objection(words) is None
    default = GatewaySection.model_fields["data_dir"].default
    assert f"/var/lib/{service['StateDirectory']}" == default


def test_serial_ports_may_come_after_the_start(unit: configparser.RawConfigParser) -> None:
    allowed = re.findall(r"^DeviceAllow=(\S+) rw$", UNIT.read_text(), re.MULTILINE)
    for name in ("Wants", "After"):
        loaded = set(unit["Unit"][name].split())
        assert [kind for kind in allowed if f"modprobe@{DRIVERS[kind]}.service" not in loaded] == []


def test_a_frozen_daemon_is_back_in_time(service: configparser.SectionProxy) -> None:
    assert service["Type"] == "notify"
    assert service["Restart"] == "always"
    waits = [int(service[name]) for name in ("WatchdogSec", "TimeoutAbortSec", "RestartSec")]
    assert sum(waits) + START_S <= BACK_WITHIN_S


@pytest.mark.parametrize(
    ("told", "names"),
    [
        (r"after any end but exit status (\d+), with a pause of (\d+) s", ("RestartPreventExitStatus", "RestartSec")),
        (r"No sign of progress for (\d+) s ends the daemon", ("WatchdogSec",)),
        (r"\| (\d+) MB of memory, (\d+) MB at the utmost", ("MemoryHigh", "MemoryMax")),
    ],
    ids=["restarts", "watches", "bounds"],
)
def test_it_is_what_the_manual_says(service: configparser.SectionProxy, told: str, names: tuple[str, ...]) -> None:
    found = re.search(told, MANUAL.read_text())
    assert found is not None, f"docs/operations.md no longer says {told}"
    assert tuple(service.get(name, "").removesuffix("M") for name in names) == found.groups()


def test_the_manual_puts_keys_where_the_unit_takes_them_from() -> None:
    manual = MANUAL.read_text()
    (installed,) = re.findall(r"install -m 600 (.+) /etc/picante/$", manual, re.MULTILINE)
    set_up = manual.partition("\n## On a Raspberry Pi\n")[2].partition("\n## ")[0]  # what a shop may add comes later
    named = re.findall(rf'"/run/credentials/{re.escape(UNIT.name)}/(\S+)"', set_up)
    credentials = re.findall(r"^LoadCredential=(\S+?):(\S+)$", UNIT.read_text(), re.MULTILINE)
    assert credentials == [(name, f"/etc/picante/{name}") for name in named]
    assert installed.split() == named
