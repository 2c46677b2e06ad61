"""Customers seen lately, and what this gateway holds of them: digests that the cloud compares with its own.

Told are only customers all of whose events Kafka has, and of the gateway's own origin alone: for the cloud to have the
same sums, it needs nothing but what it was sent.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import NamedTuple

from cloud_sync.published import DigestRow
from gateway.store import Store
from gateway.transaction import read_profile
from heat.identity import is_session

CUSTOMERS = 50
"""Told of at a time: 6 kB."""
ROWS = 2_000
"""Events looked back on: a busy hour. While more than half of them wait for Kafka, nobody is told of."""

_CONFIRMED = "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed'"
_LAST = "SELECT position, subject, position > ? FROM events ORDER BY position DESC LIMIT ?"


class Seen(NamedTuple):
    """Customers seen lately, newest first, as of the moment at which Kafka had the rows up to `confirmed`."""

    confirmed: int
    rows: tuple[DigestRow, ...]


def digests(store: Store) -> Seen:
    """All as of one moment. It blocks. Raises sqlite3.Error."""
    origin = store.settings.gateway_id
    with closing(store.reader()) as connection, store.watching():
        connection.execute("BEGIN")
        (confirmed,) = connection.execute(_CONFIRMED).fetchone()
        found = [_row(connection, subject, origin) for subject in _settled(connection, confirmed)]
        connection.execute("COMMIT")
    return Seen(confirmed, tuple(row for row in found if row.n))


def _settled(connection: sqlite3.Connection, confirmed: int) -> list[str]:
    rows = connection.execute(_LAST, (confirmed, ROWS)).fetchall()
    waiting = {subject for _, subject, waits in rows if waits}
    if sum(waits for _, _, waits in rows) > ROWS // 2:
        return []
    seen = dict.fromkeys(subject for _, subject, _ in rows if subject is not None and not is_session(subject))
    return [subject for subject in seen if subject not in waiting][:CUSTOMERS]


def _row(connection: sqlite3.Connection, subject: str, origin: str) -> DigestRow:
    profile = read_profile(connection, subject)
    n = sum(sums.n for key, sums in profile.buckets.items() if key.origin == origin)
    return DigestRow(subject, n, profile.digest(origin))
