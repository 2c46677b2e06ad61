"""The control socket: one JSON object a line in, one a line out, over `<state>/sim.sock`.

Requests name what to `do`; answers have `ok`, and `error` where it is false.

    {"do": "status"}                                    every dispenser, see `_status`
    {"do": "screen", "dispenser": ID}                   `text`: the screen as drawn
    {"do": "unplug", "dispenser": ID}, "plug"           the cable
    {"do": "pause"}, {"do": "resume"}                   customers and load; paused once the last one has left
    {"do": "visit", "dispenser": ID, ...}               a customer by script, see `Script`
    {"do": "press", "dispenser": ID, "verdict": V}      too_hot, just_right, more: on what was poured last
    {"do": "stop"}                                      end the simulator
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from firmware_bridge.bodies import StatedBody
from firmware_bridge.messages import Picks
from heat.errors import ConfigError, LinkLost
from heat.events import Verdict
from hw_sim.simulation import Simulation
from hw_sim.unit import Unit

SOCKET_NAME = "sim.sock"
CALL_TIMEOUT_S = 30.0
LINE_BYTES = 1_000_000


class Script(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A scripted visit. Whoever pours takes the first pick unless `pour` says otherwise."""

    token: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    dial: Annotated[int, Meta(ge=0, le=100)] | None = None
    mood: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    shu: int | None = None
    """A stated preference, as a number."""
    word: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    """A stated preference, as a category word."""
    pour: str | None = None
    """A sauce's id; "" to pour nothing; left out: the first pick, or (with none) the first nozzle's."""
    volume_ul: Annotated[int, Meta(ge=1)] = 3_000
    rate: Verdict | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """One request; the fields of `Script` stand beside these."""

    do: Literal["status", "screen", "unplug", "plug", "pause", "resume", "visit", "press", "stop"]
    dispenser: str | None = None
    verdict: Verdict | None = None


class ControlServer:
    """Answers on the socket while it is open. `stop` is called by a request to stop."""

    def __init__(self, simulation: Simulation, stop: Callable[[], None]) -> None:
        self._simulation = simulation
        self._stop = stop
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> None:
        path = self._simulation.state / SOCKET_NAME
        path.unlink(missing_ok=True)
        self._server = await asyncio.start_unix_server(self._serve, path, limit=LINE_BYTES)

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()
        (self._simulation.state / SOCKET_NAME).unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, ValueError, asyncio.CancelledError):
            while line := await reader.readline():
                writer.write(msgspec.json.encode(await self._answer(line)) + b"\n")
                await writer.drain()
        writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            fields = msgspec.json.decode(line, type=dict[str, Any])
            request = msgspec.convert(fields, Request)
            return {"ok": True, **await self._perform(request, fields)}
        except (msgspec.MsgspecError, ConfigError) as error:
            return {"ok": False, "error": str(error)}

    async def _perform(self, request: Request, fields: dict[str, Any]) -> dict[str, Any]:
        match request.do:
            case "status":
                return {"dispensers": {name: _status(unit) for name, unit in self._simulation.units.items()}}
            case "pause":
                self._simulation.opened.clear()
                for unit in self._simulation.units.values():
                    async with unit.in_use:  # whoever stands there finishes
                        pass
            case "resume":
                self._simulation.opened.set()
            case "stop":
                self._stop()
            case _:
                return await self._perform_at(self._unit(request), request, fields)
        return {}

    async def _perform_at(self, unit: Unit, request: Request, fields: dict[str, Any]) -> dict[str, Any]:
        if request.do == "screen":
            return {"text": unit.twin.render_screen()}
        if request.do == "visit":
            own = {key: value for key, value in fields.items() if key not in Request.__struct_fields__}
            return await _visit(unit, msgspec.convert(own, Script))
        if request.do == "press":
            return _press(unit, request.verdict)
        unit.line.unplug() if request.do == "unplug" else unit.line.plug()
        return {}

    def _unit(self, request: Request) -> Unit:
        unit = self._simulation.units.get(request.dispenser or "")
        if unit is None:
            known = ", ".join(self._simulation.units)
            raise ConfigError(f"no dispenser {request.dispenser!r}", hint=f"There are: {known}")
        return unit


