"""A serial port <-> messages, on the event loop: no thread, no polling.

pyserial opens and configures the port (its `is_open` says nothing after an unplug, so it is not asked); reading and
writing go through the file descriptor with `add_reader` and `add_writer`. Whatever goes wrong ends `run` with an
error; the supervisor opens the port again.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable

import serial

from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.link import Gate, Link
from firmware_bridge.messages import BadMessage, DownMessage, Picks, decode_message, encode_message
from firmware_bridge.session import Registry
from heat.errors import LinkLost, PortMissing

READ_BYTES = 65_536
OUT_LIMIT_BYTES = 65_536
"""Bytes that may wait to be written; a dispenser that reads nothing for so long is gone."""
TICK_S = 0.5


class SerialLink:
    """One serial port. Use it once: `run` opens it and ends when it is lost."""

    def __init__(self, port: str, baud: int, registry: Registry, gate: Gate) -> None:
        self.port = port
        self._baud = baud
        self.link = Link(port, self, registry, gate)
        self._decoder = FrameDecoder()
        self._out: deque[tuple[bytes, Callable[[], None] | None]] = deque()
        self._out_bytes = 0
        self._begun = 0
        """Bytes of the first queued frame that are written already."""
        self._fd = -1
        self._lost: asyncio.Future[None] | None = None

    async def run(self) -> None:
        """Serve the port until it is lost.

        Raises:
            PortMissing: it can't be opened.
            LinkLost: it went away, or its dispenser fell silent.
        """
        try:
            port = serial.Serial(self.port, self._baud, timeout=0, write_timeout=0, exclusive=True)
        except (OSError, ValueError) as error:  # SerialException is an OSError
            raise PortMissing(
                f"{self.port}: {error}", hint="Check the cable, and that no other program uses it"
            ) from error
        loop = asyncio.get_running_loop()
        self._fd, self._lost = port.fileno(), loop.create_future()
        loop.add_reader(self._fd, self._readable)
        try:
            while True:
                self.link.tick()
                done, _ = await asyncio.wait([self._lost], timeout=TICK_S)
                if done:
                    self._lost.result()
        finally:
            loop.remove_reader(self._fd)
            loop.remove_writer(self._fd)
            self._fd = -1
            self.link.close("port closed")
            port.close()

    def send(self, message: DownMessage, written: Callable[[], None] | None = None) -> None:
        """See `Transport.send`."""
        if self._fd < 0:
            return
        frame = (encode_message(message), written)
        if isinstance(message, Picks):
            self._out.insert(1 if self._begun else 0, frame)
        else:
            self._out.append(frame)
        self._out_bytes += len(frame[0])
        if self._out_bytes > OUT_LIMIT_BYTES:
            self._fail(LinkLost(f"{self.port}: the dispenser does not read"))
        else:
            self._writable()

    def _readable(self) -> None:
        try:
            data = os.read(self._fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(LinkLost(f"{self.port}: {error.strerror}"))
            return
        if not data:
            self._fail(LinkLost(f"{self.port}: hung up"))
            return
        read_ns = time.monotonic_ns()
        for frame in self._decoder.feed(data):
            message = frame if isinstance(frame, BadFrame) else decode_message(frame)
            if isinstance(message, BadFrame | BadMessage):
                self.link.receive_bad(message)
            else:
                self.link.receive(message, read_ns)
        if not self.link.session.alive:
            self._fail(LinkLost(f"{self.port}: session closed"))

    def _writable(self) -> None:
        loop = asyncio.get_running_loop()
        while self._out:
            frame, written = self._out[0]
            try:
                count = os.write(self._fd, frame[self._begun :] if self._begun else frame)
            except BlockingIOError:
                loop.add_writer(self._fd, self._writable)
                return
            except OSError as error:
                self._fail(LinkLost(f"{self.port}: {error.strerror}"))
                return
            if not self._begun and written is not None:
                written()
            self._out_bytes -= count
            self._begun += count
            if self._begun < len(frame):
                loop.add_writer(self._fd, self._writable)
                return
            self._out.popleft()
            self._begun = 0
        loop.remove_writer(self._fd)

    def _fail(self, error: LinkLost) -> None:
        self._out.clear()
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(error)
            self._lost.exception()  # seen, even if run() is past waiting for it
