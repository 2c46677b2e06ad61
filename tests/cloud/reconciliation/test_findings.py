"""Each kind of disagreement is seen, and named with its hour and source; where all agree, nothing is."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cloud.reconciliation.findings import LOOK, Books, reconcile
from cloud.reconciliation.ledger import HOUR_MS, Cell
from cloud.reconciliation.sums import Line, sums
from cloud_sync.envelope import encode
from cloud_sync.topics import DEAD_LETTERS, EVENTS, REPLAYED
from tests.cloud.reconciliation.books import HOUR, HOURS, PARTITIONS, Shops, by_pipeline, said, sent_by, shops
from tests.cloud_sync.examples import stored


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Shops:
    return shops(tmp_path_factory.mktemp("states"))


@pytest.fixture
def world(built: Shops) -> Shops:
    """A copy that a test may spoil."""
    return copy.deepcopy(built)


def found(world: Shops, books: Books | None = None) -> list[tuple[int, str, str, int]]:
    report = reconcile(world.topics.ledger(), books or world.books(), HOURS)
    assert report.waiting == []
    assert all(LOOK[one.kind] and one.what for one in report.findings)
    return said(report.findings)


def test_where_all_agree_nothing_is_found_and_the_sums_are_equal(world: Shops) -> None:
    assert found(world) == []
    lines = sums(world.topics.ledger(), world.books(), HOURS)
    # 120 minutes: 4 refusals at the door are letters, and 2 events too old for the pipeline
    assert lines == [
        Line(name, outbox=120, events=116, samples=0, letters=6, folded=116, lake=122) for name in ("gw-1", "gw-2")
    ]


def test_a_row_that_kafka_lost(world: Shops) -> None:
    lost = [record for record in world.topics.all() if sent_by(record, "gw-2")][60]
    hour = lost.timestamp_ms // HOUR_MS - HOUR
    before = world.books()
    world.topics.remove(lost)
    kinds = [(each[0], each[1], each[2], each[3]) for each in found(world, before) if each[2] == "rows_missing"]
    assert kinds == [(hour, "gw-2", "rows_missing", 1)]


def test_the_last_rows_that_kafka_lost(world: Shops) -> None:
    """Nothing comes after them; the gateway's heartbeat says that there should be."""
    end_ms = (HOUR + 2) * HOUR_MS
    for record in world.topics.all() + world.topics.all(DEAD_LETTERS.name):
        if record.timestamp_ms >= end_ms - 10 * 60_000 and sent_by(record, "gw-1"):
            world.topics.remove(record)
    one, two = world.books().fleet
    told = msgspec.structs.replace(one.heartbeat, confirmed=120, sent_ms=end_ms - 60_000)
    books = replace(world.books(), fleet=[replace(one, heartbeat=told), two], folded={}, lake=None)
    report = reconcile(world.topics.ledger(), books, HOURS)
    [tail] = [finding for finding in report.findings if finding.source == "gw-1"]
    assert (tail.hour, tail.kind, tail.what) == (
        HOUR + 1, "rows_missing", "10 rows of the outbox (positions 111 to 120) not in Kafka",
    )  # fmt: skip


def test_a_gateway_that_sent_and_of_which_nothing_is_there(world: Shops) -> None:
    one, _ = world.books().fleet
    told = msgspec.structs.replace(one.heartbeat, gateway="gw-3", sent_ms=(HOUR + 1) * HOUR_MS + 5)
    books = replace(world.books(), fleet=[*world.books().fleet, replace(one, heartbeat=told)])
    assert found(world, books) == [(1, "gw-3", "rows_missing", 150)]
    quiet = msgspec.structs.replace(told, sent_ms=(HOUR - 5) * HOUR_MS)
    assert found(world, replace(books, fleet=[replace(one, heartbeat=quiet)])) == []


def test_a_row_that_is_there_twice_unless_it_says_so(world: Shops, tmp_path: Path) -> None:
    gateway = world.gateways[0]
    time_ms = (HOUR + 1) * HOUR_MS + 59 * 60_000
    gateway.position, after = 100, gateway.position
    gateway.send(time_ms, again=True)
    gateway.position = after
    world.fold(tmp_path / "again")
    assert found(world) == [(1, "gw-1", "rows_doubled", 1)]


def test_what_comes_again_after_a_restore_is_no_disagreement(world: Shops, tmp_path: Path) -> None:
    gateway = world.gateways[0]
    time_ms = (HOUR + 1) * HOUR_MS + 59 * 60_000
    gateway.epoch, gateway.position = 2, 140
    for _ in range(10):
        gateway.send(time_ms, redelivered=True)
    gateway.send(time_ms, again=True, redelivered=True)
    world.fold(tmp_path / "again")
    assert found(world) == []


