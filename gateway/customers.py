"""What the gateway knows of whoever stands at a dispenser, beside the profile. Reads only; never waits for the writer.

A customer may be known by a session, by a pseudonym, or by both, as long as the session is not claimed: what is known
of either counts.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterator, Sequence

from gateway import doses, pours
from gateway.transaction import read_profiles
from heat.events import Verdict
from heat.identity import is_session
from heat.pours import decayed
from heat.reading import Prior, Reading, read


@contextlib.contextmanager
def snapshot(reader: sqlite3.Connection) -> Iterator[None]:
    """All that is read meanwhile is of one moment, whatever the writer commits. Nothing may be awaited in it."""
    reader.execute("BEGIN")
    try:
        yield
    finally:
        if reader.in_transaction:
            reader.execute("ROLLBACK")


def subjects_of(reader: sqlite3.Connection, session: str | None, claimed_by: str | None) -> list[str]:
    """Whose profiles count: the session's, as long as it is unclaimed, and the customer's."""
    if session is None:
        return [claimed_by] if claimed_by else []
    row = reader.execute("SELECT subject FROM sessions WHERE session = ?", (session,)).fetchone()
    owner = row[0] if row is not None else session
    if claimed_by is None:
        return [owner]
    return [owner, claimed_by] if is_session(owner) else [claimed_by]


def reading(reader: sqlite3.Connection, subjects: Sequence[str], today: int, prior: Prior) -> Reading:
    """The profile as it stands, with a change of taste followed; `prior` is what the site believes of a stranger."""
    return read(read_profiles(reader, subjects), today, prior, latest=doses.read(reader, subjects))


def latest(reader: sqlite3.Connection, subjects: Sequence[str]) -> tuple[str | None, Verdict | None]:
    """The sauce that was poured last, and what the customer said of it."""
    for subject in subjects:
        row = reader.execute("SELECT sauce, verdict FROM latest WHERE subject = ?", (subject,)).fetchone()
        if row is not None:
            return row[0], row[1]
    return None, None


def past_pours(reader: sqlite3.Connection, subjects: Sequence[str], today: int) -> dict[str, float]:
    """How often the customer poured each sauce here, each time counting less with its age."""
    return decayed(pours.read(reader, subjects), today)


def stated_mo(reader: sqlite3.Connection, session: str | None) -> int | None:
    """The heat that was stated last in the session, by a number, a word or the dial."""
    row = reader.execute("SELECT milli_octaves FROM stated WHERE session = ?", (session,)).fetchone()
    return None if row is None else int(row[0])
