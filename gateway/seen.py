"""Customers seen lately, and what this gateway holds of them: digests that the cloud compares with its own.

Told are only customers all of whose events Kafka has, and of the gateway's own origin alone: for the cloud to have the
same sums, it needs nothing but what it was sent.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing

from cloud_sync.published import DigestRow
from gateway.store import Store
from gateway.transaction import read_profile
from heat.identity import is_session

CUSTOMERS = 50
"""Told of at a time: 6 kB."""
ROWS = 2_000
"""Events looked back on: a busy hour. While more than half of them wait for Kafka, nobody is told of."""

_LAST = """
SELECT position, subject, position > (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed')
FROM events ORDER BY position DESC LIMIT ?
"""


def digests(store: Store) -> tuple[DigestRow, ...]:
    """Of the customers seen lately, newest first; all as of one moment. It blocks. Raises sqlite3.Error."""
    origin = store.settings.gateway_id
    with closing(store.reader()) as connection, store.watching():
        connection.execute("BEGIN")
        found = [_row(connection, subject, origin) for subject in _settled(connection)]
        connection.execute("COMMIT")
    return tuple(row for row in found if row.n)


def _settled(connection: sqlite3.Connection) -> list[str]:
    rows = connection.execute(_LAST, (ROWS,)).fetchall()
    waiting = {subject for _, subject, waits in rows if waits}
    if sum(waits for _, _, waits in rows) > ROWS // 2:
        return []
    seen = dict.fromkeys(subject for _, subject, _ in rows if subject is not None and not is_session(subject))
    return [subject for subject in seen if subject not in waiting][:CUSTOMERS]


def _row(connection: sqlite3.Connection, subject: str, origin: str) -> DigestRow:
    profile = read_profile(connection, subject)
    n = sum(sums.n for key, sums in profile.buckets.items() if key.origin == origin)
    return DigestRow(subject, n, profile.digest(origin))
