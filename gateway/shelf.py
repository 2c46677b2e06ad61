"""Releases in the store: what is meant for this gateway, what it uses of it, and what it would go back to.

Content lies in the database, so a release is taken over in one transaction, wholly or not at all, wherever a kill or a
power cut comes. `releases` is what the topic says, `applied` what is used of each kind (`now`), and before that while a
configuration or a bundle is on trial (`before`).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from cloud_sync.published import Kind, Release
from gateway.transaction import Transaction

MAX_STARTS = 3
"""Starts that a configuration on trial gets to become ready in."""
TAKEN_BACK = "taken back"


@dataclass(frozen=True, slots=True)
class Kept:
    """A release that is meant for this gateway."""

    kind: Kind
    target: str
    number: int
    sha256: str
    content: bytes
    refused: str | None
    """Why it is not used, and will not be."""


@dataclass(frozen=True, slots=True)
class InUse:
    """What is used of a kind."""

    kind: Kind
    target: str
    number: int
    sha256: str
    content: bytes
    since_ms: int
    """Unix time, ms, as the gateway's clock had it."""
    starts: int | None
    """Starts since then, of a configuration; None once it is off trial."""

    def is_of(self, kept: Kept) -> bool:
        """Whether this is that release."""
        return (self.target, self.number, self.sha256) == (kept.target, kept.number, kept.sha256)


# -- what the topic says --------------------------------------------------------------------------------------------


def keep(tx: Transaction, release: Release, partition: int, snapshot: int) -> bool:
    """Put a release on the shelf, in place of the one of its kind and target. Returns whether anything changed."""
    named = partition, snapshot
    same = tx.connection.execute(
        "SELECT partition, snapshot FROM releases WHERE kind = ? AND target = ? AND number = ? AND sha256 = ?",
        (release.kind, release.target, release.number, release.sha256),
    ).fetchone()
    if same == named:
        return False
    if same is not None:
        tx.connection.execute(
            "UPDATE releases SET partition = ?, snapshot = ? WHERE kind = ? AND target = ?",
            (*named, release.kind, release.target),
        )
        return True
    tx.connection.execute(
        "INSERT OR REPLACE INTO releases VALUES (?, ?, ?, ?, ?, ?, ?, NULL)",
        (release.kind, release.target, release.number, release.sha256, release.content, *named),
    )
    return True


def withdraw(tx: Transaction, kind: Kind, target: str) -> bool:
    """Take a release from the shelf. Returns whether it was there."""
    done = tx.connection.execute("DELETE FROM releases WHERE kind = ? AND target = ?", (kind, target))
    return done.rowcount > 0


def withdraw_unnamed(tx: Transaction, partition: int, snapshot: int) -> int:
    """Take away what a full snapshot of a partition did not name. Returns how many."""
    done = tx.connection.execute("DELETE FROM releases WHERE partition = ? AND snapshot <> ?", (partition, snapshot))
    return done.rowcount


def meant(connection: sqlite3.Connection, kind: Kind, targets: Sequence[str]) -> Iterator[Kept]:
    """The releases that name this gateway, the nearest first, as `targets` are."""
    for target in targets:
        row = connection.execute(
            "SELECT kind, target, number, sha256, content, refused FROM releases WHERE kind = ? AND target = ?",
            (kind, target),
        ).fetchone()
        if row is not None:
            yield Kept(*row)


def wanted(
    connection: sqlite3.Connection, kind: Kind, targets: Sequence[str], used: InUse | None
) -> Kept | InUse | None:
    """What this gateway is to use: the nearest release that can be used.

    Where that was released for the same target as what is `used`, and is refused, `used` stays. None: what gateway.toml
    names, since nothing that can be used is on the shelf.
    """
    for kept in meant(connection, kind, targets):
        if kept.refused is None:
            return kept
        if used is not None and used.target == kept.target:
            return used
    return None


def refuse(tx: Transaction, kept: Kept | InUse, why: str) -> None:
    """Note why a release is not used, if it is still on the shelf."""
    tx.connection.execute(
        "UPDATE releases SET refused = ? WHERE kind = ? AND target = ? AND number = ? AND sha256 = ?",
        (why, kept.kind, kept.target, kept.number, kept.sha256),
    )


