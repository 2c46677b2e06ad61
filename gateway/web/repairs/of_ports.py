"""Serial ports and serial servers: one entry a port."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import assert_never

from firmware_bridge.line import is_url
from firmware_bridge.serial_link import SerialLink
from gateway.config import Config
from gateway.state import GatewayState
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.repairs.repair import Repair
from heat.errors import PortBusy, PortForbidden, PortMissing, PortUnreachable


def port_repairs(state: GatewayState, offline: set[str]) -> Iterator[Repair]:
    """The list. `offline` are the ports of dispensers that are told of as offline: their silence is no news."""
    yield from absent_ports(state.config, state.serial)
    for name, port_link in state.serial.items():
        if port_link.failure is not None:
            yield _failed(name, port_link.failure)
        elif name not in offline:
            yield from _odd(name, port_link)


def absent_ports(config: Config, served: Mapping[str, object]) -> Iterator[Repair]:
    """Ports that gateway.toml names and that are not there; or that there is none at all."""
    serial = config.serial
    if serial is None:
        return
    named = [str(config.path(port)) for port in serial.ports if not is_url(port) and not glob.has_magic(port)]
    missing = [port for port in named if not Path(port).exists()]
    for port in missing:
        plug = (Text("Plug it in, or take it out of [serial] ports in gateway.toml"),)
        yield Repair("port_missing", Text("{port} is not there", port=port), plug, port)
    if not served and not missing:
        steps = (
            Text("Plug a dispenser in"),
            Text("Or mend [serial] ports in gateway.toml ({ports})", ports=", ".join(serial.ports)),
        )
        yield Repair("no_serial_port", Text("No serial port is there"), steps)


def tells_of_itself(state: GatewayState, part: str) -> bool:
    """Whether a part is a port that could not be opened: it is in `port_repairs`."""
    link = state.serial.get(part.removeprefix("serial:"))
    return link is not None and link.failure is not None


def connected(state: GatewayState, part: str) -> bool:
    """Whether a part is a line that is up again: nobody waits for it to have been so for a while."""
    line = {"mqtt": state.mqtt, "downlink": state.downlink}.get(part, state.serial.get(part.removeprefix("serial:")))
    return line is not None and line.connected


def _failed(name: str, failure: PortMissing) -> Repair:
    match failure:
        case PortBusy():
            code = "port_in_use"
        case PortForbidden():
            code = "port_forbidden"
        case PortUnreachable():
            code = "port_unreachable"
        case _:
            code = "port_unusable"
    what = Text("A serial port can't be opened: {detail}", detail=heard(str(failure.args[0])))
    return Repair(code, what, (failure.hint,) if failure.hint else (), name)


def _odd(name: str, port: SerialLink) -> Iterator[Repair]:
    match port.complaint:
        case None:
            return
        case "silent":
            steps = (
                Text("Check the dispenser's power"),
                Text("Check its cable: sending and receiving may be swapped"),
            )
            yield Repair("port_silent", Text("Nothing speaks on {port}", port=name), steps, name)
        case "foreign":
            what = Text("{port} speaks no Picante: what comes from it is no frame, or greetings without end", port=name)
            steps = (
                Text(
                    "If a dispenser is there, its rate is not the {baud} baud of [serial] in gateway.toml",
                    baud=str(port.baud),
                ),
                Text("If none is, name only the dispensers' ports there"),
            )
            yield Repair("port_foreign", what, steps, name)
        case never:
            assert_never(never)
