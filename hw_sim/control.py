"""The control socket: one JSON object a line in, one a line out, over `<state>/sim.sock`.

Requests name what to `do`; answers have `ok`, and `error` and `hint` where it is false; then `understood` tells whether
it was a good request of which nothing came. `verbs`, `visits` and `trouble`
have what is done to one dispenser; here stands what concerns all of them.

    {"do": "status"}                                    every dispenser, see `_status`
    {"do": "pour", "dispenser": ID, "ml": 5}            and so on
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import msgspec

from heat.errors import ConfigError, LinkLost
from hw_sim.simulation import Simulation
from hw_sim.trouble import Remedies, Troubles
from hw_sim.unit import Unit
from hw_sim.verbs import NotDone, People, Request
from hw_sim.visits import Visit

SOCKET_NAME = "sim.sock"
PATIENCE_S = 30.0
"""s that an answer may take: whoever stands there goes first."""
SLOWEST_UL_S = 500
"""µl a second, for how long a pour may take besides: an eighth of what the thinnest sauce does."""
LINE_BYTES = 1_000_000


class Status(Request, frozen=True, kw_only=True):
    """What is known of every dispenser, or of one."""

    dispenser: str | None = None


class Pause(Request, frozen=True):
    """Let nobody in any more; done once the last customer has left."""


class Resume(Request, frozen=True):
    """Let customers in again."""


class Stop(Request, frozen=True):
    """End the simulator."""


Known = Status | Pause | Resume | Stop | Visit | People | Remedies | Troubles
VERBS: dict[str, type[Request]] = {str(kind.__struct_config__.tag): kind for kind in get_args(Known)}
"""What can be asked, by name."""
_decoder = msgspec.json.Decoder(Known)


def usage(verb: str) -> str:
    """How a verb is written for `picante sim ctl`."""
    words = [verb]
    for field in msgspec.structs.fields(VERBS[verb]):
        if field.name == "dispenser":
            words.append("DISPENSER" if field.required else "[DISPENSER]")
        elif field.required:
            words.append(f"{field.name}={_choices(field.type)}")
        else:
            default = "" if field.default is None else msgspec.json.encode(field.default).decode()
            words.append(f"[{field.name}={default or _choices(field.type)}]")
    return " ".join(words)


def hint_for(verb: object) -> str:
    """What to say to a request that can't be understood."""
    if verb in VERBS:
        return f"It is written: {usage(str(verb))}"
    return f"There are: {', '.join(VERBS)}"


def _choices(kind: Any) -> str:
    values = [value for inner in (kind, *get_args(kind)) for value in get_args(inner) if isinstance(value, str)]
    return "|".join(dict.fromkeys(values)) or "..."


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
            return {"ok": True, **await self._perform(_decoder.decode(line))}
        except msgspec.MsgspecError as error:
            return {"ok": False, "error": str(error), "hint": hint_for(_verb(line))}
        except ConfigError as error:
            understood = isinstance(error, NotDone)
            return {"ok": False, "understood": understood, "error": error.args[0], "hint": error.hint}

    async def _perform(self, request: Known) -> dict[str, Any]:
        units = self._simulation.units
        match request:
            case Status(dispenser=dispenser):
                shown = list(units.values()) if dispenser is None else [self._unit(dispenser)]
                return {"dispensers": {unit.name: _status(unit) for unit in shown}}
            case Pause():
                self._simulation.opened.clear()
                for unit in units.values():
                    async with unit.in_use:  # whoever stands there finishes
                        pass
            case Resume():
                self._simulation.opened.set()
            case Stop():
                self._stop()
            case _:
                return await request.at(self._unit(request.dispenser))
        return {}

    def _unit(self, dispenser: str) -> Unit:
        unit = self._simulation.units.get(dispenser)
        if unit is None:
            known = ", ".join(self._simulation.units)
            raise ConfigError(f"no dispenser {dispenser!r}", hint=f"There are: {known}")
        return unit


def _verb(line: bytes) -> object:
    """What a line asked for, as far as that can be read."""
    with contextlib.suppress(msgspec.MsgspecError):
        return msgspec.json.decode(line, type=dict[str, Any]).get("do")
    return None


def patience_s(request: dict[str, Any]) -> float:
    """How long the answer to a request may take: a pour takes its time."""
    ml = request.get("ml", 0)
    pours = request.get("do") == "pour" and not request.get("quick") and isinstance(ml, int | float)
    return PATIENCE_S + (ml * 1000 / SLOWEST_UL_S if pours else 0)


def call(socket_path: Path, request: dict[str, Any], timeout_s: float | None = None) -> dict[str, Any]:
    """Ask a running simulator; its answer without `ok`. It has `timeout_s` (left out: `patience_s`) for that.

    Raises:
        LinkLost: nobody answers there, or not in time.
        NotDone: nothing came of it, or less than was asked for.
        ConfigError: the simulator refuses the request.
    """
    timeout_s = patience_s(request) if timeout_s is None else timeout_s
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(timeout_s)
            connection.connect(str(socket_path))
            connection.sendall(json.dumps(request).encode() + b"\n")
            with connection.makefile("rb") as lines:
                answer: dict[str, Any] = json.loads(lines.readline())
    except TimeoutError as error:
        raise LinkLost(
            f"{request.get('do')} is not done after {timeout_s:.0f} s", hint="It goes on: somebody else may stand there"
        ) from error
    except ValueError as error:
        raise LinkLost(f"the simulator ended before {request.get('do')} was done") from error
    except OSError as error:
        raise LinkLost(f"no simulator at {socket_path}: {error}", hint="Start it with `picante sim run`") from error
    if not answer.pop("ok"):
        refusal = NotDone if answer.get("understood") else ConfigError
        raise refusal(answer["error"], hint=answer.get("hint", ""))
    return answer


def _status(unit: Unit) -> dict[str, Any]:
    """What is known of a dispenser. `answer_ms` are the last ASKs' answers, sorted."""
    header = unit.header
    return {
        "powered": unit.powered,
        "frozen": unit.firmware.frozen,
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
        "eeprom_writes": unit.eeprom.writes,
        "door_open": unit.twin.plant.cabinet.door_open,
        "levels_ml": {tank.sauce.id: int(tank.level_ul // 1000) for tank in unit.twin.tanks.values()},
        "picks_asked": unit.answers.asked,
        "picks_shown": unit.answers.shown,
        "picks_accepted": unit.answers.accepted,
        "answer_ms": sorted(round(ms, 2) for ms in unit.answers.ms),
    }


def status_table(dispensers: dict[str, dict[str, Any]]) -> str:
    """The answer to `status` as lines of text."""
    lines = [
        f"{'dispenser':<20} {'power':<6} {'link':<12} {'boot':>5} {'made':>8} {'acked':>8} {'held':>6} {'dropped':>8}"
    ]
    for name, told in dispensers.items():
        power = "off" if not told["powered"] else "frozen" if told["frozen"] else "on"
        link = told["state"] if told["plugged"] else "unplugged"
        counts = f"{told['boot']:>5} {told['generated']:>8} {told['acked']:>8} {told['held']:>6} {told['dropped']:>8}"
        lines.append(f"{name:<20} {power:<6} {link:<12} {counts}")
    return "\n".join(lines)
