"""Firmware against link session, back to back: the opening, go-back-N, and what may go wrong between them."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_bridge.messages import (
    Ack,
    Ask,
    DownMessage,
    EventMessage,
    Hello,
    HelloRequest,
    Picks,
    Ping,
    Ready,
    Reject,
    Welcome,
)
from firmware_bridge.session import Action, Send, State
from heat.identity import SequenceSet
from hw_sim.mcu import LinkState
from hw_sim.ring import PAGES
from tests.firmware_bridge.pair import DOUBLED, LATE, LOST, NAME, Pair, Wire, volume_of


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    return Pair(tmp_path)


def is_open(pair: Pair) -> bool:
    return pair.mcu.state is LinkState.OPEN and pair.session.state is State.OPEN


def open_up(pair: Pair) -> Pair:
    pair.run_until(lambda: is_open(pair))
    return pair


def sequences(pair: Pair) -> list[int]:
    return [event.sequence for event in pair.arrived]


# -- opening -------------------------------------------------------------------------------------------------------


def test_opens_in_three_steps(pair: Pair) -> None:
    open_up(pair)
    assert [type(message) for message in pair.sent] == [Hello, Ready]
    assert pair.session.dispenser == NAME
    assert pair.opened[0].nozzles == pair.panel.nozzles()


def test_no_event_and_no_ask_before_ready(pair: Pair) -> None:
    pair.pour(3)
    pair.ask()
    pair.run_until(lambda: pair.delivered)
    assert [type(message) for message in pair.sent[:2]] == [Hello, Ready]


def test_a_gateway_with_another_key_is_not_believed(pair: Pair) -> None:
    pair.disk.keys[NAME] = bytes(32)
    pair.pour()
    pair.run(5_000)
    assert pair.mcu.state is not LinkState.OPEN
    assert pair.mcu.counters.foreign_welcomes >= 2
    assert not any(isinstance(message, EventMessage | Ready) for message in pair.sent)


def test_a_dispenser_with_another_key_is_refused(pair: Pair) -> None:
    hello = _hello(pair)
    pair.session.feed(hello, pair.now_ms)
    [reject] = _messages(pair.session.feed(Ready(mac=bytes(32)), pair.now_ms))
    assert reject == Reject(reason="bad_mac", versions=(1,), detail="the key does not fit", nonce=hello.nonce)
    assert pair.session.state is State.OPENING


def test_a_replayed_opening_proves_nothing(pair: Pair) -> None:
    open_up(pair)
    hello, ready = pair.sent[:2]
    pair.restart_gateway()
    assert [type(message) for message in _messages(pair.session.feed(hello, pair.now_ms))] == [Welcome]
    assert [type(message) for message in _messages(pair.session.feed(ready, pair.now_ms))] == [Reject]
    assert pair.session.state is State.OPENING


def test_a_replayed_ready_changes_nothing_on_an_open_link(pair: Pair) -> None:
    open_up(pair)
    assert pair.session.feed(pair.sent[1], pair.now_ms) == []
    assert pair.session.state is State.OPEN
    assert pair.session.counters.unexpected == 1


def test_a_replayed_welcome_is_ignored(pair: Pair) -> None:
    welcome = _first_welcome(pair)
    open_up(pair)
    pair.mcu.link_up(pair.now_ms)
    pair.mcu.next_message(pair.now_ms)
    pair.mcu.feed(welcome, pair.now_ms)
    assert pair.mcu.state is LinkState.WAITING


def test_a_welcome_that_was_tampered_with_is_ignored(pair: Pair) -> None:
    welcome = _first_welcome(pair)
    pair.mcu.feed(msgspec.structs.replace(welcome, durable=welcome.durable + 1), pair.now_ms)
    pair.mcu.feed(msgspec.structs.replace(welcome, window=welcome.window + 1), pair.now_ms)
    assert pair.mcu.state is LinkState.WAITING


def test_an_unknown_dispenser_is_let_in_soon_after_its_adoption(pair: Pair) -> None:
    key = pair.disk.keys.pop(NAME)
    pair.run(60_000)
    hellos = pair.mcu.counters.hellos
    assert hellos < 20, "it backs off"
    assert pair.mcu.counters.rejected == hellos
    pair.disk.keys[NAME] = key
    pair.run_until(lambda: is_open(pair), 10_000)


def test_versions_without_one_in_common_are_told(pair: Pair) -> None:
    hello = msgspec.structs.replace(_hello(pair), versions=(7, 9))
    [reject] = _messages(pair.session.feed(hello, 0))
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.versions) == ("version", (1,))


def test_a_lost_welcome_or_hello_costs_a_second(tmp_path: Path) -> None:
    pair = Pair(tmp_path, up=[LOST], down=["", LOST])
    pair.run_until(lambda: is_open(pair), 5_000)


def test_a_lost_ready_is_noticed_by_the_next_event(tmp_path: Path) -> None:
    pair = Pair(tmp_path, up=["", LOST])
    pair.pour()
    pair.run_until(lambda: pair.delivered, 3_000)


def test_a_lost_ready_is_noticed_by_an_ask(tmp_path: Path) -> None:
    pair = Pair(tmp_path, up=["", LOST])
    pair.run(500)
    pair.ask()
    pair.run_until(lambda: bool(pair.panel.shown), 3_000)


def test_a_lost_ready_is_noticed_in_silence_too(tmp_path: Path) -> None:
    pair = Pair(tmp_path, up=["", LOST])
    pair.run_until(lambda: is_open(pair), 30_000)


def test_a_gateway_that_restarted_asks_for_a_hello(pair: Pair) -> None:
    open_up(pair)
    pair.restart_gateway()
    pair.run_until(lambda: is_open(pair), 1_500)


def test_a_replaced_session_says_so_and_never_acknowledges_again(pair: Pair) -> None:
    open_up(pair)
    pair.pour(2)
    pair.run_until(lambda: len(pair.arrived) == 2)
    pair.perform(pair.session.close("replaced"))
    assert pair.closed == ["replaced"]
    pair.run(500)
    assert pair.mcu.state is LinkState.BACKING_OFF
    assert pair.ring.header.held == 2
    assert pair.session.feed(_hello(pair), pair.now_ms) == []


def test_silence_closes_the_session_and_makes_the_dispenser_say_hello(pair: Pair) -> None:
    open_up(pair)
    pair.up, pair.down = Wire(repeat(LOST)), Wire(repeat(LOST))
    pair.run(15_000)
    assert pair.closed == ["silent"]
    assert pair.mcu.counters.hellos > 1


def test_pings_keep_a_quiet_link_open(pair: Pair) -> None:
    open_up(pair)
    pair.run(60_000)
    assert is_open(pair)
    assert pair.closed == []
    assert pair.mcu.counters.hellos == 1


# -- events ----------------------------------------------------------------------------------------------------------


def test_events_arrive_in_order_and_free_the_ring_by_ack_alone(pair: Pair) -> None:
    pair.pour(40)
    pair.run_until(lambda: len(pair.arrived) == 40)
    assert pair.ring.header.held > 0, "nothing is freed before it is on disk"
    pair.run_until(lambda: pair.delivered)
    assert sequences(pair) == list(range(1, 41))
    assert pair.ring.header.acked == 40


def test_no_more_than_a_window_is_under_way(tmp_path: Path) -> None:
    pair = Pair(tmp_path, capacity=1024)
    open_up(pair)
    pair.session.committed = lambda generation, sequence: []  # type: ignore[method-assign]  # a disk that hangs
    pair.pour(500)
    pair.run(400)
    events = [message for message in pair.sent if isinstance(message, EventMessage)]
    assert len(events) == 128


@pytest.mark.parametrize("fate", [LOST, DOUBLED, LATE])
def test_one_bad_passage_of_an_event_changes_nothing(tmp_path: Path, fate: str) -> None:
    pair = Pair(tmp_path, up=["", "", "", fate])
    pair.pour(20)
    pair.run_until(lambda: pair.delivered, 1_500)
    assert sequences(pair) == list(range(1, 21))
    assert pair.mcu.counters.hellos == 1


@pytest.mark.parametrize("fate", [LOST, DOUBLED, LATE])
def test_one_bad_passage_of_an_ack_changes_nothing(tmp_path: Path, fate: str) -> None:
    pair = Pair(tmp_path, down=["", fate])
    pair.pour(5)
    pair.run_until(lambda: pair.delivered, 5_000)
    assert sequences(pair) == list(range(1, 6))


def test_a_repeated_event_is_acknowledged_again_once_it_is_on_disk(pair: Pair) -> None:
    pair.pour()
    pair.run_until(lambda: pair.delivered)
    [event] = [message for message in pair.sent if isinstance(message, EventMessage)]
    assert _messages(pair.session.feed(event, pair.now_ms)) == [Ack(generation=1, sequence=1)]
    assert pair.session.counters.duplicates == 1


def test_a_busy_gateway_loses_nothing(pair: Pair) -> None:
    open_up(pair)
    pair.room = lambda: False
    pair.pour(30)
    pair.run(10_000)
    assert not pair.arrived
    assert pair.ring.header.held == 30
    pair.room = lambda: True
    pair.run_until(lambda: pair.delivered, 20_000)
    assert sequences(pair) == list(range(1, 31))


def test_what_could_not_be_stored_is_asked_for_again(pair: Pair) -> None:
    open_up(pair)
    pair.pour(3)
    pair.run_until(lambda: len(pair.arrived) == 3)
    pair.fail_commits()
    pair.run_until(lambda: pair.delivered)
    assert sequences(pair) == [1, 2, 3, 1, 2, 3]


def test_a_commit_of_an_earlier_link_moves_the_new_one_on(pair: Pair) -> None:
    """What was on its way to disk when the cable came out is not waited for on the next link."""
    open_up(pair)
    pair.commit_ms = 400
    pair.pour(4)
    pair.run_until(lambda: len(pair.arrived) == 4)
    pair.room = lambda: False
    pair.replug()
    pair.run_until(lambda: len(pair.disk.stored) == 4)
    pair.room = lambda: True
    pair.pour(1)
    pair.run_until(lambda: pair.delivered, 3_000)
    assert sequences(pair) == [1, 2, 3, 4, 5]
    assert pair.mcu.counters.hellos == 2


def test_an_ack_of_another_generation_frees_nothing(pair: Pair) -> None:
    open_up(pair)
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
    open_up(pair)
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
    open_up(pair)
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
    hello = _hello(pair)
    open_up(pair)
    pair.mcu.feed(HelloRequest(), pair.now_ms)
    pair.mcu.next_message(pair.now_ms)
    pair.mcu.feed(Reject(reason="stale_ring", nonce=hello.nonce), pair.now_ms)
    pair.mcu.feed(Reject(reason="bad_mac", nonce=hello.nonce), pair.now_ms)
    pair.mcu.feed(Reject(reason="stale_ring"), pair.now_ms)
    assert pair.mcu.state is LinkState.WAITING
    assert pair.generations == [1]


# -- questions -------------------------------------------------------------------------------------------------------


def test_an_ask_overtakes_queued_events(tmp_path: Path) -> None:
    pair = Pair(tmp_path, capacity=2048)
    open_up(pair)
    pair.pour(2_000)
    pair.run(20)
    pair.ask(token="loyal-1")
    before = pair.ring.header.held
    pair.run_until(lambda: bool(pair.panel.shown), 100)
    assert before - pair.ring.header.held < 200
    assert pair.asks[0].token == "loyal-1"


def test_an_ask_is_repeated_until_answered(pair: Pair) -> None:
    open_up(pair)
    pair.answers = False
    nonce = pair.ask()
    pair.run(900)
    assert [ask.nonce for ask in pair.asks] == [nonce] * 3
    pair.answers = True
    pair.run_until(lambda: bool(pair.panel.shown), 500)
    pair.run(2_000)
    assert len(pair.asks) == 4
    assert len(pair.panel.shown) == 1
    assert pair.panel.unanswered == 0


def test_an_ask_is_given_up_after_three_seconds(pair: Pair) -> None:
    open_up(pair)
    pair.answers = False
    pair.ask()
    pair.run(2_950)
    assert pair.panel.unanswered == 0
    pair.run(100)
    assert pair.panel.unanswered == 1
    assert not pair.mcu.asking
    asks = len(pair.asks)
    pair.run(2_000)
    assert len(pair.asks) == asks


def test_an_ask_is_given_up_without_a_gateway_too(tmp_path: Path) -> None:
    pair = Pair(tmp_path, up=repeat(LOST))
    pair.ask()
    pair.run(3_100)
    assert pair.panel.unanswered == 1


def test_picks_for_another_question_are_not_shown(pair: Pair) -> None:
    open_up(pair)
    pair.answers = False
    stale = pair.ask()
    pair.run(100)
    pair.ask()
    pair.mcu.feed(Picks(nonce=stale, pick_id="p1", picks=()), pair.now_ms)
    pair.mcu.feed(Picks(nonce=bytes(8), pick_id="p2", picks=()), pair.now_ms)
    assert pair.panel.shown == []
    assert pair.mcu.asking


def test_picks_are_shown_once(tmp_path: Path) -> None:
    pair = Pair(tmp_path, down=["", DOUBLED])
    open_up(pair)
    pair.ask()
    pair.run(500)
    assert len(pair.panel.shown) == 1


def test_an_ask_never_shows_its_token() -> None:
    assert "secret" not in repr(Ask(session=1, nonce=bytes(8), token="secret"))


# -- a line that does everything wrong ---------------------------------------------------------------------------------

FATES = st.lists(st.sampled_from(["", "", "", LOST, DOUBLED, LATE]), max_size=120)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("pour"), st.integers(1, 40)),
        st.tuples(st.just("run"), st.integers(10, 3_000)),
        st.tuples(st.sampled_from(["restart", "reboot", "replug", "ask", "fail commits"]), st.just(0)),
    ),
    max_size=12,
)


@settings(max_examples=150, deadline=None)
@given(up=FATES, down=FATES, steps=STEPS, busy=st.sets(st.integers(0, 200), max_size=30))
def test_nothing_is_lost_nothing_doubled_and_it_always_goes_on(
    tmp_path_factory: pytest.TempPathFactory,
    up: list[str],
    down: list[str],
    steps: list[tuple[str, int]],
    busy: set[int],
) -> None:
    pair = Pair(tmp_path_factory.mktemp("pair"), up=up, down=down, capacity=64)
    turn = iter(range(10**9))
    pair.room = lambda: next(turn) not in busy
    try:
        for step, amount in steps:
            _take(pair, step, amount)
        pair.run_until(lambda: pair.delivered and is_open(pair), 60_000)
        _check_all_there(pair)
        pair.ask()
        shown = len(pair.panel.shown)
        pair.run_until(lambda: len(pair.panel.shown) > shown, 3_000)
    finally:
        pair.ring.close()


def _take(pair: Pair, step: str, amount: int) -> None:
    match step:
        case "pour":
            pair.pour(amount)
        case "run":
            pair.run(amount)
        case "restart":
            pair.restart_gateway()
        case "reboot":
            pair.reboot()
        case "replug":
            pair.replug()
        case "ask":
            pair.ask()
        case _:
            pair.fail_commits()


def _check_all_there(pair: Pair) -> None:
    """Every event is on disk under its one identity, or in a recorded gap."""
    made = pair.ring.header.generated
    stored = {sequence: event for (_, sequence), event in pair.disk.stored.items()}
    lost = {sequence for _, first, last in pair.disk.gaps for sequence in range(first, last + 1)} - stored.keys()
    assert stored.keys() | lost == set(range(1, made + 1))
    assert len(lost) <= pair.ring.header.dropped
    assert all(volume_of(event) == sequence - 1 for sequence, event in stored.items())


# -- by hand ---------------------------------------------------------------------------------------------------------


def _hello(pair: Pair) -> Hello:
    """The dispenser's HELLO, taken from it."""
    pair.mcu.link_up(pair.now_ms)
    hello = pair.mcu.next_message(pair.now_ms)
    assert isinstance(hello, Hello)
    return hello


def _first_welcome(pair: Pair) -> Welcome:
    """The gateway's answer to the dispenser's HELLO, not delivered."""
    [welcome] = _messages(pair.session.feed(_hello(pair), pair.now_ms))
    assert isinstance(welcome, Welcome)
    return welcome


def _messages(actions: list[Action]) -> list[DownMessage]:
    """What a session sends."""
    return [action.message for action in actions if isinstance(action, Send)]
