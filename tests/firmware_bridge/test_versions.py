"""Older and newer dispensers, keys that are given and changed, and samples and commands, which version 2 brought."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from firmware_bridge import proofs
from firmware_bridge.actions import Arrived, Refused, Resulted, Send
from firmware_bridge.codec import body_map, decode_packet, encode_packet
from firmware_bridge.messages import (
    VERSIONS,
    Ack,
    Command,
    EventMessage,
    Hello,
    Look,
    Provision,
    Ready,
    Reject,
    Result,
    Sample,
    Series,
    Welcome,
)
from firmware_bridge.session import LinkSession, Terms
from firmware_bridge.verbs import SetKey
from hw_sim.mcu import LinkState
from tests.firmware_bridge.pair import KEY, NAME, Pair, sent_by

NEW_KEY = bytes(range(100, 132))
SAMPLE = Sample(uptime_ms=1000, period_ms=100, series=(Series(2, 1, (700, 699)),))


def boot(pair: Pair, *, versions: tuple[int, ...] = VERSIONS, key: bytes | None = KEY) -> None:
    """The dispenser starts anew, with this firmware and this key."""
    pair.versions, pair.panel.kept = versions, key
    pair.reboot()


BLINK = Command(id=bytes(8), verb="identify", boot=1, expires_uptime_ms=10**6, arguments={1: 5})


# -- versions ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("versions", [(1,), (2,), (1, 2), (2, 1, 3), (1, 9)])
def test_the_highest_version_that_both_speak_is_spoken(pair: Pair, versions: tuple[int, ...]) -> None:
    boot(pair, versions=versions)
    pair.pour(5)
    pair.run_until(lambda: pair.delivered)
    expected = max(set(versions) & set(VERSIONS))
    assert pair.session.version == pair.mcu.version == expected
    assert pair.sequences == [1, 2, 3, 4, 5]


def test_an_older_dispenser_is_sent_nothing_that_it_does_not_know(pair: Pair) -> None:
    boot(pair, versions=(1,))
    pair.open_up()
    [hello] = [message for message in pair.sent if isinstance(message, Hello)]
    assert hello.key_id is None
    assert hello.hardware is None
    pair.pour()
    pair.run_until(lambda: pair.delivered)
    [event] = [message for message in pair.sent if isinstance(message, EventMessage)]
    assert sent_by(pair.session.feed(event, pair.now_ms)) == [Ack(generation=1, sequence=1)], "without a window"
    pair.mcu.offer(SAMPLE)
    pair.mcu.report(Result(command=bytes(8), outcome="done"))
    pair.run(500)
    assert not any(isinstance(message, Sample | Result) for message in pair.sent)


@pytest.mark.parametrize(("versions", "told"), [((1,), ()), (VERSIONS, (2,))])
def test_an_older_dispenser_is_not_told_what_to_confirm(
    pair: Pair, versions: tuple[int, ...], told: tuple[int, ...]
) -> None:
    pair.disk.confirm = (2,)
    [welcome] = sent_by(pair.session.feed(msgspec.structs.replace(pair.hello(), versions=versions), 0))
    assert isinstance(welcome, Welcome)
    assert welcome.confirm == told


def test_a_welcome_without_a_list_empties_it(pair: Pair) -> None:
    for confirm in ((2,), ()):
        pair.disk.confirm = confirm
        boot(pair)
        pair.open_up()
        assert pair.panel.confirm == confirm


def test_a_newer_dispenser_is_told_what_is_spoken(pair: Pair) -> None:
    boot(pair, versions=(3, 4))
    pair.run(100)
    assert pair.mcu.state is LinkState.BACKING_OFF
    assert ("version", "spoken here: 1, 2") in pair.refused
    [hello] = [message for message in pair.sent if isinstance(message, Hello)]
    assert encode_packet(hello, 4)[0] == 1, "whatever it speaks, its HELLO can be read"


@pytest.mark.parametrize("written_as", VERSIONS)
def test_a_reader_goes_by_the_version_in_the_frame(pair: Pair, written_as: int) -> None:
    """What was under way when a link opened anew may be of the one before."""
    pair.open_up()
    pair.pour()
    event = pair.mcu.next_message(pair.now_ms)
    assert isinstance(event, EventMessage)
    came = decode_packet(encode_packet(event, written_as))
    assert isinstance(came, EventMessage)
    assert pair.session.feed(came, pair.now_ms) == [Arrived(came)]


def test_a_version_can_not_be_talked_down(pair: Pair) -> None:
    """Whoever sits on the line changes what HELLO offers, or what WELCOME names: the MACs cover both."""
    hello = pair.hello()
    [welcome] = sent_by(pair.session.feed(msgspec.structs.replace(hello, versions=(1,)), 0))
    assert isinstance(welcome, Welcome)
    pair.mcu.feed(welcome, 0)
    assert pair.mcu.state is LinkState.WAITING
    [welcome] = sent_by(pair.session.feed(hello, 0))
    assert isinstance(welcome, Welcome)
    pair.mcu.feed(msgspec.structs.replace(welcome, version=1), 0)
    assert pair.mcu.state is LinkState.WAITING
    assert pair.mcu.counters.foreign_welcomes == 2


# -- keys --------------------------------------------------------------------------------------------------------------


def test_a_dispenser_from_the_factory_gets_its_key_once_it_is_adopted(pair: Pair) -> None:
    pair.disk.keys = {}
    boot(pair, key=None)
    pair.pour(3)
    pair.run(3_000)
    assert pair.mcu.state is LinkState.BACKING_OFF
    assert pair.ring.header.held == 3
    assert set(pair.refused) == {("unadopted", "it has no key: adopt it")}
    pair.disk.keys[NAME] = pair.disk.unprovisioned[NAME] = NEW_KEY
    pair.run_until(lambda: pair.delivered, 9_000)
    assert pair.panel.kept == NEW_KEY
    assert pair.opened[0].key_id == proofs.key_id(NEW_KEY)
    assert pair.sequences == [1, 2, 3]


def test_a_key_is_not_said_where_others_may_hear(pair: Pair) -> None:
    boot(pair, key=None)
    pair.disk.unprovisioned[NAME] = NEW_KEY
    session = LinkSession(pair.disk, bytes, 0, Terms(private=False))
    hello = pair.hello()
    [said, refused] = session.feed(hello, 0)
    assert isinstance(said, Send)
    assert isinstance(said.message, Reject)
    assert refused == Refused(hello, "unadopted", "a key is given on a serial line or over TLS only")


@pytest.mark.parametrize("has", [KEY, None])
def test_only_a_keyless_dispenser_takes_a_key_and_only_in_answer_to_its_hello(pair: Pair, has: bytes | None) -> None:
    boot(pair, key=has)
    hello = pair.hello()
    pair.mcu.feed(Provision(nonce=bytes(16), secret=NEW_KEY), pair.now_ms)
    assert pair.panel.kept == has
    pair.mcu.feed(Provision(nonce=hello.nonce, secret=NEW_KEY), pair.now_ms)
    assert pair.panel.kept == (has or NEW_KEY)
    pair.mcu.feed(Provision(nonce=hello.nonce, secret=KEY), pair.now_ms)
    assert pair.panel.kept == (has or NEW_KEY), "one HELLO, one key"


def test_a_dispenser_with_another_key_keeps_its_events_and_is_told(pair: Pair) -> None:
    boot(pair, key=NEW_KEY)
    pair.pour(2)
    pair.run(2_500)
    assert pair.ring.header.held == 2
    assert set(pair.refused) == {("unadopted", "its key is not known here: adopt it")}
    assert not any(isinstance(message, Ready | EventMessage) for message in pair.sent)


SET_KEY = SetKey(masked=NEW_KEY, key_id=bytes(4))


@pytest.mark.parametrize(
    "shown",
    [
        Provision(nonce=bytes(8), secret=NEW_KEY),
        SET_KEY,
        msgspec.structs.replace(BLINK, verb="set_key", arguments=body_map(SET_KEY)),
    ],
)
def test_a_key_shows_in_no_repr(shown: object) -> None:
    assert NEW_KEY.hex() not in repr(shown)
    assert repr(NEW_KEY) not in repr(shown)


# -- commands and samples ----------------------------------------------------------------------------------------------


def test_a_command_is_carried_out_and_its_result_comes_up(pair: Pair) -> None:
    pair.open_up()
    pair.send_down(BLINK)
    pair.run(50)
    assert pair.panel.carried_out == [BLINK]
    assert pair.results == [Result(command=BLINK.id, outcome="done")]


def test_what_came_before_the_link_was_open_is_not_carried_out(pair: Pair) -> None:
    pair.mcu.feed(BLINK, 0)
    assert pair.panel.carried_out == []
    result = Result(command=bytes(8), outcome="done")
    assert not any(isinstance(action, Resulted) for action in pair.session.feed(result, 0))


def test_samples_come_up_when_nothing_else_is_to_be_sent(pair: Pair) -> None:
    pair.open_up()
    pair.mcu.offer(SAMPLE)
    pair.run(50)
    assert pair.samples == [SAMPLE]


def test_samples_are_thinned_under_pressure_and_events_never(pair: Pair) -> None:
    pair.open_up()
    pair.pour(40)
    for _ in range(5):
        pair.mcu.offer(SAMPLE)
    pair.run_until(lambda: pair.delivered)
    pair.run(100)
    assert pair.sequences == list(range(1, 41))
    assert pair.samples == [msgspec.structs.replace(SAMPLE, shed=4)]
    first = next(n for n, message in enumerate(pair.sent) if isinstance(message, Sample))
    assert sum(isinstance(message, EventMessage) for message in pair.sent[:first]) == 40


def test_a_gateway_without_room_sheds_samples_itself(pair: Pair) -> None:
    pair.open_up()
    pair.room = lambda: False
    pair.mcu.offer(SAMPLE)
    pair.run(50)
    assert (pair.samples, pair.session.counters.samples_shed) == ([], 1)


# -- flow control ------------------------------------------------------------------------------------------------------


def events_sent(pair: Pair) -> int:
    return sum(isinstance(message, EventMessage) for message in pair.sent)


def test_a_busy_gateway_makes_the_dispenser_keep_its_events(pair: Pair) -> None:
    pair.open_up()
    pair.room = lambda: False
    pair.pour(50)
    pair.run(1_000)
    under_way = events_sent(pair)
    pair.run(20_000)
    assert events_sent(pair) - under_way <= 10, "one every 2 s, in case the gateway's word was lost"
    assert pair.ring.header.held == 50
    assert pair.opened == pair.opened[:1], "patience is no reason for another HELLO"
    pair.room = lambda: True
    pair.run_until(lambda: pair.delivered, 1_500)
    assert pair.sequences == list(range(1, 51))


def test_a_gateway_that_has_room_again_says_so_by_itself(pair: Pair) -> None:
    pair.open_up()
    pair.pour(1)
    event = pair.mcu.next_message(pair.now_ms)
    assert isinstance(event, EventMessage)
    assert sent_by(pair.session.feed(event, pair.now_ms, room=False)) == [Ack(generation=1, sequence=0, window=0)]
    assert pair.session.tick(pair.now_ms, room=False) == []
    assert sent_by(pair.session.tick(pair.now_ms)) == [Ack(generation=1, sequence=0, window=128)]
    assert pair.session.tick(pair.now_ms) == [], "once: whoever missed it asks"


@pytest.mark.parametrize("lost", range(6))
def test_it_goes_on_whichever_word_about_room_is_lost(tmp_path: Path, lost: int) -> None:
    pair = Pair(tmp_path, down=["", *["lost" if n == lost else "" for n in range(6)]])
    pair.open_up()
    pair.room = lambda: False
    pair.pour(20)
    pair.run(3_000)
    assert pair.ring.header.held == 20
    pair.room = lambda: True
    pair.run_until(lambda: pair.delivered, 6_000)
    assert pair.sequences == list(range(1, 21))


def test_a_ring_that_overflows_while_it_waits_says_so(pair: Pair) -> None:
    pair.open_up()
    pair.room = lambda: False
    pair.pour(10)
    pair.run(1_000)
    pair.pour(200)
    pair.run(1_000)
    dropped = pair.ring.header.dropped
    assert dropped > 0
    pair.room = lambda: True
    pair.run_until(lambda: pair.delivered, 6_000)
    assert len(pair.disk.stored) + dropped == 210
    assert sum(last - first + 1 for _, first, last in pair.disk.gaps) == dropped


def test_an_older_dispenser_in_front_of_a_busy_gateway_loses_nothing(pair: Pair) -> None:
    boot(pair, versions=(1,))
    pair.open_up()
    pair.room = lambda: False
    pair.pour(30)
    pair.run(5_000)
    assert pair.ring.header.held == 30
    pair.room = lambda: True
    pair.run_until(lambda: pair.delivered, 12_000)
    assert pair.sequences == list(range(1, 31))


def test_an_older_dispenser_is_patient_with_a_gateway_that_has_no_room(pair: Pair) -> None:
    """Each opening finds it as patient as it was: it does not begin anew with all its haste."""
    boot(pair, versions=(1,))
    pair.open_up()
    pair.room = lambda: False
    pair.pour(5)
    pair.run(60_000)
    before = events_sent(pair)
    pair.run(80_000)
    assert 1 <= (events_sent(pair) - before) // 5 <= 14, "a turn every 8 s, and one at each opening"


# -- looks -------------------------------------------------------------------------------------------------------------


def test_a_look_is_over_after_its_time_and_forgotten_at_a_start(pair: Pair) -> None:
    pair.open_up()
    pair.mcu.feed(Look(seconds=30), pair.now_ms)
    assert pair.mcu.looked_at(pair.now_ms + 29_999)
    assert not pair.mcu.looked_at(pair.now_ms + 30_000)
    pair.reboot()
    assert not pair.mcu.looked_at(pair.now_ms)


def test_nobody_looks_at_one_whose_link_is_not_open(pair: Pair) -> None:
    boot(pair)
    pair.mcu.feed(Look(seconds=30), pair.now_ms)
    assert not pair.mcu.looked_at(pair.now_ms)
