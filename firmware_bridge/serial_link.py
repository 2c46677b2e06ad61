"""A serial port <-> messages, on the event loop: no thread, no polling.

`line` opens the port; reading and writing go through its file descriptor with `add_reader` and `add_writer`. Whatever
goes wrong ends `run` with an error; the supervisor opens the port again.

A port that babbles (noise, a boot log, another device) costs a bounded part of a core: where two blocks' worth of bytes
hold no message, it is read at `BABBLE_BYTES_S` until one comes. So does one that sends messages without end, and proves
nothing: until a link is open, messages speak for no more than `GREETING_BYTES_S`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

from firmware_bridge.actions import Registry
from firmware_bridge.codec import BadMessage, decode_message, encode_message
from firmware_bridge.framing import MAX_FRAME_BYTES, BadFrame, FrameDecoder
from firmware_bridge.line import Line, is_url, open_line
from firmware_bridge.link import Gate, Link
from firmware_bridge.messages import DownMessage, Hello, Picks, UpMessage
from firmware_bridge.session import Terms, window_for
from firmware_bridge.tap import NoTap, Tap
from heat.errors import LinkLost, PortMissing

READ_BYTES = 4_096
"""What the kernel hands over of a tty at a time; a chunk of the worst noise takes 10 ms to be looked through."""
OUT_LIMIT_BYTES = 65_536
"""Bytes that may wait to be written; a dispenser that reads nothing for so long is gone."""
TICK_S = 0.5
BABBLE_BYTES = 2 * MAX_FRAME_BYTES
"""Bytes without a message after which a port is taken for one that babbles; a torn frame holds half as many."""
BABBLE_BYTES_S = 20_000
"""Bytes a second that are read of it: more than a console prints at 115,200 baud."""
GREETING_BYTES_S = 1_024
"""Bytes a second by which a dispenser makes itself known: the longest HELLO, once a second."""
DUMB_S = 10.0
"""s after which a port on which no message came is told of; a dispenser answers an invitation, one a second."""

Complaint = Literal["silent", "foreign"]


class SerialLink:
    """One serial port. Use it once: `run` opens it and ends when it is lost."""

    def __init__(self, port: str, baud: int, registry: Registry, gate: Gate, tap: Tap | None = None) -> None:
        self.port = port
        self._tap = tap or NoTap()
        self.failure: PortMissing | None = None
        """Why it could not be opened, or the one before it; None once it is open."""
        self.baud = baud
        self.link = Link(port, self, registry, gate, terms=Terms(window_for(baud), private=not is_url(port)))
        self._decoder = FrameDecoder()
        self._out: deque[tuple[bytes, Callable[[], None] | None]] = deque()
        self._out_bytes = 0
        self._begun = 0
        """Bytes of the first queued frame that are written already."""
        self._line: Line | None = None
        self._lost: asyncio.Future[None] | None = None
        self._opened_s = 0.0
        self._spoken = False
        """Whether a message has come."""
        self._noise_bytes = 0
        """Bytes since the last message of a dispenser that proved itself; of others, what is more than a greeting."""
        self._greeted_s = 0.0
        """When the last message came that was a greeting, or the port was opened."""
        self._pause: asyncio.TimerHandle | None = None

    @property
    def connected(self) -> bool:
        """Whether the port is open."""
        return self._line is not None

    @property
    def complaint(self) -> Complaint | None:
        """What is odd about an open port: nothing comes, or nothing that is a message."""
        if self._line is None:
            return None
        if self._noise_bytes > BABBLE_BYTES:
            return "foreign"
        if self._spoken or time.monotonic() - self._opened_s < DUMB_S:
            return None
        return "foreign" if self._noise_bytes else "silent"

    async def run(self) -> None:
        """Serve the port until it is lost.

        Raises:
            PortMissing: it can't be opened.
            LinkLost: it went away, or its dispenser fell silent.
        """
        try:
            line = await open_line(self.port, self.baud)
        except PortMissing as error:
            self.failure = error
            raise
        self.failure = None
        loop = asyncio.get_running_loop()
        self._line, self._lost = line, loop.create_future()
        self._opened_s = self._greeted_s = time.monotonic()
        loop.add_reader(line.fd, self._readable)
        try:
            while True:
                self.link.tick()
                if not self.link.session.alive:
                    self._fail(LinkLost(f"{self.port}: the dispenser fell silent"))
                done, _ = await asyncio.wait([self._lost], timeout=TICK_S)
                if done:
                    self._lost.result()
        finally:
            if self._pause is not None:
                self._pause.cancel()
            loop.remove_reader(line.fd)
            loop.remove_writer(line.fd)
            self._line = None
            self.link.close("port closed")
            line.close()

    def send(self, message: DownMessage, version: int, written: Callable[[], None] | None = None) -> None:
        """See `Transport.send`."""
        if self._line is None:
            return
        encoded = encode_message(message, version)
        self._tap.serial(self.port, "down", encoded)
        frame = (self._on_the_line(encoded), written)
        if isinstance(message, Picks):
            self._out.insert(1 if self._begun else 0, frame)
        else:
            self._out.append(frame)
        self._out_bytes += len(frame[0])
        if self._out_bytes > OUT_LIMIT_BYTES:
            self._fail(LinkLost(f"{self.port}: the dispenser does not read"))
        else:
            self._writable()

    def _on_the_line(self, frame: bytes) -> bytes:
        com_port = self._line.com_port if self._line is not None else None
        return frame if com_port is None else com_port.encode(frame)

    def _readable(self) -> None:
        assert self._line is not None  # the loop reads while it is open
        try:
            received = os.read(self._line.fd, READ_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._fail(LinkLost(f"{self.port}: {error.strerror}"))
            return
        if not received:
            self._fail(LinkLost(f"{self.port}: hung up"))
            return
        read_ns = time.monotonic_ns()
        taken = len(received)
        self._noise_bytes += taken
        if self._line.com_port is not None:
            received, reply = self._line.com_port.feed(received)
            self._queue(reply)
        self._tap.serial(self.port, "up", received)
        for frame in self._decoder.feed(received):
            message = frame if isinstance(frame, BadFrame) else decode_message(frame)
            if isinstance(message, BadFrame | BadMessage):
                self.link.receive_bad(message)
            else:
                self.link.receive(message, read_ns)
                if isinstance(message, UpMessage):  # an echo of ours proves nobody
                    self._quieten(proved=self.link.open and not isinstance(message, Hello))
        if not self.link.session.alive:
            self._fail(LinkLost(f"{self.port}: session closed"))
        elif self._noise_bytes > BABBLE_BYTES:
            self._rest(taken / BABBLE_BYTES_S)

    def _quieten(self, *, proved: bool) -> None:
        """A message has come."""
        now_s, self._spoken = time.monotonic(), True
        greeting_bytes = round((now_s - self._greeted_s) * GREETING_BYTES_S)
        # whatever it printed before: two greetings, and it is a dispenser
        loud_bytes = min(self._noise_bytes, BABBLE_BYTES + GREETING_BYTES_S)
        self._noise_bytes = 0 if proved else max(loud_bytes - greeting_bytes, 0)
        self._greeted_s = now_s

    def _rest(self, pause_s: float) -> None:
        """Read no more for a while; what comes meanwhile is the kernel's, which drops what it can't hold."""
        if self._line is not None and self._pause is None:
            loop = asyncio.get_running_loop()
            loop.remove_reader(self._line.fd)
            self._pause = loop.call_later(pause_s, self._read_on)

    def _read_on(self) -> None:
        self._pause = None
        if self._line is not None:
            asyncio.get_running_loop().add_reader(self._line.fd, self._readable)

    def _queue(self, raw: bytes) -> None:
        """Send bytes that are no message: the server's Telnet wants an answer."""
        if raw:
            self._out.append((raw, None))
            self._out_bytes += len(raw)
            self._writable()

    def _writable(self) -> None:
        assert self._line is not None  # nothing is written once it is closed
        fd, loop = self._line.fd, asyncio.get_running_loop()
        while self._out:
            frame, written = self._out[0]
            try:
                count = os.write(fd, frame[self._begun :] if self._begun else frame)
            except BlockingIOError:
                loop.add_writer(fd, self._writable)
                return
            except OSError as error:
                self._fail(LinkLost(f"{self.port}: {error.strerror}"))
                return
            if not self._begun and written is not None:
                written()
            self._out_bytes -= count
            self._begun += count
            if self._begun < len(frame):
                loop.add_writer(fd, self._writable)
                return
            self._out.popleft()
            self._begun = 0
        loop.remove_writer(fd)

    def _fail(self, error: LinkLost) -> None:
        self._out.clear()
        self._out_bytes = self._begun = 0
        if self._lost is not None and not self._lost.done():
            self._lost.set_exception(error)
            self._lost.exception()  # seen, even if run() is past waiting for it
