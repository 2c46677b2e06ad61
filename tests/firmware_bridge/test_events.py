"""Firmware and link session, back to back: events in order, acknowledged after the disk, never lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge.messages import Ack, EventMessage, HelloRequest, Ping, Reject
from heat.identity import SequenceSet
from hw_sim.mcu import LinkState
from hw_sim.ring import PAGES
from tests.firmware_bridge.pair import Pair, sent_by, volume_of
from tests.firmware_bridge.wire import DOUBLED, LATE, LOST


def test_events_arrive_in_order_and_free_the_ring_by_ack_alone(pair: Pair) -> None:
    pair.pour(40)
    pair.run_until(lambda: len(pair.arrived) == 40)
    assert pair.ring.header.held > 0, "nothing is freed before it is on disk"
    pair.run_until(lambda: pair.delivered)
    assert pair.sequences == list(range(1, 41))
    assert pair.ring.header.acked == 40


def test_no_more_than_a_window_is_under_way(tmp_path: Path) -> None:
    pair = Pair(tmp_path, capacity=1024)
    pair.open_up()
    pair.session.committed = lambda generation, sequence, *, room=True: []  # type: ignore[method-assign]  # a disk that hangs
    pair.pour(500)
    pair.run(400)
    events = [message for message in pair.sent if isinstance(message, EventMessage)]
    assert len(events) == 128


@pytest.mark.parametrize("fate", [LOST, DOUBLED, LATE])
def test_one_bad_passage_of_an_event_changes_nothing(tmp_path: Path, fate: str) -> None:
    pair = Pair(tmp_path, up=["", "", "", fate])
    pair.pour(20)
    pair.run_until(lambda: pair.delivered, 1_500)
    assert pair.sequences == list(range(1, 21))
    assert pair.mcu.counters.hellos == 1


@pytest.mark.parametrize("fate", [LOST, DOUBLED, LATE])
def test_one_bad_passage_of_an_ack_changes_nothing(tmp_path: Path, fate: str) -> None:
    pair = Pair(tmp_path, down=["", fate])
    pair.pour(5)
    pair.run_until(lambda: pair.delivered, 5_000)
    assert pair.sequences == list(range(1, 6))


def test_a_repeated_event_is_acknowledged_again_once_it_is_on_disk(pair: Pair) -> None:
    pair.pour()
    pair.run_until(lambda: pair.delivered)
    [event] = [message for message in pair.sent if isinstance(message, EventMessage)]
    assert sent_by(pair.session.feed(event, pair.now_ms)) == [Ack(generation=1, sequence=1, window=128)]
    assert pair.session.counters.duplicates == 1


def test_a_busy_gateway_loses_nothing(pair: Pair) -> None:
    pair.open_up()
    pair.room = lambda: False
    pair.pour(30)
    pair.run(10_000)
    assert not pair.arrived
    assert pair.ring.header.held == 30
    pair.room = lambda: True
    pair.run_until(lambda: pair.delivered, 20_000)
    assert pair.sequences == list(range(1, 31))


def test_what_could_not_be_stored_is_asked_for_again(pair: Pair) -> None:
    pair.open_up()
    pair.pour(3)
    pair.run_until(lambda: len(pair.arrived) == 3)
    pair.fail_commits()
    pair.run_until(lambda: pair.delivered)
    assert pair.sequences == [1, 2, 3, 1, 2, 3]
    assert pair.mcu.counters.hellos == 1, "no new opening was needed"


def test_a_commit_of_an_earlier_link_moves_the_new_one_on(pair: Pair) -> None:
    """What was on its way to disk when the cable came out is not waited for on the next link."""
    pair.open_up()
    pair.commit_ms = 400
    pair.pour(4)
    pair.run_until(lambda: len(pair.arrived) == 4)
    pair.room = lambda: False
    pair.replug()
    pair.run_until(lambda: len(pair.disk.stored) == 4)
    pair.room = lambda: True
    pair.pour(1)
    pair.run_until(lambda: pair.delivered, 3_000)
    assert pair.sequences == [1, 2, 3, 4, 5]
    assert pair.mcu.counters.hellos == 2


def test_an_ack_of_another_generation_frees_nothing(pair: Pair) -> None:
    pair.open_up()
    pair.room = lambda: False
    pair.pour(3)
    pair.run(100)
    pair.mcu.feed(Ack(generation=99, sequence=3), pair.now_ms)
    pair.mcu.feed(Ack(generation=1, sequence=4), pair.now_ms)
    assert pair.ring.header.held == 3


def test_an_ack_before_the_opening_frees_nothing(pair: Pair) -> None:
    pair.pour(3)
    pair.mcu.next_message(0)
    pair.mcu.feed(Ack(generation=1, sequence=3), 0)
    assert pair.ring.header.held == 3


def test_a_welcome_frees_what_is_durable(pair: Pair) -> None:
    pair.pour(10)
    pair.run_until(lambda: len(pair.disk.stored) == 10)
    pair.down.cut()
    assert pair.ring.header.held > 0
    pair.reboot()
    pair.sent.clear()
    pair.run_until(lambda: pair.delivered)
    assert not any(isinstance(message, EventMessage) for message in pair.sent)
    pair.pour()
    pair.run_until(lambda: pair.delivered)
    assert pair.mcu.counters.hellos == 1


def test_a_gateway_that_never_acknowledges_is_greeted_anew(pair: Pair) -> None:
    pair.open_up()
    pair.pour(2)
    for _ in range(36):
        pair.mcu.feed(Ping(nonce=bytes(8)), pair.now_ms)  # it is there, and does not listen
        pair.now_ms += 100
        while message := pair.mcu.next_message(pair.now_ms):
            pair.sent.append(message)
    assert pair.mcu.counters.hellos == 2
    events = [message.sequence for message in pair.sent if isinstance(message, EventMessage)]
    assert events == [1, 2] * 3


def test_uptime_and_boot_are_those_of_the_event(pair: Pair) -> None:
    pair.run(1_000)
    pair.pour()
    pair.reboot()
    pair.run_until(lambda: pair.delivered)
    [event] = pair.arrived
    assert (event.boot, event.uptime_ms) == (1, 1_000)
    assert event.sent_uptime_ms > 1_000
    assert pair.opened[-1].boot == 2


def test_an_overflow_is_recorded_as_a_gap_and_the_rest_arrives(pair: Pair) -> None:
    pair.room = lambda: False
    pair.pour(64)
    pair.open_up()
    pair.run(200)
    made = pair.pour(1)
    assert pair.ring.header.dropped == 64 // PAGES
    pair.room = lambda: True
    pair.run_until(lambda: pair.delivered, 20_000)
    assert pair.disk.gaps == [(1, 1, 4)]
    assert sorted(sequence for _, sequence in pair.disk.stored) == list(range(5, made[-1] + 1))


def test_a_ring_that_forgot_starts_a_new_generation_and_loses_nothing(pair: Pair) -> None:
    pair.disk.known[1] = SequenceSet([(1, 10)])
    pair.pour(3)
    pair.run_until(lambda: pair.delivered, 5_000)
    assert pair.generations == [1, 2]
    assert [(event.generation, event.sequence) for event in pair.arrived] == [(2, 1), (2, 2), (2, 3)]
    assert [volume_of(event) for event in pair.arrived] == [0, 1, 2]


def test_a_stale_ring_refused_twice_is_renumbered_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path, down=["", DOUBLED])
    pair.disk.known[1] = SequenceSet([(1, 10)])
    pair.pour(3)
    pair.run_until(lambda: pair.delivered, 5_000)
    assert pair.generations == [1, 2]


def test_a_late_refusal_of_an_earlier_hello_is_ignored(pair: Pair) -> None:
    hello = pair.hello()
    pair.open_up()
    pair.mcu.feed(HelloRequest(), pair.now_ms)
    pair.mcu.next_message(pair.now_ms)
    pair.mcu.feed(Reject(reason="stale_ring", nonce=hello.nonce), pair.now_ms)
    pair.mcu.feed(Reject(reason="bad_mac", nonce=hello.nonce), pair.now_ms)
    pair.mcu.feed(Reject(reason="stale_ring"), pair.now_ms)
    assert pair.mcu.state is LinkState.WAITING
    assert pair.generations == [1]
