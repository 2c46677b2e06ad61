"""Each kind of disagreement is seen, and named with its hour and source; where all agree, nothing is."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from cloud.reconciliation.findings import LOOK, Books, reconcile
from cloud.reconciliation.gathering import GRACE_MS, SLACK_MS
from cloud.reconciliation.ledger import Cell, Ledger
from cloud.reconciliation.sums import Line, sums
from cloud_sync.envelope import encode
from cloud_sync.topics import DEAD_LETTERS, EVENTS, HOUR_MS, REPLAYED, SAMPLES
from heat.events import Sampled
from tests.cloud.reconciliation.books import (
    HOUR,
    HOURS,
    PARTITIONS,
    Gateway,
    Shops,
    Topics,
    by_pipeline,
    in_lake,
    said,
    sent_by,
    shops,
)
from tests.cloud_sync.examples import EVERY_TYPE, stored


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
    all_rows = [(hour, offset) for hour, offsets in there.rows.items() for offset in offsets]
    for some, what in (
        ([row for row in all_rows if row[1] != record.offset], (hour - HOUR, origin, "lake_missing", 1)),
        ([*all_rows, (hour, record.offset)], (hour - HOUR, origin, "lake_odd", 1)),
        ([*all_rows, (HOUR, 10**9)], (0, "", "lake_odd", 1)),
    ):
        lake = {**books.lake, (EVENTS.name, 1): replace(there, rows=in_lake(some))}
        assert found(world, replace(books, lake=lake)) == [what]
    rows = in_lake(row for row in all_rows if row[0] != HOUR)
    lake = {**books.lake, (EVENTS.name, 1): replace(there, rows=rows, from_hour=HOUR + 1)}
    assert found(world, replace(books, lake=lake)) == [], "what the lake dropped for its age does not lack"


def test_hours_that_a_reader_has_not_passed_are_told_of_and_not_judged(world: Shops) -> None:
    books = world.books()
    assert books.lake is not None
    first = next(r for r in world.topics.records[EVENTS.name, 3] if r.timestamp_ms // HOUR_MS == HOUR + 1)
    behind = replace(world.states[3], position=first.offset, counts={})
    there = books.lake[EVENTS.name, 0]
    lake = {**books.lake, (EVENTS.name, 0): replace(there, position=1, rows={})}
    states = {partition: world.states[partition] for partition in range(PARTITIONS - 2)} | {3: behind}
    report = reconcile(world.topics.ledger(), replace(books, folded=states, lake=lake), HOURS)
    assert [(one.hour - HOUR, one.what) for one in report.waiting] == [
        (1, "the state of partition 3 is behind"),
        (0, "the lake is behind on picante.events.v1 0"),
        (1, "the lake is behind on picante.events.v1 0"),
    ]
    assert report.elsewhere == [2]
    assert {finding.kind for finding in report.findings} == {"folded_differs"}, "its first hour is over, and lacks"
    assert {finding.hour for finding in report.findings} == {HOUR}


def test_the_open_hour_is_not_judged(world: Shops) -> None:
    for record in world.topics.all():
        if HOURS.stop * HOUR_MS <= record.timestamp_ms < HOURS.stop * HOUR_MS + 20 * 60_000:
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


def test_a_lake_that_is_gone_and_a_state_that_should_be_here_are_waited_for(world: Shops) -> None:
    states = {partition: state for partition, state in world.states.items() if partition != 2}
    books = replace(world.books(), lake={}, folded=states, lacking={2: "it can't be read"})
    report = reconcile(world.topics.ledger(), books, HOURS)
    assert report.findings == []
    assert report.elsewhere == []
    said = {(one.hour - HOUR, one.what) for one in report.waiting}
    nothing = "the lake has nothing (look whether lake.path is right) of picante.events.v1 1"
    assert {(0, nothing), (1, nothing), (0, "it can't be read"), (1, "it can't be read")} <= said


# -- hour after hour ----------------------------------------------------------------------------------------------


class Sending:
    """A gateway that sends a row a minute, and what is found of it, as each hour is over."""

    def __init__(self, minutes: int) -> None:
        self.topics = Topics()
        gateway = Gateway("gw-1", self.topics)
        times = [HOUR * HOUR_MS + minute * 60_000 for minute in range(minutes)]
        self.sent = [(time_ms, gateway.send(time_ms), gateway.heard(time_ms + 30_000)) for time_ms in times]

    def lose(self, first: int, end: int) -> None:
        """What was sent in these minutes."""
        for _, record, _ in self.sent[first:end]:
            self.topics.remove(record)

    def found(self, minutes: list[int]) -> list[tuple[int, str, str, int]]:
        """By comparisons at these minutes, each of the hours that are over and were not compared."""
        reached: Mapping[tuple[str, int], int] = {}
        findings, begin = [], HOUR
        for minute in minutes:
            now_ms = HOUR * HOUR_MS + minute * 60_000
            hours = range(begin, (now_ms - GRACE_MS) // HOUR_MS)
            ledger = Ledger()
            for record in self.topics.all():
                if hours.start * HOUR_MS - SLACK_MS <= record.timestamp_ms <= now_ms:
                    ledger.add(record)
            heard = [one for time_ms, _, one in self.sent if time_ms + 30_000 <= now_ms][-1:]
            report = reconcile(ledger, Books(heard), hours, reached)
            findings += report.findings
            reached, begin = report.reached, hours.stop
        return said(findings)


@pytest.mark.parametrize(
    ("lost", "hours"),
    [((110, 120), {2}), ((115, 125), {2}), ((120, 130), {2}), ((90, 100), {1}), ((50, 190), {1, 2, 3})],
    ids=["at an hour's end", "about it", "at its beginning", "within", "for two hours"],
)
def test_rows_lost_wherever_an_hour_ends_are_each_told_of_once(lost: tuple[int, int], hours: set[int]) -> None:
    sending = Sending(300)
    sending.lose(*lost)
    found = sending.found([65, 125, 185, 245])
    assert {(hour, kind) for hour, _, kind, _ in found} == {(hour, "rows_missing") for hour in hours}
    assert sum(count for *_, count in found) == lost[1] - lost[0]


def test_rows_that_are_lost_still_are_told_of_before_the_next_one_comes() -> None:
    sending = Sending(150)
    sending.lose(100, 150)
    assert sending.found([65, 125]) == [(2, "gw-1", "rows_missing", 25)]


def test_a_number_that_no_outbox_gave_out_hides_no_hole() -> None:
    sending = Sending(200)
    sending.lose(150, 160)
    gateway = Gateway("gw-1", sending.topics, 9_000)
    gateway.send(HOUR * HOUR_MS + 40 * 60_000)
    assert sending.found([65, 125, 185]) == [(0, "gw-1", "past_the_outbox", 1), (2, "gw-1", "rows_missing", 10)]


def test_rows_of_one_transaction_that_lie_in_two_hours_are_no_hole_and_one_of_them_may_be_lost() -> None:
    """Each partition has its own stamps, so that a lower number may be in the later hour."""
    topics = Topics()
    gateway, end_ms = Gateway("gw-1", topics), (HOUR + 1) * HOUR_MS
    for time_ms in (end_ms - 60_000, end_ms - 2, end_ms + 2, end_ms - 1, end_ms + 60_000):
        sent = gateway.send(time_ms)
        lost = sent if gateway.position == 2 else None
        if lost is not None:
            topics.remove(lost)
    ledger = topics.ledger()
    books = Books([gateway.heard(end_ms + 90_000)])
    first = reconcile(ledger, books, range(HOUR, HOUR + 1))
    assert said(first.findings) == [(0, "gw-1", "rows_missing", 1)]
    assert reconcile(ledger, books, range(HOUR + 1, HOUR + 2), first.reached).findings == []


def test_what_nobody_can_read_is_no_outbox(world: Shops) -> None:
    """Two gateways' numbers are no row of one."""
    later = (HOUR + 1) * HOUR_MS + 59 * 60_000
    for gateway, number in zip(world.gateways, (1, 900), strict=True):
        torn = replace(encode(stored()), key=b"x", value=b"{")
        world.topics.append(gateway.numbered(torn, number), later)
    assert {one.kind for one in reconcile(world.topics.ledger(), Books(), HOURS).findings} == set()


def test_what_sensors_read_is_a_row_of_its_gateway() -> None:
    topics = Topics()
    gateway = Gateway("gw-1", topics, position=41)
    readings = next(data for data in EVERY_TYPE if isinstance(data, Sampled))
    topics.append(gateway.numbered(encode(stored(readings, origin="gw-1"))), HOUR * HOUR_MS)
    ledger = topics.ledger()
    assert ledger.counts(SAMPLES.name) == {Cell(HOUR, "gw-1"): 1}
    assert list(ledger.rows["gw-1", 1].positions) == [41]
