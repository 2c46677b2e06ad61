"""A serial line in a bad place, on a real PTY: among good frames come noise, torn and damaged ones, floods.

The good ones are events, each sent once and never again: if one were not read, or anything else were taken for one, no
later one could arrive.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from pathlib import Path

from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import encode_message
from firmware_bridge.framing import MAX_FRAME_BYTES, cobs_encode
from firmware_bridge.link import Delivery
from firmware_bridge.serial_link import SerialLink
from tests.firmware_bridge.gate import KEY, KeepingGate
from tests.hand_device import HandDevice
from tests.waiting import wait_until_async

FRAMES = 10_000
BATCH = 100
"""Frames before the next look: their ACKs fit into a PTY, which nobody reads meanwhile."""
PATIENCE_S = 60
NAME = "hand-1"


class StoringGate(KeepingGate):
    """It stores at once, and keeps what each event poured."""

    def __init__(self) -> None:
        super().__init__(NAME)
        self.volumes: list[object] = []

    def deliver(self, delivery: Delivery) -> None:
        self.volumes.append(delivery.event.body[3])
        super().deliver(delivery)
        self.store_all()


def attempt(directory: Path, seed: int, frames: int = FRAMES) -> None:
    """So many good frames, and more bad ones, through a port.

    Raises:
        AssertionError: one was lost, or another one accepted; with the seed, and how to have it again.
    """
    try:
        asyncio.run(_batter(directory, random.Random(seed), frames))
    except Exception as why:
        raise AssertionError(f'seed {seed}: {why!r}\nagain: make faults ARGS="serial --seed {seed} --runs 1"') from why


async def _batter(directory: Path, rng: random.Random, frames: int) -> None:
    gate = StoringGate()
    with HandDevice(directory / "port", NAME, KEY, sauces=("table-red",)) as device:
        link = SerialLink(str(device.port), 115_200, gate, gate)
        serving = asyncio.create_task(link.run())
        await asyncio.to_thread(device.open)
        for first in range(0, frames, BATCH):
            volumes = range(first, first + BATCH)
            line = b"".join(_among_noise(rng, device, volume) for volume in volumes)
            await asyncio.to_thread(device.write, line)
            await wait_until_async(
                lambda: serving.done() or len(gate.volumes) >= device.sequence, PATIENCE_S, "every good frame was read"
            )
            assert not serving.done(), f"the link ended: {serving}"
            await asyncio.to_thread(device.expect_ack, device.sequence, PATIENCE_S)
        serving.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await serving
    assert gate.volumes == list(range(frames)), "other events than those sent"
    assert (link.link.session.counters.out_of_order, link.link.session.counters.held_back) == (0, 0)
    assert link.link.bad.keys() >= {"cobs", "short", "crc", "oversize"}, f"not bad enough: {link.link.bad}"


def _among_noise(rng: random.Random, device: HandDevice, volume: int) -> bytes:
    """A good frame, after what may happen to a line before it."""
    frame = encode_message(
        device.event(PouredBody(nozzle=1, sauce="table-red", volume_ul=volume, duration_ms=700)),
    )
    before = b""
    while rng.random() < 0.6:
        before += _bad(rng, frame)
    return before + frame


def _bad(rng: random.Random, frame: bytes) -> bytes:
    """Bytes that end within a frame, or with a zero; `frame` is the one that comes next."""
    # neither delimiter: without one, it would be good
    at = rng.randrange(1, len(frame) - 1)
    match rng.choice(["noise", "text", "zeros", "torn", "flipped", "dropped", "repeated", "short", "flood"]):
        case "noise":
            return rng.randbytes(rng.randint(1, 300))
        case "text":
            return b"$GPGGA,123519,4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,*47\r\n"
        case "zeros":
            return bytes(rng.randint(1, 50))
        case "torn":
            return frame[:at]
        case "flipped":
            return frame[:at] + bytes([frame[at] ^ (1 << rng.randrange(8))]) + frame[at + 1 :]
        case "dropped":
            return frame[:at] + frame[at + 1 :]
        case "repeated":
            return frame[:at] + frame[at : at + rng.randint(1, 8)] + frame[at:]
        case "short":
            return b"\x00" + cobs_encode(rng.randbytes(rng.randint(1, 5))) + b"\x00"
        case _:
            return rng.randbytes(rng.randint(MAX_FRAME_BYTES, 5 * MAX_FRAME_BYTES)).replace(b"\x00", b"\x55")