def call(socket_path: Path, request: dict[str, Any], timeout_s: float = CALL_TIMEOUT_S) -> dict[str, Any]:
    """Ask a running simulator; its answer without `ok`.

    Raises:
        LinkLost: nobody answers there.
        ConfigError: the simulator refuses the request.
    """
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(socket_path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
    except (OSError, ValueError) as error:
        raise LinkLost(f"no simulator at {socket_path}: {error}", hint="Start it with `picante sim run`") from error
    if not answer.pop("ok"):
        raise ConfigError(answer["error"])
    return answer


def _status(unit: Unit) -> dict[str, Any]:
    """What is known of a dispenser. `answer_ms` are the last ASKs' answers, sorted."""
    header = unit.header
    return {
        "online": unit.online,
        "state": unit.firmware.mcu.state.value,
        "plugged": unit.line.plugged,
        "bad_frames": unit.line.bad_frames,
        "generation": header.generation,
        "next": header.next,
        "lowest": header.lowest,
        "boot": header.boot,
        "generated": header.generated,
        "acked": header.acked,
        "dropped": header.dropped,
        "held": header.held,
        "session": unit.twin.session,
        "levels_ml": {tank.sauce.id: int(tank.level_ul // 1000) for tank in unit.twin.tanks.values()},
        "picks_asked": unit.asked,
        "picks_shown": unit.shown,
        "picks_accepted": unit.accepted,
        "answer_ms": sorted(round(ms, 2) for ms in unit.answer_ms),
    }


async def _visit(unit: Unit, script: Script) -> dict[str, Any]:
    """Play a scripted visit: its session, its event ids, the picks, and how long they took."""
    async with unit.in_use:
        session = unit.begin_session()
        sequences: list[int | None] = []
        if script.dial is not None:
            unit.twin.turn_dial(script.dial)
            sequences.append(unit.state_preference(StatedBody(dial=script.dial)))
        if script.word is not None or script.shu is not None:
            stated = StatedBody(word=script.word) if script.word is not None else StatedBody(shu=script.shu)
            sequences.append(unit.state_preference(stated))
        begun = time.monotonic()
        picks = await unit.ask(token=script.token, mood=script.mood)
        answer_ms = round((time.monotonic() - begun) * 1000, 2) if picks is not None else None
        nozzle = _nozzle(unit, script, picks)
        if nozzle is not None:
            sequences.append(unit.pour(nozzle, script.volume_ul))
        if script.rate is not None:
            sequences.append(unit.press(script.rate))
    return {
        "session": session,
        "events": [unit.event_id(sequence) for sequence in sequences if sequence is not None],
        "pick_id": picks.pick_id if picks is not None else None,
        "picks": [msgspec.structs.asdict(pick) for pick in picks.picks] if picks is not None else [],
        "poured": unit.twin.tanks[nozzle].sauce.id if nozzle is not None else None,
        "answer_ms": answer_ms,
    }


def _nozzle(unit: Unit, script: Script, picks: Picks | None) -> int | None:
    """The nozzle that a script pours from."""
    if script.pour is None:
        return picks.picks[0].nozzle if picks is not None and picks.picks else next(iter(unit.twin.tanks))
    if script.pour == "":
        return None
    for tank in unit.twin.tanks.values():
        if tank.sauce.id == script.pour:
            return tank.number
    raise ConfigError(f"{unit.name} has no {script.pour!r}", hint=f"It has {', '.join(_sauces(unit))}")


def _sauces(unit: Unit) -> list[str]:
    return [tank.sauce.id for tank in unit.twin.tanks.values()]


def _press(unit: Unit, verdict: Verdict | None) -> dict[str, Any]:
    if verdict is None:
        raise ConfigError("press what?", hint="Give a verdict: too_hot, just_right, more")
    sequence = unit.press(verdict)
    if sequence is None:
        raise ConfigError(f"nothing was poured at {unit.name} in this session")
    return {"event": unit.event_id(sequence), "session": unit.twin.session}
