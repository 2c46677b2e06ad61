"""The dispenser's go-back-N by itself: what is under way, and when it is sent again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cbor2
import pytest

from hw_sim.go_back_n import RESEND_MS, RESEND_SLOWEST_MS, GoBackN
from hw_sim.ring import Record, Ring


@pytest.fixture
def ring(tmp_path: Path) -> Iterator[Ring]:
    ring = Ring.open(tmp_path / "a.ring", 64, lambda: 1)
    for number in range(10):
        ring.append(Record(1, number, 1, 1, cbor2.dumps({1: number})))
    yield ring
    ring.close()


@pytest.fixture
def flow(ring: Ring) -> GoBackN:
    flow = GoBackN(ring)
    flow.open(base=1, window=4, now_ms=0)
    return flow


def take_all(flow: GoBackN, now_ms: int) -> list[int]:
    taken = []
    while (event := flow.next_event(now_ms)) is not None:
        taken.append(event.sequence)
    return taken


def test_sends_a_window_and_waits(flow: GoBackN) -> None:
    assert take_all(flow, 0) == [1, 2, 3, 4]
    assert not flow.may_send


def test_an_ack_in_the_middle_moves_the_window_on(flow: GoBackN, ring: Ring) -> None:
    take_all(flow, 0)
    assert flow.acknowledge(2, None, 10)
    assert take_all(flow, 10) == [5, 6]
    assert ring.header.lowest == 3


def test_an_old_ack_is_no_news(flow: GoBackN) -> None:
    take_all(flow, 0)
    flow.acknowledge(3, None, 10)
    assert not flow.acknowledge(3, None, 20)
    assert not flow.acknowledge(1, None, 20)
    assert take_all(flow, 20) == [5, 6, 7]


def test_what_there_was_no_room_for_is_sent_again_at_once(flow: GoBackN) -> None:
    take_all(flow, 0)
    flow.acknowledge(1, 0, 10)
    assert take_all(flow, 10) == []
    flow.acknowledge(1, 4, 20)
    assert take_all(flow, 20) == [2, 3, 4, 5]


def test_goes_back_to_the_first_unacknowledged(flow: GoBackN) -> None:
    take_all(flow, 0)
    flow.acknowledge(1, None, 0)
    take_all(flow, 0)
    assert not flow.is_stuck(RESEND_MS - 1)
    assert take_all(flow, RESEND_MS - 1) == []
    assert not flow.is_stuck(RESEND_MS)
    assert take_all(flow, RESEND_MS) == [2, 3, 4, 5]


def test_an_ack_for_more_than_was_sent_again_skips_it(flow: GoBackN) -> None:
    take_all(flow, 0)
    flow.is_stuck(RESEND_MS)
    assert flow.acknowledge(3, None, RESEND_MS)
    assert take_all(flow, RESEND_MS) == [4, 5, 6, 7]


def test_patience_doubles_up_to_a_limit_and_comes_back_with_progress(flow: GoBackN) -> None:
    take_all(flow, 0)
    now_ms, gaps = 0, []
    for _ in range(7):
        due_ms = flow.resend_due_ms()
        assert due_ms is not None
        gaps.append(due_ms - now_ms)
        now_ms = due_ms
        flow.is_stuck(now_ms)
        take_all(flow, now_ms)
    assert gaps == [500, 1_000, 2_000, 4_000, RESEND_SLOWEST_MS, RESEND_SLOWEST_MS, RESEND_SLOWEST_MS]
    flow.acknowledge(1, None, now_ms)
    assert flow.resend_due_ms() == now_ms + RESEND_MS


def test_each_third_turn_is_a_hello_and_an_opening_makes_it_no_more_hasty(flow: GoBackN) -> None:
    now_ms, gaps, hellos = 0, [], []
    for turn in range(1, 10):
        take_all(flow, now_ms)
        due_ms = flow.resend_due_ms()
        assert due_ms is not None
        gaps.append(due_ms - now_ms)
        now_ms = due_ms
        if flow.is_stuck(now_ms):
            hellos.append(turn)
            flow.open(base=1, window=4, now_ms=now_ms)
    assert gaps == [500, 1_000, 2_000, 4_000, *[RESEND_SLOWEST_MS] * 5]
    assert hellos == [3, 6, 9]
    flow.link_up()
    take_all(flow, now_ms)
    assert flow.resend_due_ms() == now_ms + RESEND_MS, "another cable"


def test_nothing_under_way_is_nothing_to_send_again(flow: GoBackN) -> None:
    assert flow.resend_due_ms() is None
    take_all(flow, 0)
    flow.acknowledge(4, None, 0)
    assert flow.resend_due_ms() is None
    assert not flow.is_stuck(10**9)


def test_the_timer_starts_with_the_first_event_after_a_pause(flow: GoBackN) -> None:
    take_all(flow, 60_000)
    assert flow.resend_due_ms() == 60_000 + RESEND_MS


def test_an_event_that_was_pushed_out_unsent_needs_a_hello(ring: Ring, flow: GoBackN) -> None:
    for number in range(60):
        ring.append(Record(1, number, 1, 1, cbor2.dumps({})))
    assert flow.is_stuck(0)


def test_carries_what_the_ring_holds(flow: GoBackN, ring: Ring) -> None:
    event = flow.next_event(77)
    assert event is not None
    assert (event.generation, event.sequence, event.boot, event.uptime_ms, event.sent_uptime_ms) == (1, 1, 1, 0, 77)
    assert (event.session, event.kind, event.body) == (1, 1, {1: 0})


def test_a_slow_line_is_given_time_before_and_after_progress(flow: GoBackN) -> None:
    slack_ms = 533
    flow.link_up(slack_ms)
    take_all(flow, 0)
    assert not flow.is_stuck(RESEND_MS)
    assert flow.resend_due_ms() == RESEND_MS + slack_ms
    flow.acknowledge(1, None, 600)
    assert flow.resend_due_ms() == 600 + RESEND_MS + slack_ms
