"""What time it is, and whether that can be believed.

A Pi has no clock of its own: until the network sets it, wall time may be anything, and it may be set again at any
moment. The kernel's uptime can't be set, so what is known is their difference, the offset. A reading whose offset is
not what was believed has been set by somebody. Until it is clear who is right, the time counts as unknown, and
`wall_ms` goes on from what was believed. A new setting is believed once the network has vouched for it, or once it has
stood for as long as it jumped, at most `hold_ms`. One that was taken back leaves no trace.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

log = logging.getLogger("gateway.clock")

HOUR_MS = 3_600_000
DAY_MS = 86_400_000
PLAUSIBLE_FROM_MS = 1_767_225_600_000
"""2026-01-01: a wall clock that stands before this program was written has not been set."""
STEP_MS = 500
"""ms from one reading to the next by which the offset may change unnoticed; time daemons slew what is less."""
LEAP_MS = 180 * DAY_MS
"""ms after the newest stored event from which on a first reading is implausible."""
HOLD_MS = 72 * HOUR_MS
"""ms for which a setting is doubted at most."""
TORN_MS = 20
"""ms between which both clocks must be read: a process that was stopped in between would see a step."""
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd touches this file at each synchronisation (systemd-timesyncd.service(8))."""

Trust = Literal["system", "ntp"]


@dataclass(frozen=True, slots=True)
class Now:
    """One reading of the clocks."""

    wall_ms: int
    """Unix time, ms; no more than a guess while `known` is false, and never what a clock shows that was not set."""
    boot_ms: int
    """ms since the kernel booted, suspended time included."""
    known: bool

    @property
    def day(self) -> int:
        """The UTC day number of `wall_ms`."""
        return self.wall_ms // DAY_MS


@dataclass(frozen=True, slots=True)
class Doubt:
    """A setting of the clock that nobody has vouched for."""

    off_ms: int
    """How far it is from what was expected."""
    offset_ms: int
    since_ms: int
    """By the kernel's uptime."""
    until_ms: int
    """From when on it is believed anyway."""


@dataclass(frozen=True, slots=True)
class Unknown:
    """How long the time has been unknown, as the store keeps it, by the kernel's uptime."""

    at_ms: int
    """When this was noted."""
    since_ms: int
    doubt_since_ms: int | None
    doubt_offset_ms: int
    lead_ms: int = 0
    """How far the doubted clock may be ahead of that: the machine was off."""

    def in_new_boot(self, boot_ms: int) -> Unknown:
        """The same in a boot whose uptime is `boot_ms` now: the time in which the machine was off does not count."""
        by_ms = boot_ms - self.at_ms
        doubt_since_ms = None if self.doubt_since_ms is None else self.doubt_since_ms + by_ms
        return Unknown(boot_ms, self.since_ms + by_ms, doubt_since_ms, self.doubt_offset_ms - by_ms, LEAP_MS)


