"""An `Mcu` in real time: its uptime, and the timer that lets a line ask for the next message when one is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

from firmware_bridge.codec import encode_message, encode_packet
from firmware_bridge.messages import Ask, Message, Sample, UpMessage
from hw_sim.mcu import Mcu
from hw_sim.power import PowerCut

QOS_OF_ASK = 0
"""It is worth nothing later, nor is a SAMPLE; everything else goes at 1."""


class Talker(Protocol):
    """What a line talks to."""

    def link_up(self, baud: int = 0) -> None:
        """The line is there. `baud` 0: bytes take no time."""

    def link_down(self) -> None:
        """The line is gone."""

    def receive(self, message: Message) -> None:
        """A message came in."""

    def next_frame(self) -> bytes | None:
        """What to send on a serial line, now that it is free."""

    def next_packet(self) -> tuple[bytes, int] | None:
        """What to publish, and its QoS."""

    def set_alarm(self, wake: Callable[[], None]) -> None:
        """Call `wake` when there may be something to send though nothing came in; it replaces the alarm before."""


class Firmware:
    """A dispenser's, in real time.

    `heard` is called after whatever may have changed the dispenser or its ring, `lose_power` when a write was cut,
    `fell` when the line has gone.
    """

    def __init__(
        self, mcu: Mcu, heard: Callable[[], None], lose_power: Callable[[], None], fell: Callable[[], None]
    ) -> None:
        self.mcu = mcu
        self.frozen = False
        """Whether it hangs: nothing is read, nothing said, and its uptime goes on."""
        self._heard = heard
        self._lose_power = lose_power
        self._fell = fell
        self._baud = 0
        self._booted_ns = time.monotonic_ns()
        self._alarm: asyncio.TimerHandle | None = None

    def boot(self, mcu: Mcu) -> None:
        """Start again with nothing in RAM: uptime 0, no link."""
        self.cancel_alarm()
        self.mcu = mcu
        self.frozen = False
        self._booted_ns = time.monotonic_ns()

    def now_ms(self) -> int:
        """The uptime, in ms since the simulated boot."""
        return (time.monotonic_ns() - self._booted_ns) // 1_000_000

    def link_up(self, baud: int = 0) -> None:
        """The line is there. `baud` 0: bytes take no time."""
        self._baud = baud
        self.mcu.link_up(self.now_ms(), baud)

    def link_again(self) -> None:
        """Say HELLO on the line that is there, as if it were new."""
        self.link_up(self._baud)

    def link_down(self) -> None:
        """The line is gone."""
        self.cancel_alarm()
        self.mcu.link_down()
        self._heard()
        self._fell()

    def receive(self, message: Message) -> None:
        """A message came in."""
        if self.frozen:
            return
        try:
            self.mcu.feed(message, self.now_ms())
        except PowerCut:
            self._lose_power()
        self._heard()

    def next_frame(self) -> bytes | None:
        """What to send on a serial line, now that it is free."""
        message = self._next_message()
        return encode_message(message, self.mcu.version) if message is not None else None

    def next_packet(self) -> tuple[bytes, int] | None:
        """What to publish, and its QoS."""
        message = self._next_message()
        if message is None:
            return None
        return encode_packet(message, self.mcu.version), QOS_OF_ASK if isinstance(message, Ask | Sample) else 1

    def _next_message(self) -> UpMessage | None:
        return None if self.frozen else self.mcu.next_message(self.now_ms())

    def set_alarm(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the firmware's next timer runs out; it replaces the alarm before."""
        self.cancel_alarm()
        if self.frozen:
            return
        now_ms = self.now_ms()
        due_ms = self.mcu.due_ms(now_ms)
        if due_ms is not None:
            delay_s = max(due_ms - now_ms, 1) / 1000
            self._alarm = asyncio.get_running_loop().call_later(delay_s, wake)

    def cancel_alarm(self) -> None:
        """Forget the alarm."""
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
