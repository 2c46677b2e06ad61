"""A dispenser driven by hand over a PTY: opens a link properly, then sends whatever bytes a test wants."""

from __future__ import annotations

import contextlib
import os
import select
import time
import tty
from pathlib import Path
from typing import Self, TypeVar

from firmware_bridge.bodies import EventBody
from firmware_bridge.codec import BadMessage, body_map, decode_message, encode_message
from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.messages import Ack, EventMessage, Hello, Message, NozzleInfo, Ready, UpMessage, Welcome
from firmware_bridge.proofs import ready_mac, welcome_mac

M = TypeVar("M", bound=Message)

UNREAD_S = 20
"""Seconds that a full line may stand still before a write to it is given up."""


class HandDevice:
    """The device's end of a PTY; `port` is a link to the other end."""

    def __init__(self, port: Path, name: str, key: bytes, *, generation: int = 0xABCD, sauces: tuple[str, ...]) -> None:
        self.name = name
        self.key = key
        self.generation = generation
        self.sequence = 0
        self._nozzles = tuple(NozzleInfo(n, sauce, 500) for n, sauce in enumerate(sauces, 1))
        self.plug(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.pull()

    def plug(self, port: Path) -> None:
        """Put the cable in: a new PTY, to which the port's name leads. What the last one had half said is gone."""
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        port.parent.mkdir(parents=True, exist_ok=True)
        port.symlink_to(os.ttyname(self._slave))
        self.port = port
        self._decoder = FrameDecoder()
        self._read: list[Message] = []

    def pull(self) -> None:
        """Pull the cable."""
        self.port.unlink(missing_ok=True)
        for end in (self._master, self._slave):
            if end >= 0:
                os.close(end)
        self._master = self._slave = -1

    def write(self, data: bytes) -> None:
        """Put bytes on the line."""
        view = memoryview(data)
        while view:
            _, ready, _ = select.select([], [self._master], [], UNREAD_S)
            assert ready, f"nobody reads {self.port}"
            with contextlib.suppress(BlockingIOError):
                view = view[os.write(self._master, view) :]

    def send(self, message: UpMessage) -> None:
        """Put a message on the line."""
        self.write(encode_message(message))

    def expect(self, kind: type[M] | tuple[type[M], ...], within_s: float = 10) -> M:
        """The next message of a kind; others before it are passed over."""
        give_up = time.monotonic() + within_s
        while True:
            while self._read:
                message = self._read.pop(0)
                if isinstance(message, kind):
                    return message
            ready, _, _ = select.select([self._master], [], [], max(give_up - time.monotonic(), 0))
            assert ready, f"no {kind} within {within_s} s"
            for frame in self._decoder.feed(os.read(self._master, 65536)):
                assert not isinstance(frame, BadFrame), frame
                decoded = decode_message(frame)
                assert not isinstance(decoded, BadMessage), decoded
                self._read.append(decoded)

    def hello(self, **changes: object) -> Hello:
        """A HELLO of this device."""
        fields: dict[str, object] = {
            "dispenser": self.name,
            "firmware": "9.9.9",
            "versions": (1,),
            "nozzles": self._nozzles,
            "generation": self.generation,
            "lowest": self.sequence + 1,
            "next": self.sequence + 1,
            "nonce": os.urandom(8),
            "boot": 1,
            "uptime_ms": 1_000,
        }
        return Hello(**(fields | changes))  # type: ignore[arg-type]

    def greet(self, hello: Hello, kind: type[M]) -> M:
        """Say HELLO until it is answered (what was written before the gateway opened its port is lost)."""
        for _ in range(10):
            self.send(hello)
            with contextlib.suppress(AssertionError):
                return self.expect(kind, 1)
        raise AssertionError(f"no {kind.__name__} to ten HELLOs")

    def open(self) -> Welcome:
        """HELLO, WELCOME, READY."""
        hello = self.hello()
        welcome = self.greet(hello, Welcome)
        assert welcome.mac == welcome_mac(self.key, hello, welcome)
        self.send(Ready(mac=ready_mac(self.key, hello, welcome)))
        return welcome

    def event(
        self, body: EventBody | None = None, *, kind: int | None = None, fields: dict[int, object] | None = None
    ) -> EventMessage:
        """The next event in sequence."""
        self.sequence += 1
        return EventMessage(
            generation=self.generation,
            sequence=self.sequence,
            boot=1,
            uptime_ms=2_000,
            sent_uptime_ms=2_000,
            session=1,
            kind=kind if kind is not None else (body.number if body is not None else 0),
            body=fields if fields is not None else (body_map(body) if body is not None else {}),
        )

    def expect_ack(self, sequence: int, within_s: float = 10) -> None:
        """Wait for the ACK of a sequence."""
        while self.expect(Ack, within_s).sequence < sequence:
            pass
