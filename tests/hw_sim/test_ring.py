"""The ring on disk: what it keeps, what it drops, and what survives the end of its process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heat.errors import ConfigError
from hw_sim.ring import PAGES, Record, Ring, read_header
from tests.waiting import wait_until

CAPACITY = 32


def record(number: int) -> Record:
    return Record(boot=1, uptime_ms=number, session=2, kind=3, body=b"%d" % number)


@pytest.fixture
def open_ring(tmp_path: Path) -> Callable[[], Ring]:
    return lambda: Ring.open(tmp_path / "a.ring", CAPACITY, lambda: 77)


def numbers(ring: Ring) -> list[int]:
    return [int(held.body) for _, held in ring]


def test_a_new_ring_is_empty(open_ring: Callable[[], Ring]) -> None:
    header = open_ring().header
    assert (header.generation, header.lowest, header.next, header.boot, header.held) == (77, 1, 1, 1, 0)


def test_keeps_events_in_their_order(open_ring: Callable[[], Ring]) -> None:
    ring = open_ring()
    assert [ring.append(record(number)) for number in range(5)] == [1, 2, 3, 4, 5]
    assert list(ring) == [(sequence, record(sequence - 1)) for sequence in range(1, 6)]


def test_frees_by_ack_and_only_once(open_ring: Callable[[], Ring]) -> None:
    ring = open_ring()
    for number in range(5):
        ring.append(record(number))
    assert ring.free(3) == 3
    assert ring.free(3) == 0
    assert ring.free(2) == 0
    assert numbers(ring) == [3, 4]
    assert ring.free(99) == 2
    assert (ring.header.lowest, ring.header.next, ring.header.acked) == (6, 6, 5)
    with pytest.raises(KeyError):
        ring.get(5)


def test_a_full_ring_drops_its_oldest_page_and_counts_it(open_ring: Callable[[], Ring]) -> None:
    ring = open_ring()
    for number in range(CAPACITY):
        ring.append(record(number))
    assert ring.full
    assert ring.header.dropped == 0
    ring.append(record(CAPACITY))
    page = CAPACITY // PAGES
    assert ring.header.dropped == page
    assert numbers(ring) == list(range(page, CAPACITY + 1))


def test_goes_round_for_ever(open_ring: Callable[[], Ring]) -> None:
    ring = open_ring()
    for number in range(10 * CAPACITY):
        ring.append(record(number))
        ring.free(number - 4)
    assert numbers(ring) == list(range(10 * CAPACITY - 5, 10 * CAPACITY))
    assert ring.header.dropped == 0


def test_a_new_generation_renumbers_what_is_held(open_ring: Callable[[], Ring]) -> None:
    ring = open_ring()
    for number in range(CAPACITY + 10):
        ring.append(record(number))
        ring.free(number - 20)
    before = numbers(ring)
    ring.renew(78)
    assert [sequence for sequence, _ in ring] == list(range(1, len(before) + 1))
    assert numbers(ring) == before
    ring.append(record(1000))
    ring.close()
    again = open_ring()
    assert again.header.generation == 78
    assert numbers(again) == [*before, 1000]
    assert again.header.generated == again.header.acked + again.header.held


def test_opening_again_counts_a_boot_and_keeps_all(open_ring: Callable[[], Ring]) -> None:
    ring = open_ring()
    for number in range(5):
        ring.append(record(number))
    ring.free(2)
    assert [ring.new_session() for _ in range(3)] == [1, 2, 3]
    ring.close()
    again = open_ring()
    assert again.header.boot == 2
    assert numbers(again) == [2, 3, 4]
    assert again.append(record(5)) == 6
    assert again.new_session() == 4


def test_another_capacity_is_refused(tmp_path: Path, open_ring: Callable[[], Ring]) -> None:
    open_ring().close()
    with pytest.raises(ConfigError, match="has 32 slots, not 64"):
        Ring.open(tmp_path / "a.ring", 64, lambda: 1)


def test_another_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.ring").write_bytes(bytes(10_000))
    with pytest.raises(ConfigError, match="not a dispenser's ring"):
        read_header(tmp_path / "a.ring")


def test_an_event_that_was_cut_off_while_it_was_written_never_was(
    open_ring: Callable[[], Ring], monkeypatch: pytest.MonkeyPatch
) -> None:
    ring = open_ring()
    ring.append(record(0))

    def power_cut(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ring, "_write", power_cut)
    with pytest.raises(KeyboardInterrupt):
        ring.append(record(1))
    ring.close()
    again = open_ring()
    assert numbers(again) == [0]
    assert again.append(record(1)) == 2


def test_a_body_that_fits_no_slot_is_refused(open_ring: Callable[[], Ring]) -> None:
    with pytest.raises(ValueError, match="does not fit"):
        open_ring().append(Record(1, 1, 1, 1, bytes(250)))


@pytest.mark.parametrize("copy", [0, 1])
def test_a_torn_header_copy_falls_back_to_the_other(tmp_path: Path, open_ring: Callable[[], Ring], copy: int) -> None:
    ring = open_ring()
    ring.append(record(0))
    ring.append(record(1))
    newest = ring.header
    ring.close()
    with (tmp_path / "a.ring").open("r+b") as file:
        file.seek(copy * 128 + 30)
        file.write(b"\xaa\xaa")
    header = read_header(tmp_path / "a.ring")
    assert newest.next - header.next in (0, 1)


def test_a_reader_never_sees_half_a_header(tmp_path: Path, open_ring: Callable[[], Ring]) -> None:
    ring = open_ring()
    done = threading.Event()

    def write() -> None:
        for number in range(20_000):
            ring.append(record(number))
            ring.free(number)
        done.set()

    writer = threading.Thread(target=write)
    writer.start()
    last, looks = 0, 0
    while not done.is_set():
        header = read_header(tmp_path / "a.ring")
        assert header.generated == header.next - 1 >= last
        assert header.generated - header.acked == header.held <= 3
        last, looks = header.generated, looks + 1
    writer.join()
    assert looks > 10


WRITER = """
import sys
from pathlib import Path
from hw_sim.ring import Record, Ring
ring = Ring.open(Path(sys.argv[1]), 64, lambda: 5)
number = ring.header.generated
while True:
    ring.append(Record(ring.header.boot, number, 1, 1, b"%d" % number))
    if number % 3 == 0:
        ring.free(number - 30)
    number += 1
    print(number, flush=True)
