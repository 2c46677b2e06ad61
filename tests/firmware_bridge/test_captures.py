"""Captures from the field, played against real links: what comes out must stay what it was.

To add one, copy it to `tests/captures/NAME.jsonl` and run this file: it prints what came out, to be looked at and kept
as `tests/captures/NAME.expected.json`.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from firmware_bridge.capture import read_capture
from firmware_bridge.codec import BadMessage, decode_message, decode_packet
from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.link import Link
from firmware_bridge.messages import Ask, DownMessage, Hello
from hw_sim.cast import Role, cast
from hw_sim.replay import Player
from tests.firmware_bridge.gate import KEY, KeepingGate

CAPTURES = Path(__file__).parents[1] / "captures"
LONGEST_MS = 600_000
"""Virtual ms that a capture may take."""


class Counting(KeepingGate):
    """Keeps what the links let through."""

    def __init__(self, dispenser: str) -> None:
        super().__init__(dispenser)
        self.events: list[str] = []
        self.asks: list[str | None] = []
        self.gaps: list[tuple[int, int]] = []

    def opened(self, link: Link, hello: Hello, gap: tuple[int, int] | None) -> None:
        super().opened(link, hello, gap)
        if gap is not None:
            self.gaps.append(gap)
            self.stored[hello.dispenser, hello.generation] = gap[1]

    def ask(self, link: Link, ask: Ask, read_ns: int) -> None:
        self.asks.append(ask.token)
        super().ask(link, ask, read_ns)

    def store_all(self) -> None:
        self.events += [f"{d.event.generation:08x}:{d.event.sequence}" for d in self.waiting]
        super().store_all()


class Down:
    """What goes down is the player's at once."""

    def __init__(self, player: Player) -> None:
        self._player = player

    def send(self, message: DownMessage, version: int, written: object = None) -> None:
        self._player.feed(message)


async def played(name: str, role: Role) -> dict[str, Any]:
    """What comes out of one role of a capture, at full speed."""
    player = Player(role.entries, KEY, random.Random(1).randbytes, speed=0)
    gate = Counting(player.dispenser)
    link = Link(name, Down(player), gate, gate, expect=role.dispenser if role.on_mqtt else None)
    decoder, now_ms = FrameDecoder(), 0
    while not player.over and now_ms < LONGEST_MS:
        data = player.next_bytes(now_ms)
        if data is None:
            now_ms += 100
            continue
        for frame in [data] if role.on_mqtt else decoder.feed(data):
            _take(link, frame)
        gate.store_all()
        await asyncio.sleep(0)  # the links acknowledge in the loop's next turn
    return {
        "dispenser": role.dispenser,
        "events": len(gate.events),
        "first": gate.events[0] if gate.events else None,
        "last": gate.events[-1] if gate.events else None,
        "unacked": player.told.unacked,
        "asks": len(gate.asks),
        "tokens": len(set(gate.asks) - {None}),
        "samples": len(gate.samples),
        "gaps": [list(gap) for gap in gate.gaps],
        "bad": dict(sorted(link.bad.items())),
        "failed": player.told.failed,
    }


def _take(link: Link, data: object) -> None:
    if isinstance(data, bytes):
        message = decode_packet(data)
    else:
        message = data if isinstance(data, BadFrame) else decode_message(data)  # type: ignore[arg-type,assignment]
    if isinstance(message, BadFrame | BadMessage):
        link.receive_bad(message)
    else:
        link.receive(message, time.monotonic_ns())


@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.jsonl")), ids=lambda path: path.stem)
async def test_a_capture_comes_out_as_it_did(path: Path) -> None:
    who = cast(read_capture(path))
    came: dict[str, Any] = {name: await played(name, role) for name, role in who.roles.items()}
    if who.left_out:
        came["left out"] = who.left_out
    expected = path.with_suffix(".expected.json")
    shown = json.dumps(came, indent=2)
    assert expected.exists(), f"look at this, and keep it as {expected}:\n{shown}"
    assert came == json.loads(expected.read_text())
