"""What is poured at this site, by whomever: a count a sauce, from which picks know what is popular here.

Written in the transaction that stores the pours, once for all of them. The counts are halved now and then, so they stay
small, and what was popular years ago is forgotten by and by, without a calendar.
"""

from __future__ import annotations

import sqlite3

from gateway.transaction import Gathered, Transaction
from heat.pours import site_popularity
from models.features import Menu

HALVED_AT = 1_000
"""Pours of one sauce at which all counts are halved: the last two thousand or so of a favourite are what counts."""


def note(tx: Transaction, sauce: str) -> None:
    """Somebody poured a sauce."""
    tx.at_end(_add, None, (sauce, 1))


def take_back(tx: Transaction, sauce: str) -> None:
    """A pour was nobody's."""
    tx.at_end(_add, None, (sauce, -1))


def _add(tx: Transaction, said: Gathered[None, tuple[str, int]]) -> None:
    before = dict(tx.unsettled.execute("SELECT sauce, pours FROM site_pours").fetchall())
    counts = dict(before)
    for sauce, n in said[None]:
        counts[sauce] = max(counts.get(sauce, 0) + n, 0)
        if counts[sauce] >= HALVED_AT:
            counts = {each: count // 2 for each, count in counts.items()}
    changed = [(sauce, count) for sauce, count in counts.items() if count != before.get(sauce)]
    tx.unsettled.executemany("INSERT OR REPLACE INTO site_pours VALUES (?, ?)", changed)
    tx.unsettled.execute("DELETE FROM site_pours WHERE pours <= 0")


def popularity(reader: sqlite3.Connection, menu: Menu) -> dict[str, float]:
    """How popular the menu's sauces are here, on one scale."""
    marks = ", ".join("?" * len(menu.ids))
    rows = reader.execute(f"SELECT sauce, pours FROM site_pours WHERE sauce IN ({marks})", menu.ids)  # noqa: S608 -- marks
    return site_popularity(menu.sauces, dict(rows))
