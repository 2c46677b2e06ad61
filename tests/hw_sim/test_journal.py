"""The journal: what tests take for the truth must itself be true, kills included."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.bodies import PouredBody, StatedBody
from hw_sim.journal import Journal, Recorder, expected_ids, read_journal
from hw_sim.ring import Ring

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=3000, duration_ms=750, pick_id="p1")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def open_recorder(path: Path, capacity: int = 32) -> Recorder:
    ring = Ring.open(path.with_name("a.ring"), capacity, lambda: 0xABC)
    return Recorder("bar-1", ring, Journal(path))


def test_an_event_is_written_with_names(path: Path) -> None:
    open_recorder(path).record(9, POUR, 1234)
    assert list(read_journal(path)) == [
        {
            "dispenser": "bar-1",
            "event": 1,
            "generation": 0xABC,
            "boot": 1,
            "uptime_ms": 1234,
            "session": 9,
            "kind": "poured",
            "body": {
                "nozzle": 1,
                "sauce": "table-red",
                "volume_ul": 3000,
                "duration_ms": 750,
                "pick_id": "p1",
                "confirmed": False,
            },
        }
    ]


def test_a_claim_is_written_with_its_session(path: Path) -> None:
    recorder = open_recorder(path)
    recorder.note("claim", "loyal-1", 9, 77)
    [line] = read_journal(path)
    assert line == {"dispenser": "bar-1", "claim": "loyal-1", "generation": 0xABC, "session": 9, "uptime_ms": 77}


def test_what_was_dropped_is_not_expected(path: Path) -> None:
    recorder = open_recorder(path)
    for number in range(35):
        recorder.record(1, StatedBody(shu=number), 0)
    assert [line["dropped"] for line in read_journal(path) if "dropped" in line] == [[1, 2], [3, 4]]
    assert expected_ids(path) == {f"bar-1:00000abc:{sequence}" for sequence in range(5, 36)}


def test_renumbered_events_are_expected_once(path: Path) -> None:
    recorder = open_recorder(path)
    for number in range(5):
        recorder.record(1, StatedBody(shu=number), 0)
    recorder.ring.free(2)
    recorder.renew(0xDEF)
    recorder.record(1, StatedBody(shu=5), 0)
    old = {f"bar-1:00000abc:{sequence}" for sequence in (1, 2)}
    assert expected_ids(path) == old | {f"bar-1:00000def:{sequence}" for sequence in (1, 2, 3, 4)}
    said = [line["body"]["shu"] for line in read_journal(path) if line.get("event") and line["generation"] == 0xDEF]
    assert said == [2, 3, 4, 5]


def test_what_a_kill_kept_out_of_the_journal_is_written_at_the_next_start(path: Path) -> None:
    recorder = open_recorder(path)
    for number in range(4):
        recorder.record(1, StatedBody(shu=number), 0)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:2]) + lines[2][:10])
    again = open_recorder(path)
    last = Journal(path).last_sequences()
    assert last == {("bar-1", 0xABC): 2}
    again.catch_up(last["bar-1", 0xABC])
    assert expected_ids(path) == {f"bar-1:00000abc:{sequence}" for sequence in (1, 2, 3, 4)}
    assert [line["body"]["shu"] for line in read_journal(path)] == [0, 1, 2, 3]


def test_a_line_that_is_being_written_is_left_out(path: Path) -> None:
    open_recorder(path).record(1, POUR, 0)
    with path.open("ab") as file:
        file.write(b'{"dispenser"')
    assert len(list(read_journal(path))) == 1
