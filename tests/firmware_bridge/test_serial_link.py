"""The serial link on real PTYs: opening, losing, reopening, and never waiting for a dispenser that doesn't read."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from firmware_bridge.bodies import PouredBody
from firmware_bridge.messages import Ack, Ask, Picks, Ready, Reject, Welcome
from firmware_bridge.proofs import ready_mac
from firmware_bridge.serial_link import OUT_LIMIT_BYTES, SerialLink
from heat.errors import LinkLost, PortMissing
from tests.firmware_bridge.gate import KEY, KeepingGate
from tests.hand_device import HandDevice
from tests.waiting import wait_until_async

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=4_000, duration_ms=700)


@pytest.fixture
def gate() -> KeepingGate:
    return KeepingGate("hand-1")


@pytest.fixture
def device(tmp_path: Path) -> Iterator[HandDevice]:
    with HandDevice(tmp_path / "port", "hand-1", KEY, sauces=("table-red",)) as device:
        yield device


def serve(device: HandDevice, gate: KeepingGate) -> tuple[SerialLink, asyncio.Task[None]]:
    link = SerialLink(str(device.port), 115200, gate, gate)
    return link, asyncio.create_task(link.run())


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_an_event_is_acknowledged_when_it_is_stored_and_not_before(device: HandDevice, gate: KeepingGate) -> None:
    _, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    for _ in range(3):
        device.send(device.event(POUR))
    await wait_until_async(lambda: len(gate.waiting) == 3, 5, "three events arrived")
    with pytest.raises(AssertionError, match="no .*Ack"):
        await asyncio.to_thread(device.expect_ack, 1, 0.2)
    gate.store_all()
    await asyncio.to_thread(device.expect_ack, 3)
    await end(task)


async def test_a_gate_without_room_leaves_events_on_the_dispenser(device: HandDevice, gate: KeepingGate) -> None:
    link, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    gate.room = False
    event = device.event(POUR)
    device.send(event)
    await wait_until_async(lambda: link.link.session.counters.held_back == 1, 5, "the event was held back")
    gate.room = True
    device.send(event)
    await wait_until_async(lambda: len(gate.waiting) == 1, 5, "sent again, it arrived")
    await end(task)


async def test_an_ask_is_answered(device: HandDevice, gate: KeepingGate) -> None:
    _, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    device.send(Ask(session=1, nonce=bytes(8)))
    picks = await asyncio.to_thread(device.expect, Picks)
    assert picks.nonce == bytes(8)
    await end(task)


async def test_picks_overtake_what_waits_to_be_written(device: HandDevice, gate: KeepingGate) -> None:
    link, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
    sent = 0
    while len(link._out) < 50:  # the kernel takes much before it takes no more
        link.send(Ack(generation=1, sequence=(sent := sent + 1)), 1)
    link.send(Picks(nonce=bytes(8), pick_id="p", picks=()), 1)

    def read_until_picks() -> int:
        last = 0
        kinds: tuple[type[Ack | Picks], ...] = (Ack, Picks)
        while isinstance(message := device.expect(kinds), Ack):
            last = message.sequence
        return last

    assert await asyncio.to_thread(read_until_picks) < sent - 40
    await end(task)


async def test_who_is_put_on_a_port_later_takes_it_only_with_a_proof(device: HandDevice, gate: KeepingGate) -> None:
    gate.names = ("hand-1", "hand-2")
    link, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    await asyncio.to_thread(device.greet, device.hello(dispenser="stranger"), Reject)
    device.send(device.event(POUR))
    await wait_until_async(lambda: len(gate.waiting) == 1, 5, "the proved one is still heard")
    hello = device.hello(dispenser="hand-2", lowest=1, next=1)
    welcome = await asyncio.to_thread(device.greet, hello, Welcome)
    assert link.link.session.dispenser == "hand-1"
    device.send(Ready(mac=ready_mac(KEY, hello, welcome)))
    await wait_until_async(lambda: link.link.session.dispenser == "hand-2", 5, "the other one proved itself")
    await end(task)


async def test_a_pulled_cable_ends_the_link(device: HandDevice, gate: KeepingGate) -> None:
    _, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
    device.pull()
    with pytest.raises(LinkLost, match="port"):
        await asyncio.wait_for(task, 20)
    assert gate.open == {}
    assert gate.closings == ["port closed"]


async def test_a_port_that_goes_while_the_daemon_stops_is_no_error(device: HandDevice, gate: KeepingGate) -> None:
    complaints: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["message"]))

    async def stop_while_it_goes() -> None:
        link, task = serve(device, gate)
        await asyncio.to_thread(device.open)
        await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
        device.pull()
        task.cancel()
        link.send(Ack(generation=1, sequence=1), 1)
        await asyncio.wait([task])

    await stop_while_it_goes()
    gc.collect()  # asyncio complains of an error that nobody saw when its future goes
    assert complaints == []


async def test_a_dispenser_that_does_not_read_is_given_up(device: HandDevice, gate: KeepingGate) -> None:
    link, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    await wait_until_async(lambda: "hand-1" in gate.open, 5, "the link is open")
    name = "x" * 32
    flood = Picks(nonce=bytes(8), pick_id=name, picks=())
    for _ in range(OUT_LIMIT_BYTES // 20):
        link.send(flood, 1)
    with pytest.raises(LinkLost, match="does not read"):
        await asyncio.wait_for(task, 20)


async def test_a_port_that_is_missing_or_in_use_is_named(device: HandDevice, gate: KeepingGate, tmp_path: Path) -> None:
    with pytest.raises(PortMissing, match="nowhere"):
        await SerialLink(str(tmp_path / "nowhere"), 115200, gate, gate).run()
    _, task = serve(device, gate)
    await asyncio.to_thread(device.open)
    with pytest.raises(PortMissing, match="port"):
        await SerialLink(str(device.port), 115200, gate, gate).run()
    await end(task)


async def test_opening_and_losing_leaks_no_descriptor(tmp_path: Path, gate: KeepingGate) -> None:
    descriptors = []
    for _ in range(8):
        with HandDevice(tmp_path / "port", "hand-1", KEY, sauces=("table-red",)) as device:
            _, task = serve(device, gate)
            await asyncio.to_thread(device.open)
            device.pull()
            with pytest.raises(LinkLost):
                await asyncio.wait_for(task, 20)
        descriptors.append(len(os.listdir("/proc/self/fd")))  # noqa: PTH208 -- a count
    assert descriptors[-1] <= descriptors[1]
