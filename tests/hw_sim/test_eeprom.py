"""The EEPROM: what it keeps, and that a change is there wholly or not at all, whenever the power fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from heat.errors import ConfigError
from hw_sim.eeprom import (
    BANK_BYTES,
    COMMANDS_KEPT,
    DEFAULT_PULSES_PER_ML,
    RESULT_BYTES,
    Calibration,
    Contents,
    Eeprom,
    read_contents,
)
from hw_sim.power import PowerCut
from tests.waiting import wait_until

KEY, OTHER_KEY = bytes(range(32)), bytes(range(32, 64))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "bar-1.eeprom"


def test_a_factory_new_one_has_no_key(path: Path) -> None:
    eeprom = Eeprom.open(path)
    assert eeprom.contents == Contents()
    assert (eeprom.contents.key, eeprom.writes, eeprom.worn) == (None, 0, False)
    assert eeprom.pulses_per_ml(3) == DEFAULT_PULSES_PER_ML
    assert path.stat().st_size == 2 * BANK_BYTES
    assert path.stat().st_mode & 0o077 == 0


def test_the_factory_s_contents_are_for_a_new_chip_alone(path: Path) -> None:
    Eeprom.open(path, Contents(key=KEY)).update(pending_key=OTHER_KEY, planogram={2: "table-red"}, locked=True)
    again = Eeprom.open(path, Contents(key=OTHER_KEY))
    assert again.contents == Contents(key=KEY, pending_key=OTHER_KEY, planogram={2: "table-red"}, locked=True)
    assert again.writes == 1
    assert read_contents(path) == again.contents


def test_writes_are_counted_and_no_change_is_none(path: Path) -> None:
    eeprom = Eeprom.open(path)
    eeprom.update(locked=True)
    eeprom.update(locked=True)
    eeprom.update(locked=False)
    assert (eeprom.writes, Eeprom.open(path).writes) == (2, 2)


def test_a_calibration_can_be_undone_once(path: Path) -> None:
    eeprom = Eeprom.open(path)
    eeprom.calibrate(1, 98.5)
    eeprom.calibrate(1, 97.0)
    assert eeprom.contents.calibration == {1: Calibration(97.0, before=98.5)}
    assert (eeprom.undo_calibration(1), eeprom.pulses_per_ml(1)) == (True, 98.5)
    assert (eeprom.undo_calibration(1), eeprom.undo_calibration(2)) == (False, False)
    assert Eeprom.open(path).pulses_per_ml(1) == 98.5


def test_a_command_is_started_then_done_with_its_effect(path: Path) -> None:
    eeprom = Eeprom.open(path)
    eeprom.start_command(b"c1", "lock")
    started = Eeprom.open(path).command(b"c1")
    assert started is not None
    assert (started.verb, started.done, started.result) == ("lock", False, b"")
    eeprom.finish_command(b"c1", b"\xa0", locked=True)
    again = Eeprom.open(path)
    done = again.command(b"c1")
    assert done is not None
    assert (done.done, done.result, again.contents.locked, again.writes) == (True, b"\xa0", True, 2)
    with pytest.raises(ValueError, match="was started before"):
        eeprom.start_command(b"c1", "lock")
    with pytest.raises(KeyError):
        eeprom.finish_command(b"c2", b"")


def test_the_oldest_command_makes_way(path: Path) -> None:
    eeprom = Eeprom.open(path)
    for number in range(COMMANDS_KEPT + 3):
        eeprom.start_command(b"c%d" % number, "identify")
    assert [record.id for record in eeprom.contents.commands] == [b"c%d" % n for n in range(3, COMMANDS_KEPT + 3)]
    assert eeprom.command(b"c2") is None


def test_the_fullest_one_fits(path: Path) -> None:
    eeprom = Eeprom.open(path, Contents(key=KEY, pending_key=OTHER_KEY, locked=True))
    eeprom.update(
        planogram=dict.fromkeys(range(1, 13), "x" * 24),
        calibration={nozzle: Calibration(101.123456, 99.123456) for nozzle in range(1, 13)},
    )
    for number in range(COMMANDS_KEPT):
        command = number.to_bytes(16)
        eeprom.start_command(command, "v" * 24)
        eeprom.finish_command(command, bytes(RESULT_BYTES))
    assert Eeprom.open(path).contents == eeprom.contents


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"key": b"short"}, "key has 5 bytes"),
        ({"pending_key": b""}, "pending_key has 0 bytes"),
        ({"calibration": {1: Calibration(0.0)}}, "nozzle 1: 0.0 pulses"),
        ({"calibration": {1: Calibration(float("nan"))}}, "nozzle 1: nan pulses"),
        ({"planogram": dict.fromkeys(range(1000), "table-red")}, "don't fit into an EEPROM"),
    ],
)
def test_what_does_not_fit_changes_nothing(path: Path, changes: dict[str, object], told: str) -> None:
    eeprom = Eeprom.open(path, Contents(key=KEY))
    with pytest.raises(ValueError, match=told):
        eeprom.update(**changes)
    assert eeprom.contents == read_contents(path) == Contents(key=KEY)


def test_a_command_s_sizes_are_bounded(path: Path) -> None:
    eeprom = Eeprom.open(path)
    for command_id, verb in ((bytes(17), "lock"), (b"c1", "v" * 25)):
        with pytest.raises(ValueError, match="too long"):
            eeprom.start_command(command_id, verb)
    eeprom.start_command(b"c1", "lock")
    with pytest.raises(ValueError, match="too long"):
        eeprom.finish_command(b"c1", bytes(RESULT_BYTES + 1))


def test_keys_are_never_shown(path: Path) -> None:
    contents = Eeprom.open(path, Contents(key=KEY, pending_key=OTHER_KEY)).contents
    assert repr(contents).startswith("Contents(key='***', pending_key='***', ")
    assert "key=None" in repr(Contents())


def test_a_write_cut_at_any_byte_leaves_what_was_there(path: Path) -> None:
    eeprom = Eeprom.open(path, Contents(key=KEY))
    eeprom.update(locked=True)
    bank = len(path.read_bytes()[BANK_BYTES:].rstrip(b"\0"))
    assert bank > 40, "the banks are written in turn"
    for after_bytes in range(bank):
        eeprom.cut_next_write(after_bytes)
        with pytest.raises(PowerCut, match=f"{after_bytes} of {bank} bytes"):
            eeprom.update(key=OTHER_KEY)
        eeprom = Eeprom.open(path)
        assert eeprom.contents == Contents(key=KEY, locked=True)
    eeprom.update(key=OTHER_KEY)
    assert Eeprom.open(path).contents == Contents(key=OTHER_KEY, locked=True)


def test_a_write_that_was_through_when_the_power_failed_counts_at_the_next_start(path: Path) -> None:
    eeprom = Eeprom.open(path)
    eeprom.cut_next_write(BANK_BYTES)
    with pytest.raises(PowerCut):
        eeprom.update(locked=True)
    assert (eeprom.contents.locked, eeprom.writes) == (False, 0)
    eeprom.reboot()
    assert (eeprom.contents.locked, eeprom.writes) == (True, 1)


def test_another_file_is_refused(path: Path) -> None:
    for content in (b"", bytes(100), bytes(2 * BANK_BYTES), b"PICEEPR1" + b"\xff" * 8000):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="is not a dispenser's EEPROM"):
            Eeprom.open(path)


WRITER = """
import sys
from pathlib import Path
from hw_sim.eeprom import Calibration, Eeprom
eeprom = Eeprom.open(Path(sys.argv[1]))
number = eeprom.writes
while True:
    number += 1
    eeprom.update(calibration={1: Calibration(float(number))}, planogram={n: str(number) for n in range(1, 200)})
    print(number, flush=True)
"""


def test_survives_sigkill_at_any_moment(path: Path, tmp_path: Path) -> None:
    """What was written is there, whole: every part of it is of one write."""
    told = tmp_path / "told"
    for _ in range(3):
        with told.open("wb") as out:
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=out, env=os.environ | _PATH)
        wait_until(lambda: told.read_bytes().count(b"\n") > 100, 20, "the writer writes")
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        last_told = int(told.read_bytes().split(b"\n")[-2])
        eeprom = Eeprom.open(path)
        assert eeprom.writes in (last_told, last_told + 1)
        assert eeprom.pulses_per_ml(1) == eeprom.writes
        assert set(eeprom.contents.planogram.values()) == {str(eeprom.writes)}


_PATH = {"PYTHONPATH": str(Path(__file__).parents[2])}
