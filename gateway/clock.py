"""What time it is, how sure that is, and how stored events get their day once it becomes known.

A Pi has no clock of its own: until the network sets it, wall time may be anything. Events are therefore stamped with
the kernel's boot-based time too. While wall time is unknown their day is `-(boot number)`: they count for the picks at
once and stay in the outbox; `settle` then moves their integer sums to the right day.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec

from gateway.sessions import holds_own_sums
from gateway.transaction import Transaction
from heat.events import AnyData, SessionClaimed, Stamp, decode_data
from heat.profile import contribution

DAY_MS = 86_400_000
PLAUSIBLE_FROM_MS = 1_767_225_600_000
"""2026-01-01: a wall clock that stands before this program was written has not been set."""
SETTLE_ROWS = 1_000
"""Events that get their day in one transaction: some 50 ms in which nothing else is committed."""
SYNCHRONISED = Path("/run/systemd/timesync/synchronized")
"""systemd-timesyncd touches this file once the network has set the clock."""

Trust = Literal["system", "ntp"]


@dataclass(frozen=True, slots=True)
class Now:
    """One reading of the clocks."""

    wall_ms: int
    """Unix time, ms; meaningless while `known` is false."""
    boot_ms: int
    """ms since the kernel booted, suspended time included."""
    known: bool

    @property
    def day(self) -> int:
        """The UTC day number of `wall_ms`."""
        return self.wall_ms // DAY_MS


class Clock:
    """The Pi's clocks. `trust` says what makes wall time known: a plausible value, or the word of the network."""

    def __init__(self, trust: Trust = "system", wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._trust = trust
        self._wall_ns = wall_ns

    def now(self) -> Now:
        """The time."""
        wall_ms = self._wall_ns() // 1_000_000
        known = wall_ms >= PLAUSIBLE_FROM_MS and (self._trust == "system" or SYNCHRONISED.exists())
        return Now(wall_ms, time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1_000_000, known)

    def unix_ms(self) -> int:
        """Unix time in ms, 0 while it is unknown: what WELCOME tells a dispenser."""
        now = self.now()
        return now.wall_ms if now.known else 0


def kernel_boot_id() -> str:
    """The id that the kernel gave to this boot."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def register_boot(tx: Transaction, boot_id: str, boot_ms: int) -> int:
    """The number (1, 2, ...) of a kernel boot in this database. In a new one, sessions count from its beginning."""
    if tx.connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,)).rowcount:
        tx.connection.execute("UPDATE sessions SET seen_ms = ?", (boot_ms,))
    return int(tx.connection.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()[0])


def stamp(now: Now, boot: int, age_ms: int, *, sure: bool) -> Stamp:
    """The stamp of what happened `age_ms` before `now`. `sure` is false where the age itself is only a bound."""
    time_ms, boot_ms = max(now.wall_ms - age_ms, 0), now.boot_ms - age_ms
    if not now.known:
        return Stamp(time_ms, boot_ms, -boot, "unknown")
    return Stamp(time_ms, boot_ms, time_ms // DAY_MS, "known" if sure else "unknown")


def settle(tx: Transaction, boot: int, now: Now) -> int:
    """Give the first events that wait for their day one. Returns how many were moved; 0 once none waits.

    If wall time is known `now`, events of the present boot get their true time. Those of earlier boots, in which time
    never became known, can only be put on today, and keep the mark `unknown`; so do all if wall time is still unknown
    and the wait has been given up.
    """
    rows = tx.connection.execute(
        "SELECT position, type, subject, boot_ms, day, data FROM events WHERE day < 0 ORDER BY position LIMIT ?",
        (SETTLE_ROWS,),
    ).fetchall()
    offset_ms = now.wall_ms - now.boot_ms
    for position, type_, subject, boot_ms, old_day, text in rows:
        ours = old_day == -boot
        time_ms = max(boot_ms + offset_ms, 0) if ours else now.wall_ms
        day, state = time_ms // DAY_MS, "estimated" if ours and now.known else "unknown"
        rewritten = None
        if type_ is not None:
            rewritten = _move(tx, subject, decode_data(type_, text), old_day, day)
        tx.connection.execute(
            "UPDATE events SET time_ms = ?, day = ?, clock = ?, data = ? WHERE position = ?",
            (time_ms, day, state, rewritten or text, position),
        )
    return len(rows)


def _move(tx: Transaction, subject: str | None, data: AnyData, old_day: int, day: int) -> bytes | None:
    """Move one event's contribution to another day; a claim's own rows are rewritten, and returned."""
    before = contribution(data, tx.gateway_id, old_day)
    if subject is None or not before.buckets or not holds_own_sums(tx, subject):
        return None
    tx.fold(subject, before, -1)
    after = before.moved(old_day, day)
    tx.fold(subject, after)
    if not isinstance(data, SessionClaimed):
        return None
    buckets, flavours = after.rows()
    return msgspec.json.encode(msgspec.structs.replace(data, buckets=buckets, flavours=flavours))
