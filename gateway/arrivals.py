"""Since when each dispenser holds its sauces, in the store: what came lately is new here, and a pick may say so."""

from __future__ import annotations

import sqlite3

from firmware_bridge.messages import Hello
from gateway.clock import DAY_MS, Now
from gateway.transaction import Transaction

NEW_MS = 14 * DAY_MS
"""ms for which a sauce is new at a dispenser: a regular comes by twice in that time."""


def note(tx: Transaction, hello: Hello, now: Now) -> None:
    """Remember what a dispenser holds now. What it came with is not new; nor is what comes at an unknown time."""
    rows = tx.connection.execute("SELECT sauce FROM arrivals WHERE dispenser = ?", (hello.dispenser,)).fetchall()
    before, held = {sauce for (sauce,) in rows}, {nozzle.sauce for nozzle in hello.nozzles}
    since_ms = now.wall_ms if before and now.known else None
    tx.connection.executemany(
        "INSERT INTO arrivals VALUES (?, ?, ?)", [(hello.dispenser, sauce, since_ms) for sauce in sorted(held - before)]
    )
    tx.connection.executemany(
        "DELETE FROM arrivals WHERE dispenser = ? AND sauce = ?",
        [(hello.dispenser, sauce) for sauce in sorted(before - held)],
    )


def new_at(connection: sqlite3.Connection, dispenser: str, now: Now) -> frozenset[str]:
    """The sauces that came to a dispenser in the last days; none while the time is unknown."""
    if not now.known:
        return frozenset()
    rows = connection.execute(
        "SELECT sauce FROM arrivals WHERE dispenser = ? AND since_ms BETWEEN ? AND ?",
        (dispenser, now.wall_ms - NEW_MS, now.wall_ms),
    )
    return frozenset(sauce for (sauce,) in rows)
