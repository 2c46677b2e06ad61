"""An `Mcu` in real time: its uptime, and the timer that lets a line ask for the next message when one is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from firmware_bridge.messages import Message, UpMessage
from hw_sim.mcu import Mcu


class Firmware:
    """What a line talks to. `heard` is called after whatever may have changed the dispenser or its ring."""

    def __init__(self, mcu: Mcu, heard: Callable[[], None]) -> None:
        self.mcu = mcu
        self._heard = heard
        self._booted_ns = time.monotonic_ns()
        self._alarm: asyncio.TimerHandle | None = None

    def now_ms(self) -> int:
        """The uptime, in ms since the simulated boot."""
        return (time.monotonic_ns() - self._booted_ns) // 1_000_000

    def link_up(self, baud: int = 0) -> None:
        """The line is there. `baud` 0: bytes take no time."""
        self.mcu.link_up(self.now_ms(), baud)

    def link_down(self) -> None:
        """The line is gone."""
        self.cancel_alarm()
        self.mcu.link_down()
        self._heard()

    def receive(self, message: Message) -> None:
        """A message came in."""
        self.mcu.feed(message, self.now_ms())
        self._heard()

    def next_message(self) -> UpMessage | None:
        """What to send now that the line is free."""
        return self.mcu.next_message(self.now_ms())

    def set_alarm(self, wake: Callable[[], None]) -> None:
        """Call `wake` when the firmware's next timer runs out; it replaces the alarm before."""
        self.cancel_alarm()
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
