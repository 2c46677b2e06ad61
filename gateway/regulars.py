"""Customers of the region's other stores: what the cloud knows of them, beside what this gateway saw itself.

A profile from `picante.profiles.v1` replaces the customer's buckets of all other origins, whole, and never touches
those of this gateway's own: they are what the events here add up to, and the cloud's copy of them may lag. So nothing
is counted twice, and picks read both in one query.

What comes down may take a share of the store's quota. Beyond it, those go who were seen longest ago in the region; they
come again with their next event. Called by `downlink`, in the writer's thread.
"""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, dataclass, replace

from gateway.transaction import Transaction, read_profile
from heat.profile import Profile

REGULAR_BYTES = 160
"""Bytes that a customer takes in `regulars` and its index, measured by SQLite's dbstat."""
BUCKET_BYTES = 110
"""Bytes of a row in `buckets`: the same."""
FLAVOUR_BYTES = 80
"""Bytes of a row in `flavours`: the same."""
EVICTED_AT_ONCE = 500
"""Customers that go in one transaction: some 20 ms of the writer's time. What is over is taken with the next one."""
_BYTES = "regulars_bytes"


@dataclass(frozen=True, slots=True)
class Regular:
    """What the cloud says of one customer."""

    subject: str
    generation: int
    version: int
    """Offset of the last event that is folded; compared after the generation, and higher wins."""
    last_day: int
    """The UTC day on which the customer was last seen in the region."""
    profile: Profile


@dataclass(frozen=True, slots=True)
class Held:
    """What is here of a customer: a row of `regulars`, the columns in their order."""

    partition: int
    generation: int
    version: int
    last_day: int
    bytes: int
    snapshot: int


def take(tx: Transaction, regular: Regular, partition: int, snapshot: int) -> bool:
    """Replace the buckets of other origins by these, if they are newer than what is here. Returns whether it did.

    What only this gateway adds to changes nothing, and costs no commit: most profiles that come down are such.
    """
    held = _held(tx, regular.subject)
    if held is not None and (regular.generation, regular.version) <= (held.generation, held.version):
        return _note(tx, regular.subject, held, replace(held, partition=partition, snapshot=snapshot))
    foreign = others(regular.profile, tx.gateway_id)
    size = _size_bytes(foreign)
    new = Held(partition, regular.generation, regular.version, regular.last_day, size, snapshot)
    if held is not None and others(read_profile(tx.connection, regular.subject), tx.gateway_id) == foreign:
        return _note(tx, regular.subject, replace(held, version=new.version), new)
    _drop_foreign(tx, regular.subject)
    tx.fold(regular.subject, foreign)
    return _note(tx, regular.subject, held, new)


def remove(tx: Transaction, subject: str) -> bool:
    """Forget what the cloud said of a customer. Returns whether anything was here."""
    held = _held(tx, subject)
    if held is None:
        return False
    _drop_foreign(tx, subject)
    tx.connection.execute("DELETE FROM regulars WHERE subject = ?", (subject,))
    _grow(tx, -held.bytes)
    return True


def remove_unnamed(tx: Transaction, partition: int, snapshot: int) -> int:
    """Forget whom a full snapshot of a partition did not name. Returns how many."""
    unnamed = tx.connection.execute(
        "SELECT subject FROM regulars WHERE partition = ? AND snapshot <> ?", (partition, snapshot)
    ).fetchall()
    for (subject,) in unnamed:
        remove(tx, subject)
    return len(unnamed)


def evict(tx: Transaction, budget_bytes: int) -> int:
    """Forget those who were seen longest ago until the rest fits, or enough for one transaction. Returns how many."""
    evicted = 0
    over = used_bytes(tx.connection) - budget_bytes
    if over <= 0:
        return 0
    oldest = tx.connection.execute(
        "SELECT subject, bytes FROM regulars ORDER BY last_day, subject LIMIT ?", (EVICTED_AT_ONCE,)
    ).fetchall()
    for subject, size in oldest:
        if over <= 0:
            break
        remove(tx, subject)
        over -= size
        evicted += 1
    return evicted


def used_bytes(connection: sqlite3.Connection) -> int:
    """Bytes that profiles of other origins take, about."""
    used = connection.execute("SELECT value FROM meta WHERE key = ?", (_BYTES,)).fetchone()
    return int(used[0]) if used else 0


def figures(connection: sqlite3.Connection) -> tuple[int, int]:
    """How many customers are here of whom the cloud told, and how many bytes they take, about."""
    customers = connection.execute("SELECT count(*) FROM regulars").fetchone()[0]
    return int(customers), used_bytes(connection)


def _held(tx: Transaction, subject: str) -> Held | None:
    row = tx.connection.execute(
        "SELECT partition, generation, version, last_day, bytes, snapshot FROM regulars WHERE subject = ?", (subject,)
    ).fetchone()
    return Held(*row) if row else None


def _note(tx: Transaction, subject: str, held: Held | None, new: Held) -> bool:
    if held == new:
        return False
    tx.connection.execute("INSERT OR REPLACE INTO regulars VALUES (?, ?, ?, ?, ?, ?, ?)", (subject, *astuple(new)))
    _grow(tx, new.bytes - (held.bytes if held else 0))
    return True


def others(profile: Profile, own: str) -> Profile:
    """The part of a profile that other origins than `own` saw."""
    result = Profile()
    result.buckets = {key: sums for key, sums in profile.buckets.items() if key.origin != own}
    result.flavours = {key: sums for key, sums in profile.flavours.items() if key.origin != own}
    return result


def _drop_foreign(tx: Transaction, subject: str) -> None:
    for table in ("buckets", "flavours"):
        tx.connection.execute(
            f"DELETE FROM {table} WHERE subject = ? AND origin <> ?",  # noqa: S608 -- constants
            (subject, tx.gateway_id),
        )


def _size_bytes(profile: Profile) -> int:
    return REGULAR_BYTES + BUCKET_BYTES * len(profile.buckets) + FLAVOUR_BYTES * len(profile.flavours)


def _grow(tx: Transaction, bytes_: int) -> None:
    tx.set_meta(_BYTES, str(used_bytes(tx.connection) + bytes_))
