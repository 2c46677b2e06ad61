"""The orders of one dispenser, one after the other: when the next may begin, and how its time is reckoned. No I/O."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from firmware_bridge.link import Link
from firmware_bridge.messages import Hello
from gateway.clock import Now
from gateway.orders import COPY_MS, LOG_SIZE, Order

REST_MS = COPY_MS + 5_000
"""ms after an order's end in which at most `LOG_SIZE - 1` others begin: copies of it may still be good."""
PACE = f"{LOG_SIZE - 1} commands in {REST_MS // 1000} s are the most"
GREETED_MS = 3_600_000
"""ms after a HELLO for which its uptime is reckoned on: a poor crystal, off by 500 ppm, is then off by 2 s."""
GREET_EVERY_MS = 5_000
"""ms between two wishes for a HELLO, as a dispenser's uptime is not known well enough."""


@dataclass(frozen=True, slots=True)
class Reach:
    """An open link to a dispenser."""

    link: Link
    hello: Hello
    opened_boot_ms: int
    """The gateway's uptime when it opened, ms; a little after its HELLO was made."""

    def uptime_ms(self, now: Now) -> int:
        """The dispenser's uptime, ms; at most by what the opening took too low, and by what its clock drifts."""
        return self.hello.uptime_ms + max(now.boot_ms - self.opened_boot_ms, 0)


@dataclass(slots=True)
class Queue:
    """The orders of one dispenser, the one that is being carried out first."""

    orders: deque[Order]
    ends: deque[int]
    """When the last ones ended that the dispenser may remember, by our uptime, ms."""
    copied_ms: int | None = None
    """When the first order's last copy left."""
    questions: int = 0
    greeted_ms: int | None = None
    dropping: bool = False
    """Whether the dispenser is forgotten."""


def greet(queue: Queue, way: Reach, now: Now) -> None:
    """Have a dispenser say what its uptime is."""
    if queue.greeted_ms is None or now.boot_ms - queue.greeted_ms >= GREET_EVERY_MS:
        queue.greeted_ms = now.boot_ms
        way.link.invite()


def rest_ms(queue: Queue, now: Now, ahead: int = 0) -> int:
    """ms until an order may begin; about, where some are `ahead` of it, which are taken to be done at once.

    The dispenser's log must not forget one of which copies are still good.
    """
    before = ahead + len(queue.ends) - (LOG_SIZE - 1)
    if before < 0:
        return 0
    rounds, place = divmod(before, LOG_SIZE - 1)
    ended_ms = queue.ends[place] if place < len(queue.ends) else now.boot_ms
    return max(ended_ms + (rounds + 1) * REST_MS - now.boot_ms, 0)


def may_begin(order: Order, way: Reach, now: Now) -> bool:
    """Whether the dispenser may still begin it, whatever it said of one copy."""
    expires_ms = order.device_expires_ms
    return order.device_boot == way.hello.boot and expires_ms is not None and way.uptime_ms(now) < expires_ms
