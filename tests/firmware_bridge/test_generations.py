"""Who is believed, and about which generation: proofs byte by byte, and what belongs to another ring."""

from __future__ import annotations

import msgspec
import pytest

from firmware_bridge import proofs
from firmware_bridge.actions import Arrived
from firmware_bridge.messages import (
    Ack,
    EventMessage,
    Hello,
    HelloRequest,
    Message,
    Ready,
    Reject,
    Sample,
    Series,
    Welcome,
)
from firmware_bridge.moves import State
from firmware_bridge.session import LinkSession, Terms
from heat.identity import SequenceSet
from hw_sim.mcu import LinkState
from tests.firmware_bridge.pair import KEY, Pair, sent_by


def welcomed(session: LinkSession, hello: Hello) -> Welcome:
    """The answer to a HELLO."""
    [welcome] = sent_by(session.feed(hello, 0))
    assert isinstance(welcome, Welcome)
    return welcome


def opened(pair: Pair, window: int) -> LinkSession:
    """A session on which the dispenser of the pair has proved itself."""
    session = LinkSession(pair.disk, bytes, 0, Terms(window=window))
    greet(session, pair.hello())
    return session


def greet(session: LinkSession, hello: Hello) -> None:
    """HELLO, WELCOME, READY."""
    session.feed(Ready(mac=proofs.ready_mac(KEY, hello, welcomed(session, hello))), 0)
    assert session.state is State.OPEN


def event(sequence: int, generation: int = 1) -> EventMessage:
    """An event as a dispenser sends it."""
    return EventMessage(
        generation=generation, sequence=sequence, boot=1, uptime_ms=0, sent_uptime_ms=0, session=1, kind=1, body={}
    )


def arrived(session: LinkSession, *messages: Message) -> list[int]:
    """The sequences that are let through."""
    actions = [action for message in messages for action in session.feed(message, 0)]
    return [action.event.sequence for action in actions if isinstance(action, Arrived)]


# -- proofs and generations --------------------------------------------------------------------------------------------


def test_every_byte_of_a_ready_s_proof_counts(pair: Pair) -> None:
    hello = pair.hello()
    for at in range(32):
        session = LinkSession(pair.disk, bytes, 0)
        mac = bytearray(proofs.ready_mac(KEY, hello, welcomed(session, hello)))
        mac[at] ^= 1
        [reject] = sent_by(session.feed(Ready(mac=bytes(mac)), 0))
        assert isinstance(reject, Reject)
        assert (reject.reason, session.dispenser) == ("bad_mac", None), at


@pytest.mark.parametrize("change", [{"generation": 2}, {"durable": 4}], ids=["another generation", "not yet given out"])
def test_a_proved_welcome_that_fits_another_ring_frees_nothing(pair: Pair, change: dict[str, int]) -> None:
    pair.pour(3)
    hello = pair.hello()
    welcome = msgspec.structs.replace(welcomed(pair.session, hello), durable=3)
    other = msgspec.structs.replace(welcome, **change)
    pair.mcu.feed(msgspec.structs.replace(other, mac=proofs.welcome_mac(KEY, hello, other)), 0)
    assert (pair.mcu.state, pair.ring.header.held) == (LinkState.WAITING, 3)
    assert pair.mcu.counters.foreign_welcomes == 1
    pair.mcu.feed(msgspec.structs.replace(welcome, mac=proofs.welcome_mac(KEY, hello, welcome)), 0)
    assert (pair.mcu.state, pair.ring.header.held) == (LinkState.PROVING, 0)


@pytest.mark.parametrize(("durable", "answer"), [(3, Welcome), (4, Reject), (5, Reject)])
def test_a_ring_whose_next_sequence_is_spent_is_stale(pair: Pair, durable: int, answer: type) -> None:
    pair.pour(3)  # the next is 4
    pair.disk.known[1] = SequenceSet([(1, durable)])
    [said] = sent_by(pair.session.feed(pair.hello(), 0))
    assert type(said) is answer
    assert not isinstance(said, Reject) or said.reason == "stale_ring"


def test_an_event_of_another_generation_is_not_let_through(pair: Pair) -> None:
    session = opened(pair, 8)
    assert session.feed(event(1, generation=9), 0) != []
    assert sent_by(session.feed(event(1, generation=9), 0)) == [HelloRequest()]
    assert arrived(session, event(1, generation=9), event(1), event(2)) == [1, 2]


def test_a_commit_of_another_generation_acknowledges_nothing(pair: Pair) -> None:
    session = opened(pair, 8)
    assert session.committed(9, 5) == []
    assert arrived(session, event(1)) == [1]
    assert sent_by(session.committed(1, 1)) == [Ack(generation=1, sequence=1, window=8)]


# -- flow --------------------------------------------------------------------------------------------------------------


def test_no_more_than_two_windows_wait_for_the_disk(pair: Pair) -> None:
    """A dispenser that heeds no window fills no memory."""
    session = opened(pair, 8)
    assert arrived(session, *(event(sequence) for sequence in range(1, 30))) == list(range(1, 17))
    session.committed(1, 2)
    assert arrived(session, *(event(sequence) for sequence in range(17, 30))) == [17, 18]


def paused(pair: Pair) -> LinkSession:
    """A session with one event on its way to disk, which told the dispenser to keep the second."""
    session = opened(pair, 8)
    assert arrived(session, event(1)) == [1]
    assert sent_by(session.feed(event(2), 0, room=False)) == [Ack(generation=1, sequence=0, window=0)]
    return session


@pytest.mark.parametrize(("room", "window"), [(True, 8), (False, 0)])
def test_a_commit_that_makes_room_says_so(pair: Pair, room: bool, window: int) -> None:
    session = paused(pair)
    assert sent_by(session.committed(1, 1, room=room)) == [Ack(generation=1, sequence=1, window=window)]


def test_who_is_greeted_anew_was_not_told_to_wait(pair: Pair) -> None:
    session = paused(pair)
    greet(session, pair.hello())
    assert session.tick(0) == []
    assert arrived(session, event(1)) == [1]
    assert sent_by(session.committed(1, 1, room=False)) == [Ack(generation=1, sequence=1, window=8)]


def test_what_was_measured_while_waiting_is_shed(pair: Pair) -> None:
    pair.open_up()
    sample = Sample(uptime_ms=0, period_ms=1_000, series=(Series(2, 1, (700,)),))
    pair.mcu.feed(Ack(generation=1, sequence=0, window=0), pair.now_ms)
    pair.mcu.offer(sample)
    assert pair.mcu.next_message(pair.now_ms) is None
    pair.mcu.feed(Ack(generation=1, sequence=0, window=8), pair.now_ms)
    assert pair.mcu.next_message(pair.now_ms) is None
    pair.mcu.offer(sample)
    assert pair.mcu.next_message(pair.now_ms) == msgspec.structs.replace(sample, shed=1)
