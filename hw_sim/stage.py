"""A capture played on real ports and a real broker, against whatever gateway is there.

<state>/ports/usb-picante-<dispenser>   the ports, for the gateway to open
<state>/keys.toml                       the dispensers' keys, made if missing: the gateway reads them as well
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from firmware_bridge.capture import Entry
from firmware_bridge.messages import Ask, Message, Sample
from heat.errors import ConfigError
from hw_sim.cast import Cast, Role, cast
from hw_sim.faults import FaultRates, Faults
from hw_sim.firmware import QOS_OF_ASK
from hw_sim.keys import ensure_keys
from hw_sim.lines import Line
from hw_sim.mqtt_device import MqttLine, MqttSettings
from hw_sim.ports import PortSettings, SerialLine
from hw_sim.replay import Player, Told
from hw_sim.simulation import lock_state, port_path

TURN_S = 0.01
"""s between two looks at what is due."""
LOOK_S = 0.2
"""s between two looks at whether it is over, while nothing moves."""
LAST_ACKS_S = 10.0
"""s that the gateway has for what was played last."""


@dataclass(frozen=True, slots=True)
class Stage:
    """Where a capture is played."""

    state: Path
    broker: tuple[str, int] | None = None
    store: str = "store-1"
    speed: float = 1.0
    """2 halves the pauses, 0 leaves them out."""


_UNKEPT = (bytes((Ask.number,)), bytes((Sample.number,)))
"""Types of packets that go at QoS 0."""


class Actor:
    """A player behind a line, in place of firmware (`firmware.Talker`)."""

    def __init__(self, player: Player) -> None:
        self.player = player
        self.moved = asyncio.Event()
        """Set when something was sent or came."""
        self._alarm: asyncio.TimerHandle | None = None

    def link_up(self, baud: int = 0) -> None:
        """See `Talker`."""

    def link_down(self) -> None:
        """See `Talker`."""
        if self._alarm is not None:
            self._alarm.cancel()

    def receive(self, message: Message) -> None:
        """See `Talker`."""
        self.player.feed(message)
        self.moved.set()

    def next_frame(self) -> bytes | None:
        """See `Talker`."""
        self.moved.set()
        return self.player.next_bytes(time.monotonic() * 1000)

    def next_packet(self) -> tuple[bytes, int] | None:
        """See `Talker`."""
        payload = self.next_frame()
        if payload is None:
            return None
        return payload, QOS_OF_ASK if payload[1:2] in _UNKEPT else 1

    def set_alarm(self, wake: Callable[[], None]) -> None:
        """See `Talker`."""
        if self._alarm is not None:
            self._alarm.cancel()
        self._alarm = asyncio.get_running_loop().call_later(TURN_S, wake)


async def replay(entries: Iterable[Entry], stage: Stage, ready: Callable[[str], None]) -> dict[str, Told]:
    """Play every dispenser of a capture at once; what became of each, by its role's name (`cast.Cast`).

    `ready` is told where each dispenser is, and of links that are left out.

    Raises:
        ConfigError: one was on MQTT, and no broker is named; or a simulator runs in this state directory.
        DataError: nothing in it can be played.
    """
    who = cast(entries)
    with lock_state(stage.state):
        return await _play(who, stage, ready)


async def _play(who: Cast, stage: Stage, ready: Callable[[str], None]) -> dict[str, Told]:
    roles = who.roles
    keys = ensure_keys(stage.state / "keys.toml", sorted({role.dispenser for role in roles.values()}))
    actors = {
        name: Actor(Player(role.entries, keys[role.dispenser], secrets.token_bytes, stage.speed))
        for name, role in roles.items()
    }
    for link, why in who.left_out.items():
        ready(f"{link}: left out, {why}")
    lines: list[Line] = []
    try:
        for name, actor in actors.items():
            line, where = _line(roles[name], actor, stage)
            lines.append(line)
            line.plug()
            ready(f"{roles[name].dispenser}: {where}")
        await asyncio.gather(*(_until_through(actor) for actor in actors.values()))
    finally:
        await asyncio.gather(*(line.aclose() for line in lines))
    return {name: actor.player.told for name, actor in actors.items()}


def _line(role: Role, actor: Actor, stage: Stage) -> tuple[Line, str]:
    """The line for a role, and where the gateway finds it."""
    no_faults = Faults(FaultRates(), "")
    if not role.on_mqtt:
        path = port_path(stage.state, role.dispenser)
        return SerialLine(actor, PortSettings(path, baud=0), no_faults), str(path)
    if stage.broker is None:
        raise ConfigError(f"{role.dispenser} was on MQTT", hint="Name a broker with --mqtt HOST:PORT")
    host, port = stage.broker
    settings = MqttSettings(host, port, stage.store, role.dispenser)
    return MqttLine(actor, settings, no_faults), f"mqtt {host}:{port}"


async def _until_through(actor: Actor) -> None:
    """Wait until all is played, and acknowledged and answered or not to be."""
    player, give_up_s = actor.player, float("inf")
    while not (player.over and player.told.settled):
        if player.over:
            give_up_s = min(give_up_s, time.monotonic() + LAST_ACKS_S)
        if time.monotonic() >= give_up_s:
            return
        actor.moved.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LOOK_S):
                await actor.moved.wait()
