"""Which of a dispenser's links is in use, where it has two, and where two have its name."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cloud_sync.log import BURST, BoundedHandler
from firmware_bridge.link import Link
from firmware_bridge.messages import DownMessage, Hello, HelloRequest, Ready, Reject, Welcome
from firmware_bridge.proofs import ready_mac
from gateway.assembly import assemble
from gateway.config import load_config
from gateway.dispensers import Dispensers
from gateway.parts import DaemonHands
from gateway.state import GatewayState
from gateway.venue import Venue
from tests.gateway.web.conftest import DISPENSER_KEY, write_config
from tests.servers import free_port

NAME = "hot-bar-1"


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[GatewayState]:
    async with assemble(load_config(write_config(tmp_path, free_port()))) as state:
        yield state


class Line:
    """A link, and what came down."""

    def __init__(self, dispensers: Dispensers, name: str, generation: int = 7) -> None:
        self.link = Link(name, self, dispensers, dispensers)
        self.heard: list[DownMessage] = []
        self._generation = generation

    def send(self, message: DownMessage, version: int, written: object = None) -> None:
        """See `Transport.send`."""
        self.heard.append(message)

    def greet(self, name: str = NAME) -> DownMessage:
        """Say HELLO, and READY if it is welcome; the answer to HELLO."""
        hello = Hello(
            dispenser=name,
            firmware="1.0.0",
            versions=(1,),
            nozzles=(),
            generation=self._generation,
            lowest=1,
            next=1,
            nonce=os.urandom(8),
            boot=1,
            uptime_ms=0,
        )
        self.link.receive(hello, 0)
        answer = self.heard[-1]
        if isinstance(answer, Welcome):
            self.link.receive(Ready(mac=ready_mac(DISPENSER_KEY, hello, answer)), 0)
            assert self.link.open
        else:
            assert isinstance(answer, Reject)
            assert answer.nonce == hello.nonce
        return answer


async def test_a_replaced_line_waits_until_the_newer_one_is_gone(state: GatewayState) -> None:
    gate = state.dispensers
    older, newer = Line(gate, "serial"), Line(gate, "mqtt")
    older.greet()
    newer.greet()
    assert [message.reason for message in older.heard if isinstance(message, Reject)] == ["replaced"]
    again = Line(gate, "serial")  # the port, opened anew
    assert isinstance(again.greet(), Reject)
    assert gate.known[NAME].link is newer.link
    assert again.link.session.counters.rejected == {}, "its own other line is no fault"
    assert gate.known[NAME].resting == {"serial"}
    newer.link.close("silent")
    assert gate.known[NAME].resting == set()
    assert isinstance(again.greet(), Welcome)
    assert gate.known[NAME].link is again.link
    assert gate.known[NAME].openings == 3


async def test_a_line_that_was_never_replaced_takes_over(state: GatewayState) -> None:
    gate = state.dispensers
    lines = [Line(gate, name) for name in ("usb-1", "usb-2", "usb-3")]
    assert [type(line.greet()) for line in lines] == [Welcome, Welcome, Welcome]
    assert gate.known[NAME].link is lines[-1].link


async def test_the_line_in_use_may_say_hello_again(state: GatewayState) -> None:
    older, newer = Line(state.dispensers, "serial"), Line(state.dispensers, "mqtt")
    older.greet()
    newer.greet()
    assert isinstance(newer.greet(), Welcome)


async def test_another_dispenser_of_the_name_is_told_of(state: GatewayState) -> None:
    one, other = Line(state.dispensers, "usb-1", generation=7), Line(state.dispensers, "usb-2", generation=8)
    one.greet()
    other.greet()
    again = Line(state.dispensers, "usb-1", generation=7)
    assert isinstance(again.greet(), Reject)
    assert again.link.session.counters.rejected == {"replaced": 1}


async def test_names_that_are_made_up_fill_no_log(state: GatewayState) -> None:
    stream, now_s = io.StringIO(), 0.0
    handler, logger = BoundedHandler(stream, lambda: now_s), logging.getLogger("gateway.dispensers")
    logger.addHandler(handler)
    try:
        port = Line(state.dispensers, "/dev/ttyUSB0")
        for number in range(1_000):
            port.greet(f"x-{number}")
            Line(state.dispensers, f"mqtt:y-{number}").greet(f"y-{number}")
        Line(state.dispensers, "/dev/ttyUSB1").greet("honest")
        now_s = 60.0
        handler.catch_up()
    finally:
        logger.removeHandler(handler)
    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["line"] for line in lines] == [
        *["/dev/ttyUSB0", "mqtt"] * BURST,
        "/dev/ttyUSB1",
        "/dev/ttyUSB0",
        "mqtt",
    ]
    assert [line["left_out"] for line in lines[-2:]] == [1_000 - BURST - 1] * 2
    assert lines[2 * BURST]["stranger"] == "honest"


@pytest.mark.parametrize("limit_shu", [None, 50_000])
async def test_where_there_is_a_limit_another_catalogue_has_all_greeted_anew(
    state: GatewayState, limit_shu: int | None
) -> None:
    state.recommender._venue = Venue(limit_shu)
    line = Line(state.dispensers, "serial")
    line.greet()
    DaemonHands(state).use_door(state.ingest.door)
    invited = any(isinstance(message, HelloRequest) for message in line.heard)
    assert invited is (limit_shu is not None)
