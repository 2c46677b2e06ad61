"""What is poured at this site, by whomever: a count a sauce, from which picks know what is popular here.

Written in the transaction that stores a pour. The counts are halved now and then, so they stay small, and what was
popular years ago is forgotten by and by, without a calendar.
"""

from __future__ import annotations

import sqlite3

from gateway.transaction import Transaction
from heat.pours import site_popularity
from models.features import Menu

HALVED_AT = 1_000
"""Pours of one sauce at which all counts are halved: the last two thousand or so of a favourite are what counts."""


def note(tx: Transaction, sauce: str) -> None:
    """Somebody poured a sauce."""
    tx.at_end(_add, sauce)


def take_back(tx: Transaction, sauce: str) -> None:
    """A pour was nobody's."""
    tx.at_end(_add, sauce, -1)


def _add(tx: Transaction, sauce: str, n: int) -> None:
    (count,) = tx.connection.execute(
        "INSERT INTO site_pours VALUES (?, ?) ON CONFLICT DO UPDATE SET pours = pours + excluded.pours RETURNING pours",
        (sauce, n),
    ).fetchone()
    if count >= HALVED_AT:
        tx.connection.execute("UPDATE site_pours SET pours = pours / 2")
    if count >= HALVED_AT or count <= 0:
        tx.connection.execute("DELETE FROM site_pours WHERE pours <= 0")


def popularity(reader: sqlite3.Connection, menu: Menu) -> dict[str, float]:
    """How popular the menu's sauces are here, on one scale."""
    marks = ", ".join("?" * len(menu.ids))
    rows = reader.execute(f"SELECT sauce, pours FROM site_pours WHERE sauce IN ({marks})", menu.ids)  # noqa: S608 -- marks
    return site_popularity(menu.sauces, dict(rows))
