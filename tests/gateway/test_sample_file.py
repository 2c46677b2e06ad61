"""The samples' file: what it keeps, for how long, in how many bytes, and how it gives way."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway import sample_file
from gateway.aggregates import HOUR_MS, MINUTE_MS, Aggregate, Sensor, Sums, decode, encode
from gateway.clock import DAY_MS
from gateway.sample_file import MinuteRow, RawRow, SampleFile
from gateway.sample_room import Moment

MIB = 1024 * 1024
LEVEL = Sensor(2, 1)
OFFSET_MS = 1_790_000_000_000 // HOUR_MS * HOUR_MS
"""What makes wall time of the uptime, so that hours begin at whole hours of both."""


def level(ml: int, n: int = 60) -> Sums:
    return {LEVEL: Aggregate(n, n * ml, ml - 2, ml + 3, ml)}


def raw(at_ms: int, size: int = 100) -> RawRow:
    return RawRow("bar-1", at_ms, 1_000, bytes(size))


def minute(at_ms: int, ml: int = 500, dispenser: str = "bar-1") -> MinuteRow:
    return MinuteRow(dispenser, at_ms, 60_000, level(ml))


def minutes_of(file: SampleFile, dispenser: str = "bar-1") -> list[MinuteRow]:
    return file.minutes(dispenser, 0, 2**53, 10_000)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "samples.db"


@pytest.fixture
def file(path: Path) -> Iterator[SampleFile]:
    opened = SampleFile(path, 8 * MIB, "boot-a")
    yield opened
    opened.close()


def test_a_minute_comes_back_as_it_was() -> None:
    sums = {Sensor(1, 3): Aggregate(60, 0, 0, 0, 0), Sensor(3, 0): Aggregate(60, -1200, -21, -19, -20), **level(5)}
    assert decode(encode(sums)) == sums
    assert len(encode({Sensor(1, 3): Aggregate(60, 0, 0, 0, 0)})) == 6, "what did not change takes next to nothing"


def test_nothing_is_made_before_there_is_something_to_keep(file: SampleFile, path: Path) -> None:
    file.write([], [], Moment(1_000, OFFSET_MS))
    assert minutes_of(file) == []
    assert not path.exists()


def test_rows_are_dated_by_their_boot_and_move_when_the_clock_is_set(path: Path) -> None:
    file = SampleFile(path, 8 * MIB, "boot-a")
    file.write([], [minute(MINUTE_MS)], Moment(2 * MINUTE_MS, None))
    assert minutes_of(file) == [], "nobody knows when that was"
    file.write([], [minute(2 * MINUTE_MS)], Moment(3 * MINUTE_MS, OFFSET_MS))
    assert [row.at_ms for row in minutes_of(file)] == [OFFSET_MS + MINUTE_MS, OFFSET_MS + 2 * MINUTE_MS]
    file.write([], [], Moment(3 * MINUTE_MS, OFFSET_MS + 7))
    assert minutes_of(file)[0].at_ms == OFFSET_MS + 7 + MINUTE_MS
    file.close()
    after = SampleFile(path, 8 * MIB, "boot-b")
    after.write([], [minute(0, 1)], Moment(MINUTE_MS, OFFSET_MS + HOUR_MS))
    assert [row.at_ms - OFFSET_MS for row in minutes_of(after)] == [7 + MINUTE_MS, 7 + 2 * MINUTE_MS, HOUR_MS]
    after.close()


def test_a_boot_that_never_knew_the_time_leaves_nothing(path: Path) -> None:
    file = SampleFile(path, 8 * MIB, "boot-a")
    file.write([raw(1)], [minute(0)], Moment(MINUTE_MS, None))
    file.close()
    after = SampleFile(path, 8 * MIB, "boot-b")
    after.write([], [minute(0)], Moment(MINUTE_MS, OFFSET_MS))
    assert len(minutes_of(after)) == 1
    after.close()


def test_samples_are_kept_for_an_hour_and_minutes_for_a_month(file: SampleFile) -> None:
    file.write([raw(0)], [minute(0)], Moment(0, OFFSET_MS))
    for now_ms in (HOUR_MS + 1, 30 * DAY_MS + 1):
        assert len(minutes_of(file)) == (1 if now_ms == HOUR_MS + 1 else 2)
        file.write([raw(now_ms)], [minute(now_ms)], Moment(now_ms, OFFSET_MS))
        assert [row.at_ms for row in file.raws("bar-1", 0, 2**53, 10)] == [OFFSET_MS + now_ms]
    assert [row.at_ms for row in minutes_of(file)] == [OFFSET_MS + HOUR_MS + 1, OFFSET_MS + 30 * DAY_MS + 1]


def test_however_many_came_all_that_are_too_old_go(file: SampleFile) -> None:
    file.write([raw(number) for number in range(9_000)], [minute(0)], Moment(0, OFFSET_MS))
    file.write([], [minute(2 * HOUR_MS)], Moment(2 * HOUR_MS, OFFSET_MS))
    assert file.raws("bar-1", 0, 2**53, 10) == []
    assert len(minutes_of(file)) == 2


def test_samples_take_nothing_from_the_month_of_minutes_and_keep_a_share(path: Path) -> None:
    file = SampleFile(path, 4 * MIB, "boot-a")
    for turn in range(100):  # in each of these minutes, an eighth of the budget in SAMPLEs
        at_ms = turn * MINUTE_MS
        file.write([raw(at_ms + n, 2_000) for n in range(250)], [minute(at_ms)], Moment(at_ms, OFFSET_MS))
    assert len(minutes_of(file)) == 100
    sums = {Sensor(c, n): Aggregate(60, 999, 1, 99, 9) for c in (1, 2) for n in range(9)}
    for turn in range(30):  # and now more minutes than the budget holds
        many = [MinuteRow("bar-2", 500 * turn + n, MINUTE_MS, sums) for n in range(500)]
        file.write([], many, Moment(120 * MINUTE_MS, OFFSET_MS))
    assert 200 < len(file.raws("bar-1", 0, 2**53, 100_000)) < 1_000
    assert len(minutes_of(file, "bar-2")) > 9_000
    assert (file.dropped, file.begun_anew) == (0, 0)
    file.close()


def test_the_wal_is_part_of_the_budget(path: Path) -> None:
    file = SampleFile(path, 4 * MIB, "boot-a")
    for turn in range(40):
        at_ms = turn * MINUTE_MS
        file.write([raw(at_ms + n, 2_000) for n in range(200)], [minute(at_ms)], Moment(at_ms, OFFSET_MS))
        assert file.size_bytes() <= 4.1 * MIB, "its index of 32 KiB aside"
    file.close()


def test_the_budget_is_kept_and_the_oldest_go(path: Path) -> None:
    file = SampleFile(path, 4 * MIB, "boot-a")
    for turn in range(40):
        at_ms = turn * MINUTE_MS
        file.write([raw(at_ms + number, 2_000) for number in range(200)], [minute(at_ms)], Moment(at_ms, OFFSET_MS))
        assert path.stat().st_size <= 4 * MIB
    kept = file.raws("bar-1", 0, 2**53, 100_000)
    assert 500 < len(kept) < 8_000
    assert kept[-1].at_ms == OFFSET_MS + 39 * MINUTE_MS + 199
    assert file.begun_anew == 0
    file.close()


def test_a_smaller_budget_makes_a_smaller_file(path: Path) -> None:
    file = SampleFile(path, 16 * MIB, "boot-a")
    file.write([raw(number, 2_000) for number in range(5_000)], [], Moment(0, OFFSET_MS))
    file.close()
    assert path.stat().st_size > 8 * MIB
    file = SampleFile(path, 4 * MIB, "boot-a")
    for turn in range(20):
        file.write([raw(5_000 + turn)], [], Moment(0, OFFSET_MS))
    file.close()
    assert path.stat().st_size < 5 * MIB


@pytest.mark.parametrize("damage", ["overwritten", "cut", "foreign", "body"])
def test_a_damaged_file_is_begun_anew(path: Path, damage: str) -> None:
    file = SampleFile(path, 8 * MIB, "boot-a")
    file.write([raw(n, 900) for n in range(500)], [minute(n * MINUTE_MS) for n in range(500)], Moment(1, OFFSET_MS))
    if damage == "body":
        file._open().execute("UPDATE minutes SET body = x'00ff' WHERE id = 7")
    file.close()
    content = path.read_bytes()
    if damage == "overwritten":
        path.write_bytes(content[:100] + bytes(len(content) - 100))
    elif damage == "cut":
        path.write_bytes(content[: len(content) // 2 + 77])
    elif damage == "foreign":
        path.write_bytes(b"not a database at all" * 1_000)
    file = SampleFile(path, 8 * MIB, "boot-a")
    assert minutes_of(file) == []
    file.write([], [minute(0)], Moment(MINUTE_MS, OFFSET_MS))
    assert (file.begun_anew, file.held) == (1, None)
    assert len(minutes_of(file)) == 1
    file.close()


def test_a_disk_with_little_room_gets_all_of_it_back(
    file: SampleFile, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write([raw(1)], [minute(0)], Moment(1, OFFSET_MS))
    assert path.exists()
    usage = shutil.disk_usage(path.parent)
    monkeypatch.setattr(sample_file, "DISK_ROOM_BYTES", usage.free + 1024 * MIB)
    file.write([raw(2)], [minute(MINUTE_MS)], Moment(2, OFFSET_MS))
    assert (file.held, file.dropped) == ("disk", 2)
    assert list(path.parent.glob("samples.db*")) == []
    monkeypatch.undo()
    file.write([raw(3)], [], Moment(3, OFFSET_MS))
    assert file.held is None
    assert len(file.raws("bar-1", 0, 2**53, 10)) == 1


def test_what_comes_while_another_program_locks_the_file_waits_and_nothing_goes(
    file: SampleFile, path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(sample_file, "LOCK_S", 0.01)
    monkeypatch.setattr(sample_file, "MAX_WAITING", 3)
    file.write([raw(n) for n in range(64)], [minute(n * MINUTE_MS) for n in range(64)], Moment(1, OFFSET_MS))
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    for turn in range(5):
        file.write([raw(100 + turn)], [minute((64 + turn) * MINUTE_MS)], Moment(2, OFFSET_MS))
    assert (file.held, file.dropped, len(caplog.records)) == ("locked", 4, 1)
    other.execute("COMMIT")
    other.close()
    file.write([], [], Moment(3, OFFSET_MS))
    assert (file.held, len(minutes_of(file)), len(file.raws("bar-1", 0, 2**53, 100))) == (None, 67, 67)
    assert file.begun_anew == 0


def test_a_directory_that_is_gone_is_told_and_written_to_when_it_is_back(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    file = SampleFile(home / "samples.db", 8 * MIB, "boot-a")
    file.write([raw(1)], [], Moment(1, OFFSET_MS))
    shutil.rmtree(home)
    file.write([raw(2)], [], Moment(2, OFFSET_MS))
    assert (file.held, file.dropped) == ("gone", 1)
    home.mkdir()
    file.write([raw(3)], [], Moment(3, OFFSET_MS))
    assert (file.held, len(file.raws("bar-1", 0, 2**53, 10))) == (None, 1)
    file.close()


def test_a_minute_in_two_rows_is_one(file: SampleFile) -> None:
    file.write([], [minute(0), MinuteRow("bar-1", MINUTE_MS, 20_000, level(500, 20))], Moment(80_000, OFFSET_MS))
    file.write([], [MinuteRow("bar-1", MINUTE_MS, 30_000, level(400, 30)), minute(2 * MINUTE_MS)], Moment(0, OFFSET_MS))
    assert [(row.at_ms - OFFSET_MS, row.covered_ms) for row in minutes_of(file)] == [
        (0, 60_000),
        (MINUTE_MS, 50_000),
        (2 * MINUTE_MS, 60_000),
    ]
    assert minutes_of(file)[1].sums == {LEVEL: Aggregate(50, 22_000, 398, 503, 400)}
    assert file.minutes("bar-1", OFFSET_MS + MINUTE_MS, OFFSET_MS + 2 * MINUTE_MS, 9) == list(file.recent(9))[1:2]


def test_a_file_of_before_meters_were_kept_goes_on(file: SampleFile) -> None:
    file.write([], [minute(0)], Moment(MINUTE_MS, OFFSET_MS))
    file._open().execute("DROP TABLE meters")
    file.close()
    assert file.keep_meters({("bar-1", 1): 87.5})
    assert file.keep_meters({("bar-1", 2): 91.25})
    assert (file.meters(), len(minutes_of(file)), file.begun_anew) == ({("bar-1", 2): 91.25}, 1, 0)


def test_an_hour_is_the_sum_of_its_minutes(file: SampleFile) -> None:
    rows = [minute(HOUR_MS - MINUTE_MS, 900), *(minute(HOUR_MS + n * MINUTE_MS, 500 - n) for n in range(60))]
    file.write([], [*rows, minute(HOUR_MS, 10, "bar-2")], Moment(2 * HOUR_MS, OFFSET_MS))
    hour = file.hour(OFFSET_MS // HOUR_MS + 1)
    assert hour["bar-1"] == {LEVEL: Aggregate(3600, 60 * sum(range(441, 501)), 439, 503, 441)}
    assert hour["bar-2"][LEVEL].n == 60
    assert file.first_hour() == OFFSET_MS // HOUR_MS
