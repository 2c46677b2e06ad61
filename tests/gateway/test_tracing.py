"""The tracer: its bounds, what it tells of links that were open before, and that it lets go."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from firmware_bridge import proofs
from firmware_bridge.codec import encode_message, encode_packet
from firmware_bridge.link import Link
from firmware_bridge.messages import Ack, Ask, DownMessage, Hello, NozzleInfo, Ready, Welcome
from gateway.tracing import QUEUED, Tracer
from tests.firmware_bridge.gate import KEY, KeepingGate

ACK = encode_message(Ack(generation=7, sequence=2))


async def taken(
    tracer: Tracer, *links: Link, seconds: float = 0.3, max_bytes: int = 10_000_000
) -> list[dict[str, Any]]:
    return [json.loads(line) async for line in tracer.lines(seconds, max_bytes, links, asyncio.Event())]


async def test_a_trace_is_what_passes_while_it_is_taken() -> None:
    tracer = Tracer("gw-1")
    tracer.serial("tty", "down", ACK)
    trace = asyncio.create_task(taken(tracer))
    await asyncio.sleep(0)
    assert tracer.active
    tracer.serial("tty", "down", ACK)
    tracer.packet("mqtt:bar-1", "up", encode_packet(Ask(session=1, nonce=bytes(8), token="loyalty-4711")))
    head, ack, ask, end = await trace
    assert (head["capture"], head["gateway"]) == (1, "gw-1")
    assert (ack["link"], ack["way"], ack["is"], ack["hex"]) == ("tty", "down", "ack", ACK.hex())
    assert (ask["link"], ask["way"], ask["is"]) == ("mqtt:bar-1", "up", "ask")
    assert b"loyalty".hex() not in ask["hex"]
    assert (end["end"], end["missed"]) == ("seconds", 0)
    assert 0 <= ack["ms"] <= ask["ms"] <= end["ms"]
    assert [line.get("is") for line in await taken(tracer)] == [None, None], "nothing is left of the one before"


@pytest.mark.parametrize("max_bytes", range(1_000, 1_120, 20))
@pytest.mark.parametrize("seconds", [30, 0.01], ids=["while it is taken", "as its time is over"])
async def test_it_is_never_longer_than_it_may_be(max_bytes: int, seconds: float) -> None:
    tracer = Tracer("gw-1")
    lines = tracer.lines(seconds, max_bytes, [], asyncio.Event())
    written = [await anext(lines)]
    for _ in range(100):
        tracer.serial("tty", "down", ACK)
    await asyncio.sleep(0.02 if seconds < 1 else 0)  # its time is over, or is not
    written += [line async for line in lines]
    assert json.loads(written[-1])["end"] == "bytes"
    assert max_bytes - 250 < len(b"".join(written)) <= max_bytes


async def test_it_ends_when_the_daemon_stops_or_nobody_reads() -> None:
    tracer, stopping = Tracer("gw-1"), asyncio.Event()
    lines = tracer.lines(30, 1_000, [], stopping)
    await anext(lines)
    stopping.set()
    assert json.loads(await anext(lines))["end"] == "stopped"
    await lines.aclose()  # type: ignore[attr-defined]  # it is a generator
    assert not tracer.active
    again = tracer.lines(30, 1_000, [], asyncio.Event())
    await anext(again)
    await again.aclose()  # type: ignore[attr-defined]  # as above
    assert not tracer.active


async def test_a_reader_that_is_too_slow_misses_lines_and_is_told() -> None:
    tracer = Tracer("gw-1")
    lines = tracer.lines(0.2, 10_000_000, [], asyncio.Event())
    await anext(lines)
    for _ in range(QUEUED + 50):
        tracer.serial("tty", "down", ACK)
    rest = [json.loads(line) async for line in lines]
    assert rest[-1]["missed"] == 50
    assert len(rest) == QUEUED + 1


async def test_who_was_there_before_is_told_first() -> None:
    welcomes: list[Welcome] = []

    class Down:
        def send(self, message: DownMessage, version: int, written: object = None) -> None:
            if isinstance(message, Welcome):
                welcomes.append(message)

    gate = KeepingGate("bar-1")
    hello = Hello(
        dispenser="bar-1", firmware="1.0.0", versions=(1,), nozzles=(NozzleInfo(1, "table-red", 700),),
        generation=7, lowest=1, next=1, nonce=bytes(16), boot=1, uptime_ms=0,
    )  # fmt: skip
    for name, encode in (("tty", encode_message), ("mqtt:bar-1", encode_packet)):
        link = Link(name, Down(), gate, gate)
        link.receive(hello, 0)
        link.receive(Ready(mac=proofs.ready_mac(KEY, hello, welcomes[-1])), 0)
        _, told, _ = await taken(Tracer("gw-1"), Link("closed", Down(), gate, gate), link, seconds=0.05)
        assert (told["link"], told["is"], told["before"], told["hex"]) == (name, "hello", True, encode(hello).hex())
