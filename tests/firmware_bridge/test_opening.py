"""Firmware and link session, back to back: HELLO, WELCOME, READY, and who is not let in."""

from __future__ import annotations

import random
from itertools import repeat
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.actions import Arrived, Opened
from firmware_bridge.messages import Ack, EventMessage, Hello, NozzleInfo, Ready, Reject, Welcome
from firmware_bridge.moves import State
from firmware_bridge.session import LinkSession
from hw_sim.mcu import LinkState
from tests.firmware_bridge.pair import NAME, Pair, sent_by
from tests.firmware_bridge.wire import LOST, Wire


def test_opens_in_three_steps(pair: Pair) -> None:
    pair.open_up()
    assert [type(message) for message in pair.sent] == [Hello, Ready]
    assert pair.session.dispenser == NAME
    assert pair.opened[0].nozzles == pair.panel.nozzles()


def test_no_event_and_no_ask_before_ready(pair: Pair) -> None:
    pair.pour(3)
    pair.ask()
    pair.run_until(lambda: pair.delivered)
    assert [type(message) for message in pair.sent[:2]] == [Hello, Ready]


def test_a_gateway_with_another_key_is_not_believed(pair: Pair) -> None:
    pair.disk.key_of = lambda dispenser, key_id: bytes(32)  # type: ignore[method-assign]
    pair.pour()
    pair.run(5_000)
    assert pair.mcu.state is not LinkState.OPEN
    assert pair.mcu.counters.foreign_welcomes >= 2
    assert not any(isinstance(message, EventMessage | Ready) for message in pair.sent)


def test_a_dispenser_with_another_key_is_refused(pair: Pair) -> None:
    hello = pair.hello()
    pair.session.feed(hello, pair.now_ms)
    [reject] = sent_by(pair.session.feed(Ready(mac=bytes(32)), pair.now_ms))
    assert reject == Reject(reason="bad_mac", versions=(1, 2), detail="the key does not fit", nonce=hello.nonce)
    assert pair.session.state is State.OPENING


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dispenser": "Bar_1"}, "dispenser: 1 to 32 of a-z, 0-9 and -, no - at the ends"),
        ({"lowest": 9, "next": 8}, "lowest 9 above next 8"),
        ({"nozzles": tuple(NozzleInfo(number, "s", 1) for number in range(1, 14))}, "13 nozzles, at most 12"),
        ({"nozzles": tuple(NozzleInfo(number, "s", 1) for number in (1, 2, 1))}, "nozzle 1 stands 2 times"),
    ],
)
def test_a_hello_that_can_not_be_is_told_why(pair: Pair, change: dict[str, Any], words: str) -> None:
    hello = msgspec.structs.replace(pair.hello(), **change)
    [reject] = sent_by(pair.session.feed(hello, pair.now_ms))
    assert reject == Reject(reason="malformed", versions=(1, 2), detail=words, nonce=hello.nonce)
    assert pair.session.state is State.OPENING


def test_a_replayed_opening_proves_nothing(pair: Pair) -> None:
    pair.open_up()
    hello, ready = pair.sent[:2]
    pair.restart_gateway()
    assert [type(message) for message in sent_by(pair.session.feed(hello, pair.now_ms))] == [Welcome]
    assert [type(message) for message in sent_by(pair.session.feed(ready, pair.now_ms))] == [Reject]
    assert pair.session.state is State.OPENING


def test_a_replayed_ready_changes_nothing_on_an_open_link(pair: Pair) -> None:
    pair.open_up()
    assert pair.session.feed(pair.sent[1], pair.now_ms) == []
    assert pair.session.state is State.OPEN
    assert pair.session.counters.unexpected == 1


def test_a_replayed_welcome_is_ignored(pair: Pair) -> None:
    welcome = _first_welcome(pair)
    pair.open_up()
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
    pair.run_until(lambda: pair.is_open, 10_000)


def test_versions_without_one_in_common_are_told(pair: Pair) -> None:
    hello = msgspec.structs.replace(pair.hello(), versions=(7, 9))
    [reject] = sent_by(pair.session.feed(hello, 0))
    assert isinstance(reject, Reject)
    assert (reject.reason, reject.versions) == ("version", (1, 2))


def test_a_lost_welcome_or_hello_costs_a_second(tmp_path: Path) -> None:
    pair = Pair(tmp_path, up=[LOST], down=["", LOST])
    pair.run_until(lambda: pair.is_open, 5_000)


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
    pair.run_until(lambda: pair.is_open, 30_000)


def test_a_gateway_that_restarted_asks_for_a_hello(pair: Pair) -> None:
    pair.open_up()
    pair.restart_gateway()
    pair.run_until(lambda: pair.is_open, 1_500)


def test_a_replaced_session_says_so_and_never_acknowledges_again(pair: Pair) -> None:
    pair.open_up()
    pair.pour(2)
    pair.run_until(lambda: len(pair.arrived) == 2)
    pair.perform(pair.session.close("replaced"))
    assert pair.closed == ["replaced"]
    pair.run(500)
    assert pair.mcu.state is LinkState.BACKING_OFF
    assert pair.ring.header.held == 2
    assert pair.session.feed(pair.hello(), pair.now_ms) == []


def test_the_newest_ready_wins(pair: Pair) -> None:
    """A dispenser that proves itself on a second link is let in there; its owner closes the first."""
    pair.open_up()
    older, newer = pair.session, LinkSession(pair.disk, random.Random(1).randbytes, pair.now_ms)
    [welcome] = sent_by(newer.feed(pair.hello(), pair.now_ms))
    pair.mcu.feed(welcome, pair.now_ms)
    ready = pair.mcu.next_message(pair.now_ms)
    assert isinstance(ready, Ready)
    [opened] = newer.feed(ready, pair.now_ms)
    assert isinstance(opened, Opened)
    older.close("replaced")
    pair.pour()
    event = pair.mcu.next_message(pair.now_ms)
    assert isinstance(event, EventMessage)
    assert older.feed(event, pair.now_ms) == older.committed(1, 1) == []
    assert newer.feed(event, pair.now_ms) == [Arrived(event)]
    assert sent_by(newer.committed(1, 1)) == [Ack(generation=1, sequence=1, window=128)]


def test_silence_closes_the_session_and_makes_the_dispenser_say_hello(pair: Pair) -> None:
    pair.open_up()
    pair.up, pair.down = Wire(repeat(LOST)), Wire(repeat(LOST))
    pair.run(15_000)
    assert pair.closed == ["silent"]
    assert pair.mcu.counters.hellos > 1


def test_pings_keep_a_quiet_link_open(pair: Pair) -> None:
    pair.open_up()
    pair.run(60_000)
    assert pair.is_open
    assert pair.closed == []
    assert pair.mcu.counters.hellos == 1


def _first_welcome(pair: Pair) -> Welcome:
    """The gateway's answer to the dispenser's HELLO, not delivered."""
    [welcome] = sent_by(pair.session.feed(pair.hello(), pair.now_ms))
    assert isinstance(welcome, Welcome)
    return welcome
