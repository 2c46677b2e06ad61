"""A serial server: a port of this machine on the network, as bytes alone or by RFC 2217 as pyserial serves it.

    with SerialServer("/dev/pts/3", rfc2217=True) as server:
        server.url                      rfc2217://127.0.0.1:PORT
        server.stop(); server.start()   it loses its power, and comes back at the same address

One client at a time has the port, as with a real one: whoever connects later waits in the backlog.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import Self

import serial
from serial.rfc2217 import PortManager


class _PtySerial(serial.Serial):
    """A PTY has none of the lines of a modem."""

    def _update_dtr_state(self) -> None:
        pass

    def _update_rts_state(self) -> None:
        pass

    cts = dsr = ri = cd = False


class _Client:
    """What PortManager writes to."""

    def __init__(self, connection: socket.socket) -> None:
        self.write: Callable[[bytes], None] = connection.sendall


class SerialServer:
    """Serves one port until stopped."""

    def __init__(self, port: str, *, rfc2217: bool) -> None:
        self._port = port
        self._rfc2217 = rfc2217
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.address: tuple[str, int] = probe.getsockname()
        self.baud: int | None = None
        """The rate that the port has been set to."""
        self.connections = 0
        self._wake: socket.socket | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        """The address, as gateway.toml has it."""
        return f"{'rfc2217' if self._rfc2217 else 'socket'}://127.0.0.1:{self.address[1]}"

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Listen."""
        listening = socket.create_server(self.address)
        self._wake, woken = socket.socketpair()
        self._thread = threading.Thread(target=self._serve, args=(listening, woken), name="serial server")
        self._thread.start()

    def stop(self) -> None:
        """Close all sockets at once."""
        if self._thread is not None and self._wake is not None:
            self._wake.close()
            self._thread.join(5)
            self._thread = None

    def _serve(self, listening: socket.socket, woken: socket.socket) -> None:
        with listening, woken:
            while True:
                with selectors.DefaultSelector() as selector:
                    selector.register(listening, selectors.EVENT_READ)
                    selector.register(woken, selectors.EVENT_READ)
                    if any(key.fileobj is woken for key, _ in selector.select()):
                        return
                connection, _ = listening.accept()
                self.connections += 1
                with connection, contextlib.suppress(OSError):
                    if not self._join(connection, woken):
                        return

    def _join(self, connection: socket.socket, woken: socket.socket) -> bool:
        """Carry bytes until the client goes; False when the server is to stop."""
        # pyserial would set the rate of a new port: 115,200 until the client says otherwise
        with (
            _PtySerial(self._port, 115_200, timeout=0, exclusive=False) as port,
            selectors.DefaultSelector() as selector,
        ):
            # types-pyserial has both wrong: any port, and whatever has a `write`
            manager = PortManager(port, _Client(connection)) if self._rfc2217 else None  # type: ignore[arg-type]
            for end in (connection, woken, port):
                selector.register(end, selectors.EVENT_READ)
            while True:
                ready = [key.fileobj for key, _ in selector.select()]
                if woken in ready:
                    return False
                if connection in ready:
                    received = connection.recv(4096)
                    if not received:
                        return True
                    port.write(b"".join(manager.filter(received)) if manager else received)
                    self.baud = port.baudrate
                if port in ready:
                    said = port.read(4096)
                    connection.sendall(b"".join(manager.escape(said)) if manager else said)