def uptime_ns() -> int:
    """ns since the kernel booted, suspended time included."""
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Clock:
    """The Pi's clocks. `trust` says what makes wall time known: a plausible value, or the word of the network.

    `synchronised` is the file whose touch is that word; `hold_ms` is how long a setting is doubted at most.
    """

    def __init__(
        self,
        trust: Trust = "system",
        wall_ns: Callable[[], int] = time.time_ns,
        boot_ns: Callable[[], int] = uptime_ns,
        synchronised: Path = SYNCHRONISED,
        hold_ms: int = HOLD_MS,
    ) -> None:
        self.doubt: Doubt | None = None
        """What is not believed now."""
        self.steps = 0
        """Settings of the clock that were noticed."""
        self.offset_ms: int | None = None
        """Wall time less uptime, as it was last believed; None while it never was in this boot."""
        self.dated_ms: int | None = None
        """The offset by which the store's events of this boot are dated; None while none are."""
        self._trust = trust
        self._wall_ns, self._boot_ns = wall_ns, boot_ns
        self._synchronised = synchronised
        self._hold_ms = hold_ms
        self.noted: Unknown | None = None
        """What the store has of `unknown`."""
        self._newest_ms = 0
        self._unknown_since_ms: int | None = None
        """Since when the time is unknown, by the kernel's uptime."""
        self._word: int | None = None
        self._person: Literal["silent", "vouches", "vouched"] = "silent"

    def vouch(self) -> bool:
        """Somebody looked at this clock and says that it is right. Returns whether the time is known now."""
        self._person = "vouches"
        return self.now().known

    def recall(self, offset_ms: int | None, newest_ms: int, noted: Unknown | None = None) -> None:
        """What the store remembers: the offset believed in this kernel boot, the newest event's time, and doubts."""
        self.offset_ms = self.dated_ms = offset_ms
        self._newest_ms = newest_ms
        self.noted = noted
        if noted is not None:
            self._unknown_since_ms = noted.since_ms
            if noted.lead_ms:  # whatever was waited before, a new boot gives the network an hour
                self._unknown_since_ms = max(noted.since_ms, noted.at_ms + HOUR_MS - self._hold_ms)
        self.look()

    def look(self) -> None:
        """Note the network's word of now, once a second: only one that comes after a step vouches for it."""
        if self.doubt is None and self.offset_ms is not None:
            self._word = self._read_word()

    def now(self) -> Now:
        """The time."""
        boot_ms, offset_ms = self._read()
        known = self._believes(boot_ms, offset_ms)
        if known:
            self.offset_ms, self._unknown_since_ms = offset_ms, None
        elif self._unknown_since_ms is None:
            self._unknown_since_ms = boot_ms
        return Now(boot_ms + self._best(boot_ms, offset_ms), boot_ms, known)

    @property
    def holds(self) -> bool:
        """Whether the days that the store gave in this boot may turn out wrong: nothing should go up meanwhile."""
        now = self.now()
        if self.dated_ms is None or now.known:
            return self.dated_ms is not None and self.to_redate
        return self.doubt is not None and now.boot_ms < self.doubt.until_ms

    def waits_ms(self) -> int | None:
        """ms for which events still wait for the time to become known; None while it is."""
        now = self.now()
        if self._unknown_since_ms is None:
            return None
        end_ms = self._unknown_since_ms + self._hold_ms
        return max(end_ms - now.boot_ms, self.doubt.until_ms - now.boot_ms if self.doubt else 0, 0)

    def unknown(self) -> Unknown | None:
        """What the store should keep of the time's being unknown; None while it is known."""
        now, doubt = self.now(), self.doubt
        if self._unknown_since_ms is None:
            return None
        since_ms, offset_ms = (None, 0) if doubt is None else (doubt.since_ms, doubt.offset_ms)
        return Unknown(now.boot_ms, self._unknown_since_ms, since_ms, offset_ms)

    @property
    def to_redate(self) -> bool:
        """Whether the clock that is believed is not the one by which the store's events are dated."""
        if self.offset_ms is None:
            return False
        return self.dated_ms is None or abs(self.offset_ms - self.dated_ms) > STEP_MS

    def unix_ms(self) -> int:
        """Unix time in ms, 0 while it is unknown: what WELCOME tells a dispenser."""
        now = self.now()
        return now.wall_ms if now.known else 0

    def _read(self) -> tuple[int, int]:
        while True:
            before, wall, after = self._boot_ns(), self._wall_ns(), self._boot_ns()
            if after - before <= TORN_MS * 1_000_000:
                return after // 1_000_000, (wall - after) // 1_000_000

    def _read_word(self) -> int | None:
        try:
            return os.stat(self._synchronised).st_mtime_ns  # noqa: PTH116 -- a tenth of what pathlib takes
        except OSError:
            return None

    def _believes(self, boot_ms: int, offset_ms: int) -> bool:
        wall_ms = boot_ms + offset_ms
        off_ms = self._off(wall_ms, offset_ms)
        if abs(off_ms) <= STEP_MS and self.doubt is not None:
            log.info("the clock is where it was before")
            self.doubt = None
        plausible = wall_ms >= PLAUSIBLE_FROM_MS
        if not plausible and self.offset_ms is None:
            return False
        heard = self._trust == "system" or self._word is not None or self._person != "silent"
        if heard and abs(off_ms) <= STEP_MS:
            self._person = "vouched" if self._person == "vouches" else self._person
            return True
        word = self._read_word()
        if plausible and word is not None and word != self._word:
            if abs(off_ms) > STEP_MS:
                self._accept(off_ms, "the network vouches for it")
            self._word = word
            return True
        if plausible and self._person == "vouches":
            self._accept(off_ms, "somebody at the gateway vouches for it")
            self._person = "vouched"
            return True
        if not heard:
            return False
        doubt = self.doubt
        if doubt is None or abs(offset_ms - doubt.offset_ms) > STEP_MS:
            doubt = self._begin_doubt(off_ms, offset_ms, boot_ms)
        if not plausible or boot_ms < doubt.until_ms:
            return False
        self._accept(off_ms, "it has stood for long enough")
        return True

    def _best(self, boot_ms: int, offset_ms: int) -> int:
        """The offset to go by, known or not: what was believed, what is believable, or the least that it can be."""
        if self.offset_ms is not None:
            return self.offset_ms
        wall_ms = boot_ms + offset_ms
        if wall_ms >= PLAUSIBLE_FROM_MS and abs(self._off(wall_ms, offset_ms)) <= STEP_MS:
            return offset_ms
        return max(self._newest_ms, PLAUSIBLE_FROM_MS)  # the kernel booted after that

    def _off(self, wall_ms: int, offset_ms: int) -> int:
        """How far a reading is from what was expected; 0 if nothing speaks against it."""
        if self.offset_ms is not None:
            return offset_ms - self.offset_ms
        if not self._newest_ms:
            return 0
        return min(wall_ms - self._newest_ms, 0) or max(wall_ms - self._newest_ms - LEAP_MS, 0)

    def _begin_doubt(self, off_ms: int, offset_ms: int, boot_ms: int) -> Doubt:
        self.steps += 1
        noted, since_ms = self.noted, boot_ms
        if noted is not None and noted.doubt_since_ms is not None:
            lead_ms = offset_ms - noted.doubt_offset_ms
            if -STEP_MS <= lead_ms <= STEP_MS + noted.lead_ms:  # it stood before this start already
                since_ms = noted.doubt_since_ms
        until_ms = since_ms + min(abs(off_ms), self._hold_ms)
        left_s = max(until_ms - boot_ms, 0) / 1000
        log.warning("the clock is %.1f s off what was expected: doubted for %.1f s", off_ms / 1000, left_s)
        self.doubt = Doubt(off_ms, offset_ms, since_ms, until_ms)
        return self.doubt

    def _accept(self, off_ms: int, why: str) -> None:
        if self.doubt is None:
            self.steps += 1
        self.doubt = None
        log.warning("the clock, %.1f s off what was expected, is believed: %s", off_ms / 1000, why)


def kernel_boot_id() -> str:
    """The id that the kernel gave to this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
