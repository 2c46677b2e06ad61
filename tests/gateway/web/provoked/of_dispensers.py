"""Dispensers, which say HELLO on links without a line.

Real ones that come, go, are adopted and do not do what they are told are in test_repairs_page.py, test_told_again.py
and test_dispensers_in_browser.py.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

from firmware_bridge.link import Link
from firmware_bridge.messages import Hello, NozzleInfo
from firmware_bridge.serial_link import SerialLink
from firmware_bridge.verbs import Identify
from gateway.adoption import STUBBORN, _Handing
from gateway.home_assistant import HomeAssistant
from gateway.menus import Menus
from tests.gateway.web.conftest import Down, Inside
from tests.gateway.web.provoked.registry import provokes


def stranger(name: str = "bar-7", versions: tuple[int, ...] = (1, 2)) -> Hello:
    """One that is not known."""
    return Hello(
        dispenser=name, firmware="1", versions=versions, nozzles=(NozzleInfo(1, "table-red", 500),), generation=1,
        lowest=1, next=1, nonce=bytes(8), boot=1, uptime_ms=0,
    )  # fmt: skip


@provokes("dispenser_unadopted", "adopt")
async def _waits(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    gate = inside.state.dispensers
    Link("/dev/ttyUSB7", Down(), gate, gate).receive(stranger(), 0)
    yield
    await inside.state.adoption.forget("bar-7")  # it never came, and is no other test's business
    silent(inside)


@provokes("dispensers_wait")
async def _many_wait(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    gate = inside.state.dispensers
    for number in range(9):
        Link(f"/dev/ttyUSB{number}", Down(), gate, gate).receive(stranger(f"bar-{number}"), 0)
    yield
    silent(inside)


def silent(inside: Inside) -> None:
    """Whoever waits to be let in was taken away, a while ago."""
    for one in list(inside.state.dispensers.strangers):
        one.last_s = time.monotonic() - 100


@provokes("dispenser_turned_away")
async def _turned_away(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    gate = inside.state.dispensers
    port = inside.state.serial["/dev/ttyUSB0"] = SerialLink("/dev/ttyUSB0", 115_200, gate, gate)
    port.link.receive(stranger(versions=(99,)), 0)
    yield
    del inside.state.serial["/dev/ttyUSB0"]


@provokes("dispenser_offline")
async def _offline(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    hello = inside.hello()
    gone = inside.state.dispensers.known["hot-bar-1"].link
    assert gone is not None
    inside.state.dispensers.closed(gone, hello, "silent")
    yield
    inside.hello()


@provokes("command_failed")
async def _failed(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    # the simulator fails in no command that it begins, but by a power cut: tests/faults has those
    hello, commands = inside.hello(), inside.state.commands
    order = await commands.enqueue(hello.dispenser, Identify(seconds=1), 60, asked_by="test")
    commands.unhappy[hello.dispenser] = replace(order, state="failed", ended_ms=order.created_ms)
    yield
    await commands.look(inside.state.dispensers.reach)  # another one to it ends


@provokes("planogram_differs", "as-it-is")
async def _differs(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    hello = inside.hello((1, "table-red", 500))
    await inside.state.adoption.place(hello.dispenser, {1: "miso-piri"})
    yield
    await inside.state.adoption.place(hello.dispenser, {1: "table-red"})


@provokes("key_not_taken")
async def _stubborn(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    inside.hello()
    handings = inside.state.adoption._handings
    # it was sent for minutes: a dispenser to which it is sent in vain is in test_told_again.py
    handings["hot-bar-1", bytes] = _Handing(bytes(32), tries=STUBBORN)
    yield
    del handings["hot-bar-1", bytes]


@provokes("limit_unconfirmed")
async def _hot(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    inside.hello((2, "reaper-raw", 500))
    # the limit is gateway.toml's, and read at the start
    before = inside.state.recommender.menus
    inside.state.recommender.menus = Menus(inside.state.catalog, 50_000)
    yield
    inside.state.recommender.menus = before


@provokes("home_untold")
async def _too_much(inside: Inside, _directory: Path) -> AsyncIterator[None]:
    # a HELLO has no more nozzles than fit: a database of before may
    inside.hello()
    home = HomeAssistant(inside.state)
    [told] = home._look()
    many = tuple((number, "table-red", 100) for number in range(80))
    home._tell([replace(told, nozzles=many)], lambda _topic, _payload: None)
    yield
    home._tell([told], lambda _topic, _payload: None)
