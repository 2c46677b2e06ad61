"""A capture on real ports: a gateway that opens them gets what the field's gateway got."""

from __future__ import annotations

import asyncio
import json
import secrets
from pathlib import Path

import msgspec
import pytest

from firmware_bridge import proofs
from firmware_bridge.actions import Arrived, Send
from firmware_bridge.capture import Entry, read_capture
from firmware_bridge.codec import decode_message
from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.messages import Ack, Ask, EventMessage, Hello, UpMessage, Welcome
from firmware_bridge.session import LinkSession
from heat.errors import ConfigError
from hw_sim import replay, stage
from hw_sim.keys import load_keys
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation
from hw_sim.stage import Stage
from hw_sim.stage import replay as play
from tests.firmware_bridge.pair import KEY, Disk, sent_by
from tests.hw_sim.desk import gateway_at
from tests.waiting import wait_until_async

CAPTURES = Path(__file__).parents[1] / "captures"
NAME = "power-cut-and-babble"
EXPECTED = next(iter(json.loads((CAPTURES / f"{NAME}.expected.json").read_text()).values()))


@pytest.fixture
def entries() -> list[Entry]:
    return read_capture(CAPTURES / f"{NAME}.jsonl")


async def test_a_capture_is_played_on_a_port(state: Path, entries: list[Entry]) -> None:
    places: list[str] = []
    playing = asyncio.create_task(play(entries, Stage(state, speed=0), places.append))
    await wait_until_async(lambda: places, 10, "the port is there")
    port = state / "ports" / "usb-picante-bar-1"
    assert places == [f"bar-1: {port}"]
    disk = Disk(keys=load_keys(state / "keys.toml"))
    async with gateway_at(port, disk) as gateway:
        [told] = (await asyncio.wait_for(playing, 30)).values()
        assert (told.failed, told.unacked, len(told.events)) == (None, 0, EXPECTED["events"])
        assert told.answered == told.asked
        assert 0 < len(told.asked) <= EXPECTED["asks"], "one came twice"
        assert len(disk.stored) == EXPECTED["events"]
        assert gateway.bad == sum(EXPECTED["bad"].values())
    assert not port.exists()


def test_pauses_are_those_of_the_capture(entries: list[Entry]) -> None:
    """At double speed, in virtual time, with a gateway that answers at once."""
    disk = Disk(keys={"bar-1": KEY})
    player = replay.Player(entries, KEY, secrets.token_bytes, speed=2.0)
    session = LinkSession(disk, secrets.token_bytes, 0)
    asked = []
    for now_ms in range(20_000):
        while (data := player.next_bytes(now_ms)) is not None:
            message = message_in(data)
            if not isinstance(message, UpMessage):
                continue
            if isinstance(message, Ask):
                asked.append(now_ms)
            for action in session.feed(message, now_ms):
                if isinstance(action, Send):
                    player.feed(action.message)
                elif isinstance(action, Arrived):
                    disk.store(action.event)
                    for sent in sent_by(session.committed(action.event.generation, action.event.sequence)):
                        player.feed(sent)
    times = [entry.ms for entry in entries if entry.is_ == "ask"]
    assert player.over
    assert [at - asked[0] for at in asked] == pytest.approx([(ms - times[0]) / 2 for ms in times], abs=len(entries))


def test_an_event_waits_until_the_window_has_room() -> None:
    entries = read_capture(CAPTURES / "ring-overflow.jsonl")
    player = replay.Player(entries, KEY, secrets.token_bytes, speed=0)
    hello = message_in(player.next_bytes(0))
    assert isinstance(hello, Hello)
    welcome = Welcome(
        version=2, time_ms=0, window=4, generation=hello.generation, durable=0, nonce=bytes(16), mac=bytes(32)
    )
    player.feed(msgspec.structs.replace(welcome, mac=proofs.welcome_mac(KEY, hello, welcome)))

    def events() -> list[int]:
        sent = iter(lambda: player.next_bytes(0), None)
        return [message.sequence for data in sent if isinstance(message := message_in(data), EventMessage)]

    assert events() == [57, 58, 59, 60]
    player.feed(Ack(generation=hello.generation, sequence=58))
    assert events() == [61, 62]
    player.feed(Ack(generation=hello.generation, sequence=58, window=0))
    player.feed(Ack(generation=hello.generation, sequence=62))
    assert events() == []


def message_in(data: bytes | None) -> object:
    assert data is not None
    frame = FrameDecoder().feed(data)[0]
    return frame if isinstance(frame, BadFrame) else decode_message(frame)


async def test_it_does_not_take_a_running_simulator_s_ports(state: Path, entries: list[Entry]) -> None:
    async with Simulation(parse_scenario('[[dispensers]]\nid = "bar-1"\n'), state):
        with pytest.raises(ConfigError, match="another simulator runs in"):
            await play(entries, Stage(state), lambda _: None)


async def test_a_gateway_that_never_answers_is_told(
    state: Path, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replay, "PATIENCE_MS", 300)
    [told] = (await play(entries, Stage(state, speed=0), lambda _: None)).values()
    assert told.failed == "no WELCOME came within 0 s"


async def test_what_is_not_acknowledged_is_told(
    state: Path, entries: list[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stage, "LAST_ACKS_S", 0.3)
    playing = asyncio.create_task(play(entries, Stage(state, speed=0), lambda _: None))
    port = state / "ports" / "usb-picante-bar-1"
    await wait_until_async(port.exists, 10, "the port is there")
    async with gateway_at(port, Disk(keys=load_keys(state / "keys.toml"))) as gateway:
        gateway.gateway.session.committed = lambda *_, **__: []  # type: ignore[method-assign]
        [told] = (await asyncio.wait_for(playing, 30)).values()
    assert told.unacked > 0
    assert told.failed is None
