"""Steps of the schema: each is taken whole or not at all, wherever it is cut off."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any

from sqlite_utils import Database

from gateway.database import migrations


class CutOff(Exception):
    """The power fails before a statement."""


class Dying(sqlite3.Connection):
    """A connection that is cut off after some statements."""

    left = 1_000_000

    def execute(self, *args: Any) -> sqlite3.Cursor:
        """See `sqlite3.Connection.execute`."""
        self.left -= 1
        if self.left < 0:
            raise CutOff
        return super().execute(*args)


def opened() -> Dying:
    connection = sqlite3.connect(":memory:", isolation_level=None, factory=Dying)
    assert isinstance(connection, Dying)
    return connection


def schema(connection: sqlite3.Connection) -> list[Any]:
    return connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE '%sqlite_%' ORDER BY name"
    ).fetchall()


def applied(connection: sqlite3.Connection) -> list[str]:
    return [done.name for done in migrations.applied(Database(connection))]


def test_a_step_is_taken_whole_or_not_at_all_wherever_it_is_cut_off() -> None:
    known: dict[int, list[Any]] = {}
    for cut in range(0, 1_000_000, 4):
        with closing(opened()) as connection:
            connection.left = cut
            try:
                migrations.apply(Database(connection))
                whole = True
            except CutOff:
                whole = False
            connection.left = 1_000_000
            if connection.in_transaction:
                connection.rollback()  # what the next start finds
            steps = len(applied(connection))
            assert known.setdefault(steps, schema(connection)) == schema(connection), f"cut off after {cut} statements"
            migrations.apply(Database(connection))
            assert not migrations.pending(Database(connection))
            if whole:
                break
    assert len(known) > 5, "it was cut off in most steps"
