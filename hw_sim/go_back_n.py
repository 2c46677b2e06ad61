"""Events under way: go-back-N over the ring, from the dispenser's side. Pure; used by `mcu` alone.

    ring   lowest ............ next
    flow          base ... send ... base + window

Events below `base` are acknowledged, those from `base` to `send` are under way. When no ACK came for a while all of
them are sent again. The ring frees what was acknowledged, and nothing else does.
"""

from __future__ import annotations

import cbor2

from firmware_bridge.messages import EventMessage
from hw_sim.ring import Ring

RESEND_MS = 500
"""ms without progress before events are sent again; doubles up to `RESEND_SLOWEST_MS`. A commit on an SD card takes
up to a few hundred."""
RESEND_SLOWEST_MS = 8_000
FRUITLESS = 3
"""Resends without progress after which only a new HELLO can help."""


class GoBackN:
    """The flow of one dispenser's events over one link."""

    def __init__(self, ring: Ring) -> None:
        self.resends = 0
        self._ring = ring
        self._window = 1
        self._base = self._send = ring.header.lowest
        self._progress_ms = 0
        self._first_resend_ms = self._resend_ms = RESEND_MS
        self._fruitless = 0

    def link_up(self, slack_ms: int = 0) -> None:
        """Another cable: the patience that the last one had worn out is back. `slack_ms`: the line's own time."""
        self._first_resend_ms = self._resend_ms = RESEND_MS + slack_ms
        self._fruitless = 0

    def open(self, base: int, window: int, now_ms: int) -> None:
        """The gateway waits for `base`, and takes `window` events without an ACK."""
        self._base = self._send = base
        self._window = window
        self._progress_ms = now_ms

    def acknowledge(self, sequence: int, now_ms: int) -> bool:
        """Free every event up to `sequence`; whether that was news."""
        self._ring.free(sequence)
        if sequence < self._base:
            return False
        self._base = sequence + 1
        self._send = max(self._send, self._base)
        self._progress_ms = now_ms
        self._resend_ms, self._fruitless = self._first_resend_ms, 0
        return True

    def is_stuck(self, now_ms: int) -> bool:
        """Go back if it is time to; whether only a new HELLO can help."""
        if self._base < self._send and now_ms - self._progress_ms >= self._resend_ms:
            self.resends += 1
            self._fruitless += 1
            self._resend_ms = min(2 * self._resend_ms, RESEND_SLOWEST_MS)
            self._progress_ms = now_ms
            self._send = self._base
        overtaken = self._send < self._ring.header.lowest  # what the gateway waits for was pushed out of the ring
        if overtaken or self._fruitless >= FRUITLESS:
            self._fruitless = 0
            return True
        return False

    @property
    def may_send(self) -> bool:
        """Whether an event waits and the window has room for it."""
        return self._send < self._ring.header.next and self._send - self._base < self._window

    def next_event(self, now_ms: int) -> EventMessage | None:
        """The next event to send."""
        if not self.may_send:
            return None
        if self._send == self._base:
            self._progress_ms = now_ms
        sequence, record = self._send, self._ring.get(self._send)
        self._send += 1
        return EventMessage(
            generation=self._ring.header.generation,
            sequence=sequence,
            boot=record.boot,
            uptime_ms=record.uptime_ms,
            sent_uptime_ms=now_ms,
            session=record.session,
            kind=record.kind,
            body=cbor2.loads(record.body),
        )

    def resend_due_ms(self) -> int | None:
        """When events are to be sent again; None while none is under way."""
        return self._progress_ms + self._resend_ms if self._base < self._send else None