"""


def test_survives_sigkill_at_any_moment(tmp_path: Path) -> None:
    """Nothing that was appended is lost, and its number is not given out twice."""
    path = tmp_path / "a.ring"
    told = tmp_path / "told"
    for boot in (1, 3, 5, 7, 9):  # each writer's, and then our own look inside
        with told.open("wb") as out:
            writer = subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=out, env=os.environ | _PATH)
        before = read_header(path).generated if path.exists() else 0
        wait_until(lambda: path.exists() and read_header(path).generated > before + 500, 20, "the writer writes")  # noqa: B023
        writer.send_signal(signal.SIGKILL)
        writer.wait()
        header = read_header(path)
        last_told = int(told.read_bytes().split(b"\n")[-2])
        assert header.boot == boot
        assert header.generated >= last_told
        ring = Ring.open(path, 64, lambda: 5)
        assert [int(held.body) for _, held in ring] == [sequence - 1 for sequence, _ in ring]
        assert ring.header.generated == ring.header.acked + ring.header.dropped + ring.header.held
        ring.close()


_PATH = {"PYTHONPATH": str(Path(__file__).parents[2])}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.sampled_from("arRo"), st.integers(0, 60)), max_size=40))
def test_behaves_like_a_list(tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]) -> None:
    """Against a model: what is held, its numbers, and the counts."""
    path = tmp_path_factory.mktemp("ring") / "a.ring"
    ring = Ring.open(path, CAPACITY, lambda: 1)
    held: list[int] = []
    lowest, made, dropped, acked = 1, 0, 0, 0
    for step, amount in steps:
        if step == "a":
            for _ in range(amount):
                if len(held) == CAPACITY:
                    held, lowest, dropped = held[2:], lowest + 2, dropped + 2
                held.append(made)
                ring.append(record(made))
                made += 1
        elif step == "r":
            count = max(min(amount, len(held)), 0)
            ring.free(lowest - 1 + amount)
            held, lowest, acked = held[count:], lowest + count, acked + count
        elif step == "R":
            ring.renew(amount)
            lowest = 1
        else:
            ring.close()
            ring = Ring.open(path, CAPACITY, lambda: 1)
        assert numbers(ring) == held
        assert [sequence for sequence, _ in ring] == list(range(lowest, lowest + len(held)))
        assert (ring.header.generated, ring.header.dropped, ring.header.acked) == (made, dropped, acked)
    ring.close()
