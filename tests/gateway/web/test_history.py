"""What comes and goes is one entry with a count; what was mended is gone at the next look, however often it came."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.web.language import Text
from gateway.web.repairs.history import REMEMBERED, WITHIN_S, History
from gateway.web.repairs.repair import Repair, key_of, ordered

START = datetime(2026, 5, 1, tzinfo=UTC)
SILENT = Repair("port_silent", Text("Nothing speaks"), (), "/dev/ttyUSB0")


def look(history: History, at_s: float, *found: Repair) -> list[Repair]:
    return history.look(found, at_s, START + timedelta(seconds=at_s))


def test_what_is_there_at_the_first_look_began_with_the_start_and_what_comes_later_when_it_came() -> None:
    history = History(START)
    assert look(history, 60, SILENT)[0].since == START
    assert look(history, 65) == []
    assert look(history, 90, SILENT)[0].since == START + timedelta(seconds=90)
    known = Repair("port_silent", Text("Nothing speaks"), (), "b", since=START - timedelta(days=1))
    assert look(history, 95, known)[0].since == START - timedelta(days=1), "the state knows better"


def test_what_came_three_times_within_an_hour_is_one_entry_with_its_count_and_only_while_it_is_there() -> None:
    history = History(START)
    for at_s, count in ((0, 1), (20, 2), (40, 3), (WITHIN_S - 100, 4)):
        [told] = look(history, at_s, SILENT)
        assert (told.count, told.flaps) == (count, count >= 3)
        assert look(history, at_s + 5) == [], "mended is gone, whatever it did before"
    [again] = look(history, WITHIN_S + 30, SILENT)
    assert (again.count, again.since) == (3, START + timedelta(seconds=WITHIN_S + 30)), "two were more than an hour ago"


def test_what_came_long_ago_is_forgotten() -> None:
    history = History(START)
    for at_s in (0, 20):
        look(history, at_s, SILENT)
        look(history, at_s + 10)
    [told] = look(history, WITHIN_S + 21, SILENT)
    assert (told.count, told.flaps) == (1, False)


def test_it_remembers_so_many_and_no_more() -> None:
    history = History(START)
    for number in range(REMEMBERED + 50):
        look(history, number, Repair("port_silent", Text("Nothing"), (), f"port-{number}"))
    assert len(history._seen) == REMEMBERED + 1, "of what went, and what is there"


def test_of_more_than_it_remembers_each_is_there_since_it_came() -> None:
    history = History(START)
    many = [Repair("bottle_low", Text("Low"), (), f"bar-{number}") for number in range(REMEMBERED + 50)]
    assert len(look(history, 0, *many)) == len(many)
    assert {(one.since, one.count) for one in look(history, 5, *many)} == {(START, 1)}


def test_a_key_is_a_segment_of_a_path_and_tells_subjects_apart() -> None:
    assert key_of("disk_low", "") == "disk_low"
    assert key_of("dispenser_offline", "hot-bar-1") == "dispenser_offline.hot-bar-1"
    one, other = (key_of("port_silent", f"/dev/serial/by-id/usb {end}") for end in ("a:1", "a/1"))
    assert one != other
    assert one.startswith("port_silent.dev-serial-by-id-usb-a-1-")


def test_of_one_key_the_first_stays_and_what_can_not_wait_comes_first() -> None:
    later, urgent = Repair("door_open", Text("Open"), (), "a"), Repair("disk_low", Text("Full"), ())
    assert ordered([later, urgent, Repair("door_open", Text("Again"), (), "a")]) == [urgent, later]
