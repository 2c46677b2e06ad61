"""Every row of the two tables of states is walked: none is drawn that can't be, and each leads where it says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from firmware_bridge import moves
from firmware_bridge.messages import Hello, HelloRequest, Provision, Ready, Reject, Welcome
from firmware_bridge.moves import State
from firmware_bridge.proofs import ready_mac
from firmware_bridge.session import SILENT_AFTER_MS
from firmware_bridge.states import Machine
from hw_sim import mcu
from hw_sim.mcu import HELLO_SLOWEST_MS, LinkState
from tests.firmware_bridge.pair import KEY, NAME, Pair, sent_by

Walked = list[tuple[Any, Any]]


@pytest.fixture
def walked(monkeypatch: pytest.MonkeyPatch) -> Walked:
    """Every move that is made, of either side."""
    made: Walked = []
    move = Machine.move

    def note(machine: Machine[Any, Any], cue: Any) -> None:
        made.append((machine.state, cue))
        move(machine, cue)

    monkeypatch.setattr(Machine, "move", note)
    return made


# -- the gateway -------------------------------------------------------------------------------------------------------


def greet(pair: Pair, hello: Hello) -> Welcome:
    [welcome] = sent_by(pair.session.feed(hello, pair.now_ms))
    assert isinstance(welcome, Welcome)
    return welcome


def prove(pair: Pair, hello: Hello, key: bytes = KEY) -> None:
    pair.session.feed(Ready(mac=ready_mac(key, hello, greet(pair, hello))), pair.now_ms)


def stranger(pair: Pair) -> Hello:
    pair.disk.keys["bar-2"] = KEY
    return msgspec.structs.replace(pair.hello(), dispenser="bar-2")


def say_ready_of_a_stranger(pair: Pair) -> None:
    """While a link is open, only who greeted on it without closing it can be the one that proves itself."""
    prove(pair, stranger(pair))


def come_keyless(pair: Pair) -> None:
    pair.disk.unprovisioned[NAME] = KEY
    pair.session.feed(msgspec.structs.replace(pair.hello(), key_id=None), pair.now_ms)


REACH_GATEWAY: dict[State, Callable[[Pair], object]] = {
    State.OPENING: lambda pair: None,
    State.PROVING: lambda pair: greet(pair, pair.hello()),
    State.OPEN: lambda pair: prove(pair, pair.hello()),
}
CUE_GATEWAY: dict[moves.Cue, Callable[[Pair], object]] = {
    moves.Cue.HELLO: lambda pair: greet(pair, pair.hello()),
    moves.Cue.BAD_HELLO: lambda pair: pair.session.feed(msgspec.structs.replace(pair.hello(), lowest=9), pair.now_ms),
    moves.Cue.KEYLESS_HELLO: come_keyless,
    moves.Cue.READY: say_ready_of_a_stranger,
    moves.Cue.BAD_READY: lambda pair: pair.session.feed(Ready(mac=bytes(32)), pair.now_ms),
    moves.Cue.STRANGER: lambda pair: greet(pair, stranger(pair)),
    moves.Cue.UNPROVED: lambda pair: pair.session.tick(pair.now_ms + SILENT_AFTER_MS),
    moves.Cue.SILENT: lambda pair: pair.session.tick(pair.now_ms + SILENT_AFTER_MS),
    moves.Cue.CLOSE: lambda pair: pair.session.close("gone"),
}


@pytest.mark.parametrize(("state", "cue"), moves.MOVES, ids=lambda value: value.name)
def test_the_gateway_walks_every_row(pair: Pair, walked: Walked, state: State, cue: moves.Cue) -> None:
    REACH_GATEWAY[state](pair)
    assert pair.session.state is state
    CUE_GATEWAY[cue](pair)
    rows = [row for row in walked if isinstance(row[0], State)]
    assert rows[-1] == (state, cue)
    assert pair.session.state is moves.MOVES[state, cue]


# -- the dispenser -----------------------------------------------------------------------------------------------------


def hear(message: Callable[[Pair], Any]) -> Callable[[Pair], None]:
    return lambda pair: pair.mcu.feed(message(pair), pair.now_ms)


def speak(pair: Pair) -> None:
    """The line is free."""
    said = pair.mcu.next_message(pair.now_ms)
    assert said is not None
    pair.sent.append(said)


def last_hello(pair: Pair) -> Hello:
    return [message for message in pair.sent if isinstance(message, Hello)][-1]


def wait_and_speak(pair: Pair) -> None:
    pair.now_ms += HELLO_SLOWEST_MS
    speak(pair)


def keyless(pair: Pair) -> Provision:
    pair.mcu.key = None
    return Provision(nonce=last_hello(pair).nonce, secret=KEY)


def ask_late(pair: Pair) -> HelloRequest:
    """Not just after a HELLO, which it would have crossed."""
    pair.now_ms += 500
    return HelloRequest()


CUE_DISPENSER: dict[mcu.Cue, Callable[[Pair], object]] = {
    mcu.Cue.LINK_UP: lambda pair: pair.mcu.link_up(pair.now_ms),
    mcu.Cue.LINK_DOWN: lambda pair: pair.mcu.link_down(),
    mcu.Cue.SAY_HELLO: speak,
    mcu.Cue.HELLO_AGAIN: wait_and_speak,
    mcu.Cue.WELCOME: hear(lambda pair: greet(pair, last_hello(pair))),
    mcu.Cue.SAY_READY: speak,
    mcu.Cue.ASKED: hear(ask_late),
    mcu.Cue.RENEWED: hear(lambda pair: Reject(reason="stale_ring", nonce=last_hello(pair).nonce)),
    mcu.Cue.PROVISIONED: hear(keyless),
    mcu.Cue.REJECTED: hear(lambda pair: Reject(reason="unadopted")),
    mcu.Cue.LOST: lambda pair: pair.mcu.greet_again(),
}
TO_OPEN = (mcu.Cue.LINK_UP, mcu.Cue.SAY_HELLO, mcu.Cue.WELCOME, mcu.Cue.SAY_READY)
REACH_DISPENSER: dict[LinkState, tuple[mcu.Cue, ...]] = {
    LinkState.DOWN: (),
    LinkState.GREETING: TO_OPEN[:1],
    LinkState.WAITING: TO_OPEN[:2],
    LinkState.PROVING: TO_OPEN[:3],
    LinkState.OPEN: TO_OPEN,
    LinkState.BACKING_OFF: (*TO_OPEN[:2], mcu.Cue.REJECTED),
}


@pytest.mark.parametrize(("state", "cue"), mcu.MOVES, ids=lambda value: value.name)
def test_the_dispenser_walks_every_row(pair: Pair, walked: Walked, state: LinkState, cue: mcu.Cue) -> None:
    pair.mcu.link_down()
    for step in REACH_DISPENSER[state]:
        CUE_DISPENSER[step](pair)
    assert pair.mcu.state is state
    CUE_DISPENSER[cue](pair)
    rows = [row for row in walked if isinstance(row[0], LinkState)]
    assert rows[-1] == (state, cue)
    assert pair.mcu.state is mcu.MOVES[state, cue]
