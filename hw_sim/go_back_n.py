"""Events under way: go-back-N over the ring, from the dispenser's side. Pure; used by `mcu` alone.

    ring   lowest ............ next
    flow          base ... send ... base + window

Events below `base` are acknowledged, those from `base` to `send` are under way. When no ACK came for a while all of
them are sent again. The ring frees what was acknowledged, and nothing else does.

An ACK may change the window. One of 0 says to keep the events: then one of them is sent now and then, in case the ACK
that would let them go was lost.
"""

from __future__ import annotations

import cbor2

from firmware_bridge.messages import EventMessage
from hw_sim.ring import Ring

RESEND_MS = 500
"""ms without progress before events are sent again; doubles up to `RESEND_SLOWEST_MS`. A commit on an SD card takes
up to a few hundred."""
RESEND_SLOWEST_MS = 8_000
PROBE_MS = 2_000
"""ms between two events that ask a gateway without room whether it has some."""
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

    @property
    def paused(self) -> bool:
        """Whether the gateway has no room."""
        return self._window == 0

    def acknowledge(self, sequence: int, window: int | None, now_ms: int) -> bool:
        """Free every event up to `sequence`, and take its `window`; whether events moved on."""
        self._ring.free(sequence)
        if window is not None:
            self._turn(window, now_ms)
        if sequence < self._base:
            return False
        self._base = sequence + 1
        self._send = max(self._send, self._base)
        self._progress_ms = now_ms
        self._resend_ms, self._fruitless = self._first_resend_ms, 0
        return True

    def _turn(self, window: int, now_ms: int) -> None:
        """The gateway takes `window` events now. From a pause on, what it had no room for counts as not sent."""
        if window == 0:
            self._send = self._base
            self._progress_ms, self._resend_ms, self._fruitless = now_ms, self._first_resend_ms, 0
        self._window = window

    def is_stuck(self, now_ms: int) -> bool:
        """Go back if it is time to; whether only a new HELLO can help."""
        if not self.paused and self._base < self._send and now_ms - self._progress_ms >= self._resend_ms:
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
        if self.paused and self._base < self._ring.header.next and now_ms - self._progress_ms >= PROBE_MS:
            self._progress_ms = now_ms
            return self._event(self._base, now_ms)
        if not self.may_send:
            return None
        if self._send == self._base:
            self._progress_ms = now_ms
        self._send += 1
        return self._event(self._send - 1, now_ms)

    def _event(self, sequence: int, now_ms: int) -> EventMessage:
        record = self._ring.get(sequence)
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
        if self.paused:
            return self._progress_ms + PROBE_MS if self._base < self._ring.header.next else None
        return self._progress_ms + self._resend_ms if self._base < self._send else None