@pytest.mark.parametrize("number", [None, 9_000])
def test_a_record_past_the_gateway(world: Shops, tmp_path: Path, number: int | None) -> None:
    gateway = world.gateways[1]
    record = encode(stored(sequence=7, origin="gw-2", day=HOUR // 24, time_ms=HOUR * HOUR_MS))
    world.topics.append(gateway.numbered(record, number) if number else record, (HOUR + 1) * HOUR_MS + 59 * 60_000)
    world.fold(tmp_path / "again")
    kinds = found(world)
    assert (1, "gw-2", "past_the_outbox", 1) in kinds
    assert {source for _, source, _, _ in kinds} == {"gw-2"}


def test_a_state_that_skipped_a_record_and_one_that_took_it_twice(world: Shops) -> None:
    folded = world.states[2]
    cell = next(cell for cell in folded.counts if cell.hour == HOUR + 1 and cell.origin == "gw-1")
    for change in (-1, 1):
        counts = Counter(folded.counts)
        counts[cell] += change
        states = {**world.states, 2: replace(folded, counts=counts)}
        assert found(world, replace(world.books(), folded=states)) == [(1, "gw-1", "folded_differs", 1)]
    counts = Counter({**folded.counts, Cell(HOUR, "gw-9"): 3})
    states = {**world.states, 2: replace(folded, counts=counts)}
    assert found(world, replace(world.books(), folded=states)) == [(0, "gw-9", "folded_differs", 3)]


def test_a_dead_letter_that_is_missing_one_that_is_there_twice_and_one_without_a_cause(world: Shops) -> None:
    letters = [record for record in world.topics.all(DEAD_LETTERS.name) if by_pipeline(record)]
    letter = min(letters, key=lambda record: record.timestamp_ms)
    origin = dict(letter.headers)["picante.origin"] or b""
    books = world.books()
    world.topics.remove(letter)
    missing = [each for each in found(world, books) if each[2] != "lake_odd"]
    assert missing == [(0, origin.decode(), "letters_missing", 1)]
    place = world.topics.records[DEAD_LETTERS.name, 0]
    place += [letter, letter]
    assert (0, origin.decode(), "letters_odd", 1) in found(world, books)
    place.pop()
    event = next(record for record in world.topics.all() if record.timestamp_ms // HOUR_MS == HOUR + 1)
    causeless = replace(
        letter,
        headers=tuple(
            (name, {"partition": b"%d" % event.partition, "offset": b"%d" % event.offset}.get(name[17:], content))
            for name, content in letter.headers
        ),
    )
    place.append(causeless)
    assert next(each for each in found(world, books) if each[2] == "letters_odd")[0] == 1


def test_a_row_that_was_deleted_from_the_lake_one_that_is_twice_in_it_and_one_of_nothing(world: Shops) -> None:
    books = world.books()
    assert books.lake is not None
    record = world.topics.records[EVENTS.name, 1][30]
    hour = record.timestamp_ms // HOUR_MS
    origin = "gw-1" if sent_by(record, "gw-1") else "gw-2"
    there = books.lake[EVENTS.name, 1]
    for rows, kind in (
        ({**there.rows, record.offset: (hour, 0)}, "lake_missing"),
        ({**there.rows, record.offset: (hour, 2)}, "lake_odd"),
    ):
        lake = {**books.lake, (EVENTS.name, 1): replace(there, rows=rows)}
        assert found(world, replace(books, lake=lake)) == [(hour - HOUR, origin, kind, 1)]
    rows = {**there.rows, 10**9: (HOUR, 1)}
    lake = {**books.lake, (EVENTS.name, 1): replace(there, rows=rows)}
    assert found(world, replace(books, lake=lake)) == [(0, "", "lake_odd", 1)]
    rows = {offset: row for offset, row in there.rows.items() if row[0] != HOUR}
    lake = {**books.lake, (EVENTS.name, 1): replace(there, rows=rows, from_hour=HOUR + 1)}
    assert found(world, replace(books, lake=lake)) == [], "what the lake dropped for its age does not lack"


def test_hours_that_a_reader_has_not_passed_are_told_of_and_not_judged(world: Shops) -> None:
    books = world.books()
    assert books.lake is not None
    first = next(r for r in world.topics.records[EVENTS.name, 3] if r.timestamp_ms // HOUR_MS == HOUR + 1)
    behind = replace(world.states[3], position=first.offset, counts={})
    there = books.lake[EVENTS.name, 0]
    lake = {**books.lake, (EVENTS.name, 0): replace(there, position=0, rows={})}
    states = {partition: world.states[partition] for partition in range(PARTITIONS - 2)} | {3: behind}
    report = reconcile(world.topics.ledger(), replace(books, folded=states, lake=lake), HOURS)
    assert [line.partition(": ")[2] for line in report.waiting] == [
        "the state of partition 3 is behind",
        "the lake is behind on picante.events.v1 0",
        "the lake is behind on picante.events.v1 0",
    ]
    assert report.elsewhere == [2]
    assert {finding.kind for finding in report.findings} == {"folded_differs"}, "its first hour is over, and lacks"
    assert {finding.hour for finding in report.findings} == {HOUR}


def test_the_open_hour_is_not_judged(world: Shops) -> None:
    for record in world.topics.all():
        if record.timestamp_ms // HOUR_MS == HOUR + 2:
            world.topics.remove(record)
    books = world.books()
    assert found(world, replace(books, folded=world.states)) == []


def test_a_dead_letter_that_was_sent_again_is_no_row(world: Shops, tmp_path: Path) -> None:
    """It has the number of its old row, which may be weeks old: neither a double nor the beginning of a hole."""
    gateway = world.gateways[0]
    record = encode(stored(sequence=7, origin="gw-1", day=HOUR // 24, time_ms=HOUR * HOUR_MS))
    replayed = gateway.numbered(record, 1).with_header(REPLAYED, b"0:17")
    gateway.position = 5_000
    later = (HOUR + 1) * HOUR_MS + 59 * 60_000
    gateway.epoch = 2
    gateway.send(later)
    world.topics.append(gateway.numbered(record, 4).with_header(REPLAYED, b"0:18"), later)
    world.topics.append(replayed, later)
    world.fold(tmp_path / "again")
    assert found(world) == []
