"""What is wrong with serial ports and serial servers: one entry a port, with what to do about it."""

from __future__ import annotations

import glob
from collections.abc import Iterator
from pathlib import Path
from typing import assert_never

from firmware_bridge.line import is_url
from firmware_bridge.serial_link import SerialLink
from gateway.state import GatewayState
from gateway.web.glance import Trouble
from heat.errors import PortBusy, PortForbidden, PortMissing, PortUnreachable


def port_troubles(state: GatewayState, offline: set[str]) -> Iterator[Trouble]:
    """The list. `offline` are the ports of dispensers that are told of as offline: their silence is no news."""
    serial = state.config.serial
    if serial is None:
        return
    named = [str(state.config.path(port)) for port in serial.ports if not is_url(port) and not glob.has_magic(port)]
    missing = [port for port in named if not Path(port).exists()]
    for port in missing:
        fix = "Plug it in, or take it out of [serial] ports in gateway.toml"
        yield _urgent("port_missing", f"{port} is not there", fix)
    for name, port_link in state.serial.items():
        if port_link.failure is not None:
            yield _failed(port_link.failure)
        elif name not in offline:
            yield from _odd(name, port_link)
    if not state.serial and not missing:
        fix = f"Plug a dispenser in, or mend [serial] ports in gateway.toml ({', '.join(serial.ports)})"
        yield _urgent("no_serial_port", "No serial port is there", fix)


def tells_of_itself(state: GatewayState, part: str) -> bool:
    """Whether a part is a port that could not be opened: it is in `port_troubles`."""
    link = state.serial.get(part.removeprefix("serial:"))
    return link is not None and link.failure is not None


def _failed(failure: PortMissing) -> Trouble:
    what, fix = str(failure.args[0]), failure.hint
    match failure:
        case PortBusy():
            return _urgent("port_in_use", what, fix)
        case PortForbidden():
            return _urgent("port_forbidden", what, fix)
        case PortUnreachable():
            return _urgent("port_unreachable", what, fix)
        case _:
            return _urgent("port_unusable", what, fix)


def _odd(name: str, port: SerialLink) -> Iterator[Trouble]:
    match port.complaint:
        case None:
            return
        case "silent":
            yield _later(
                "port_silent",
                f"Nothing speaks on {name}",
                "Check the dispenser's power, and its cable: sending and receiving may be swapped",
            )
        case "foreign":
            yield _later(
                "port_foreign",
                f"{name} speaks no Picante: what comes from it is no frame, or greetings without end",
                f"If a dispenser is there, its rate is not the {port.baud} baud of [serial] in gateway.toml."
                " If none is, name only the dispensers' ports there",
            )
        case never:
            assert_never(never)


def _urgent(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=True, what=what, fix=fix)


def _later(code: str, what: str, fix: str) -> Trouble:
    return Trouble(code=code, urgent=False, what=what, fix=fix)