# -- what is used ---------------------------------------------------------------------------------------------------


def in_use(connection: sqlite3.Connection, kind: Kind) -> InUse | None:
    """What is used of a kind; None where it is what gateway.toml names."""
    row = connection.execute(
        "SELECT kind, target, number, sha256, content, since_ms, starts FROM applied WHERE kind = ? AND place = 'now'",
        (kind,),
    ).fetchone()
    return InUse(*row) if row else None


def before(connection: sqlite3.Connection, kind: Kind) -> InUse | None:
    """What would be used again if what is on trial were taken back; None where it is what gateway.toml names."""
    row = connection.execute(
        "SELECT kind, target, number, sha256, content, since_ms, starts FROM applied WHERE kind = ?"
        " AND place = 'before'",
        (kind,),
    ).fetchone()
    return InUse(*row) if row else None


def use(tx: Transaction, kept: Kept, now_ms: int, *, on_trial: bool) -> None:
    """Use a release from now on. On trial, what was used before is kept; on top of a trial, that is what was before."""
    if on_trial:
        tx.connection.execute(
            "INSERT OR REPLACE INTO applied SELECT kind, 'before', target, number, sha256, content, since_ms, NULL"
            " FROM applied WHERE kind = ? AND place = 'now' AND starts IS NULL",
            (kept.kind,),
        )
    starts = 0 if on_trial else None
    tx.connection.execute(
        "INSERT OR REPLACE INTO applied VALUES (?, 'now', ?, ?, ?, ?, ?, ?)",
        (kept.kind, kept.target, kept.number, kept.sha256, kept.content, now_ms, starts),
    )


def forget_before(tx: Transaction, kind: Kind) -> None:
    """If what is on trial is taken back, use what gateway.toml names."""
    tx.connection.execute("DELETE FROM applied WHERE kind = ? AND place = 'before'", (kind,))


def rename(tx: Transaction, kept: Kept) -> None:
    """Call what is used by another release's name, which has the same content."""
    tx.connection.execute(
        "UPDATE applied SET target = ?, number = ? WHERE kind = ? AND place = 'now'",
        (kept.target, kept.number, kept.kind),
    )


def stop_using(tx: Transaction, kind: Kind) -> None:
    """Use what gateway.toml names again."""
    tx.connection.execute("DELETE FROM applied WHERE kind = ?", (kind,))


def count_start(tx: Transaction) -> str | None:
    """Count this start for what is on trial; after too many, it is taken back. Returns what was taken back, and why.

    What was refused for another reason may be looked at again: Picante may have been updated.
    """
    tx.connection.execute("UPDATE releases SET refused = NULL WHERE refused NOT LIKE ?", (f"{TAKEN_BACK}%",))
    used = in_use(tx.connection, "configuration")
    if used is None or used.starts is None:
        return None
    if used.starts >= MAX_STARTS:
        return take_back(tx, used, f"the gateway was not ready in {used.starts} starts")
    tx.connection.execute("UPDATE applied SET starts = starts + 1 WHERE kind = 'configuration' AND place = 'now'")
    return None


def take_back(tx: Transaction, used: InUse, why: str) -> str:
    """Use what was used before, and never this one again. Returns what is told of it."""
    told = f"{TAKEN_BACK}: {why}"
    drop(tx, used, told)
    return f"{used.kind} {used.number} for {used.target} is {told}"


def drop(tx: Transaction, used: InUse, why: str) -> None:
    """Use what was used before, and note why."""
    refuse(tx, used, why)
    tx.connection.execute("DELETE FROM applied WHERE kind = ? AND place = 'now'", (used.kind,))
    tx.connection.execute("UPDATE applied SET place = 'now' WHERE kind = ? AND place = 'before'", (used.kind,))


def pass_trial(tx: Transaction, kind: Kind) -> None:
    """It works: nothing will be taken back."""
    tx.connection.execute("UPDATE applied SET starts = NULL WHERE kind = ? AND place = 'now'", (kind,))
    forget_before(tx, kind)
