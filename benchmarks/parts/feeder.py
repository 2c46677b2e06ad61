"""Dispensers in a process of their own, as fast as the gateway's ACKs let them: no baud pacing, unless asked for.

They are the other end of the PTYs that the gateway reads; frames are encoded before the clock starts.
"""

from __future__ import annotations

import multiprocessing
import os
import select
import time
import tty
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.parts.events import KEY, SAUCES, dispenser, frame
from benchmarks.parts.machine import cores
from firmware_bridge.codec import decode_message, encode_message
from firmware_bridge.framing import Frame, FrameDecoder
from firmware_bridge.messages import Ack, Ask, Hello, HelloRequest, NozzleInfo, Picks, Ping, Pong, Ready, Welcome
from firmware_bridge.proofs import ready_mac

BETWEEN_ASKS_S = 0.02
"""Seconds: 50 events a second while customers ask."""
PATIENCE_S = 60
PACE_MS = 10
"""ms between two looks at what a line with a rate has room for."""


class Line:
    """One dispenser on one PTY."""

    def __init__(self, master: int, number: int, count: int, more: int) -> None:
        self.hello = Hello(
            dispenser=dispenser(number),
            firmware="1",
            versions=(1,),
            nozzles=tuple(NozzleInfo(n, sauce, 500) for n, sauce in enumerate(SAUCES)),
            generation=1,
            lowest=1,
            next=2**40,
            nonce=bytes(8),
            boot=1,
            uptime_ms=0,
        )
        self.frames = [frame(sequence) for sequence in range(1, count + 1)]
        self.later = [frame(sequence) for sequence in range(count + 1, count + more + 1)]
        self.window = 0
        self.acked = self.sent = 0
        self._master = master
        self._decoder = FrameDecoder()

    def open(self) -> None:
        """Prove who we are, once the gateway asks: what is written before it opened the port is lost."""
        self._await(lambda message: isinstance(message, HelloRequest))
        os.write(self._master, encode_message(self.hello))
        welcome = self._await(lambda message: isinstance(message, Welcome))
        self.window = welcome.window
        os.write(self._master, encode_message(Ready(mac=ready_mac(KEY, self.hello, welcome))))

    @property
    def done(self) -> bool:
        """Whether the last frame is acknowledged."""
        return self.acked >= len(self.frames)

    def push(self, window: int) -> None:
        """Write what the window lets through."""
        due = self.frames[self.sent : self.acked + min(window, self.window)]
        if due:
            os.write(self._master, b"".join(due))
            self.sent += len(due)

    def pull(self) -> list[object]:
        """Read what has come."""
        frames = self._decoder.feed(os.read(self._master, 65_536))
        messages = [decode_message(frame) for frame in frames if isinstance(frame, Frame)]
        for message in messages:
            if isinstance(message, Ack):
                self.acked = max(self.acked, message.sequence)
            elif isinstance(message, Ping):
                os.write(self._master, encode_message(Pong(nonce=message.nonce)))
        return list(messages)

    def ask(self, number: int, event_frame: bytes) -> float:
        """Seconds from the last byte of an ASK, written behind an event, to PICKS."""
        question = encode_message(Ask(session=number, nonce=number.to_bytes(8, "big"), dial=number % 100))
        os.write(self._master, event_frame + question)
        begun = time.perf_counter()
        self._await(lambda message: isinstance(message, Picks))
        return time.perf_counter() - begun

    def _await(self, wanted: Callable[[object], bool]) -> Any:
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if select.select([self._master], [], [], 1)[0]:
                for message in self.pull():
                    if wanted(message):
                        return message
        raise TimeoutError(f"{self.hello.dispenser}: no answer in {PATIENCE_S} s")


def stream(lines: dict[int, Line], window: int, baud: int = 0) -> float:
    """Seconds in which all lines send all frames, from first byte to last ACK; no faster than `baud`, if any."""
    poll = select.poll()
    for master in lines:
        poll.register(master, select.POLLIN)
    frames_s = baud / 10 / len(frame(100_000)) if baud else float("inf")
    heard = begun = time.perf_counter()
    while not all(line.done for line in lines.values()):
        now = time.perf_counter()
        for line in lines.values():
            line.push(min(window, int((now - begun) * frames_s) - line.acked if baud else window))
        for master, _ in poll.poll(PACE_MS if baud else PATIENCE_S * 1000):
            lines[master].pull()
            heard = now
        if now - heard > PATIENCE_S:
            raise TimeoutError(f"no ACK in {PATIENCE_S} s")
    return time.perf_counter() - begun


def _feed(masters: list[int], count: int, asks: int, window: int, baud: int, told: Connection) -> None:
    os.sched_setaffinity(0, cores()[1:] or cores())
    lines = {
        master: Line(master, number, count // len(masters), asks if number == 1 else 0)
        for number, master in enumerate(masters, 1)
    }
    told.send("ready")
    for line in lines.values():
        line.open()
    told.send(stream(lines, window, baud))
    first = lines[masters[0]]
    times = []
    for number, event_frame in enumerate(first.later, count):
        times.append(first.ask(number, event_frame))
        time.sleep(BETWEEN_ASKS_S)
    told.send(sorted(times))
    told.recv()


@contextmanager
def feeding(
    lines: int, count: int, asks: int = 0, window: int = 2**31, baud: int = 0
) -> Iterator[tuple[list[str], Connection]]:
    """Dispensers that send `count` events in all; then the first asks. Gives the ports for the gateway, and the teller.

    It tells, in this order: "ready"; seconds of the stream; seconds of each ASK, sorted. Start it before any thread.
    """
    pairs = [os.openpty() for _ in range(lines)]
    for _, slave in pairs:
        tty.setraw(slave)
    told, tell = multiprocessing.Pipe()
    arguments = ([master for master, _ in pairs], count, asks, window, baud, tell)
    process = multiprocessing.get_context("fork").Process(target=_feed, args=arguments, daemon=True)
    process.start()
    tell.close()  # so that its end is an EOFError here
    try:
        assert told.recv() == "ready"
        yield [os.ttyname(slave) for _, slave in pairs], told
    finally:
        process.terminate()
        process.join()
        for pair in pairs:
            for end in pair:
                os.close(end)
