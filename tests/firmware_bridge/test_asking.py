"""Firmware and link session, back to back: a customer's question overtakes, and is answered once."""

from __future__ import annotations

from itertools import repeat
from pathlib import Path

from firmware_bridge.messages import Ask, Picks
from tests.firmware_bridge.pair import Pair
from tests.firmware_bridge.wire import DOUBLED, LOST


def test_an_ask_overtakes_queued_events(tmp_path: Path) -> None:
    pair = Pair(tmp_path, capacity=2048)
    pair.open_up()
    pair.pour(2_000)
    pair.run(20)
    pair.ask(token="loyal-1")
    before = pair.ring.header.held
    pair.run_until(lambda: bool(pair.panel.shown), 100)
    assert before - pair.ring.header.held < 200
    assert pair.asks[0].token == "loyal-1"


def test_an_ask_is_repeated_until_answered(pair: Pair) -> None:
    pair.open_up()
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
    pair.open_up()
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
    pair.open_up()
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
    pair.open_up()
    pair.ask()
    pair.run(500)
    assert len(pair.panel.shown) == 1


def test_an_ask_never_shows_its_token_or_what_its_customer_avoids() -> None:
    assert "secret" not in repr(Ask(session=1, nonce=bytes(8), token="secret"))
    assert "peanuts" not in repr(Ask(session=1, nonce=bytes(8), avoid=("peanuts",)))
