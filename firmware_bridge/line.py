"""From the name of a port to an open line: a file descriptor that the event loop reads and writes.

- `/dev/...`: a serial port, opened by pyserial
- `socket://HOST:PORT`: bytes over TCP, whose server has set its port by itself
- `rfc2217://HOST:PORT`: Telnet, by which we set the server's port
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import grp
import os
import socket
import termios
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn
from urllib.parse import urlsplit

import serial

from firmware_bridge.rfc2217 import ComPort
from heat.errors import PortBusy, PortForbidden, PortMissing, PortUnreachable

CONNECT_S = 2.0
"""s that a serial server may take to answer: one lost SYN is sent again after 1 s."""
KEEPALIVE_S = 10
"""s without a byte after which TCP asks whether the server is there; lost after as many again."""
SCHEMES = ("socket", "rfc2217")


@dataclass(frozen=True, slots=True)
class Line:
    """An open line. `com_port` translates where the line is Telnet."""

    fd: int
    close: Callable[[], None]
    com_port: ComPort | None = None


def is_url(port: str) -> bool:
    """Whether a port is a server on the network."""
    return "://" in port


def check_url(port: str) -> None:
    """Raise ValueError unless this is the address of a serial server."""
    url = urlsplit(port)
    if url.scheme not in SCHEMES:
        raise ValueError(f"{port!r} begins with none of {', '.join(f'{scheme}://' for scheme in SCHEMES)}")
    try:
        good = bool(url.hostname and url.port) and url.netloc == port.partition("://")[2]
    except ValueError:  # no number, or none of a port
        good = False
    if not good or "@" in url.netloc:
        raise ValueError(f"{port!r} is not {url.scheme}://HOST:PORT")


async def open_line(port: str, baud: int) -> Line:
    """Open a port at a rate.

    Raises:
        PortMissing: it can't be opened; `PortBusy`, `PortForbidden` and `PortUnreachable` say more.
    """
    if not is_url(port):
        return _open_tty(port, baud)
    url = urlsplit(port)
    try:
        async with asyncio.timeout(CONNECT_S):
            connection = await _connect(url.hostname or "", url.port or 0)
            try:
                com_port = await _settle(connection, baud) if url.scheme == "rfc2217" else None
            except BaseException:
                connection.close()
                raise
    except TimeoutError:
        _unreachable(port, f"no answer in {CONNECT_S:.0f} s")
    except OSError as error:
        # asyncio words a refused connection by itself, and a name that nobody knows has a number of its own
        number = error.errno or 0
        _unreachable(port, os.strerror(number) if number > 0 else error.strerror or str(error))
    if com_port is not None and com_port.baud != baud:
        connection.close()
        why = "it is none" if com_port.refused else f"it set its port to {com_port.baud} baud, not {baud}"
        raise PortUnreachable(
            f"{port} does not do as an RFC 2217 server does: {why}",
            hint="Set the rate at the server itself, and write socket:// in gateway.toml",
        )
    return Line(connection.fileno(), connection.close, com_port)


def _unreachable(port: str, why: str) -> NoReturn:
    raise PortUnreachable(
        f"The serial server {port} can't be reached: {why}",
        hint="Check its power and its network, and its address in [serial] of gateway.toml",
    ) from None


# -- a port of this machine -------------------------------------------------------------------------------------------


def _open_tty(port: str, baud: int) -> Line:
    try:
        opened = serial.Serial(port, baud, timeout=0, write_timeout=0, exclusive=True)
    except (OSError, ValueError, termios.error) as error:  # SerialException is an OSError
        raise _explained(port, error) from error

    fd = os.dup(opened.fileno())  # pyserial has four more for its own waiting; the lock and the settings are the port's
    opened.close()

    def close() -> None:
        with contextlib.suppress(termios.error):
            termios.tcflush(fd, termios.TCOFLUSH)  # closing waits up to 30 s for what a device does not take
        os.close(fd)

    return Line(fd, close)


def _explained(port: str, error: Exception) -> PortMissing:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.EBUSY, errno.EAGAIN):
        return PortBusy(f"{port} is in use by {_holder(port)}", hint="End it; the port is taken as soon as it is free")
    if number in (errno.EACCES, errno.EPERM):
        return PortForbidden(
            f"{port} may not be opened by this user",
            hint=f"Put the daemon's user into the group {_group(port)}, and restart the daemon",
        )
    if number in (errno.ENOENT, errno.ENODEV, errno.ENXIO):
        return PortMissing(f"{port} is not there", hint="Check the cable")
    return PortMissing(
        f"{port} can't be used: {os.strerror(number) if number else error}",
        hint="Check that it is a serial port, and its rate in [serial] of gateway.toml",
    )


def _holder(port: str) -> str:
    """Who has locked the port, as far as the kernel tells."""
    for pid in _lockers(port):
        with contextlib.suppress(OSError):
            return f"{Path(f'/proc/{pid}/comm').read_text().strip()}, process {pid}"
    return "another program"


def _lockers(port: str) -> Iterator[int]:
    """The processes of /proc/locks that hold this file; it names a file by the numbers of device and inode."""
    with contextlib.suppress(OSError, ValueError):
        status = Path(port).stat()
        file = f"{os.major(status.st_dev):02x}:{os.minor(status.st_dev):02x}:{status.st_ino}"
        for row in Path("/proc/locks").read_text().splitlines():
            words = row.split()
            if words[5:6] == [file]:
                yield int(words[4])


def _group(port: str) -> str:
    with contextlib.suppress(OSError, KeyError):
        owner = Path(port).stat().st_gid
        if owner:
            return grp.getgrgid(owner).gr_name
    return "dialout"


# -- a port of a server -----------------------------------------------------------------------------------------------


async def _connect(host: str, port: int) -> socket.socket:
    loop = asyncio.get_running_loop()
    failed: OSError = OSError(f"{host} has no address")
    for family, kind, protocol, _, address in await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM):
        connection = socket.socket(family, kind, protocol)
        connection.setblocking(False)
        try:
            await loop.sock_connect(connection, address)
        except OSError as error:
            connection.close()
            failed = error
        except BaseException:
            connection.close()
            raise
        else:
            _watch_over(connection)
            return connection
    raise failed


def _watch_over(connection: socket.socket) -> None:
    """Send at once, and notice a server that went without a word."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEPALIVE_S)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, KEEPALIVE_S // 2)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 2 * KEEPALIVE_S * 1000)


async def _settle(connection: socket.socket, baud: int) -> ComPort:
    """Agree with an RFC 2217 server. What its port says meanwhile came at another rate, and is dropped."""
    loop = asyncio.get_running_loop()
    com_port = ComPort(baud)
    await loop.sock_sendall(connection, com_port.greeting())
    while not com_port.settled:
        received = await loop.sock_recv(connection, 4096)
        if not received:
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
        _, reply = com_port.feed(received)
        if reply:
            await loop.sock_sendall(connection, reply)
    return com_port
