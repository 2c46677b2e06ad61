"""Those who may sign in, and what each may do."""

from __future__ import annotations

import asyncio
import sqlite3
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.access.file import AccessFile
from gateway.access.roles import Role
from heat.errors import DataError

MOST = 200
"""People that a store may have."""
LONGEST_NAME = 40


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may sign in. What is kept of the password is not shown."""

    name: str
    role: Role
    language: str | None
    created: datetime


def fold(name: str) -> str:
    """By which a name is found: case and ways of writing an accent make nobody else."""
    return unicodedata.normalize("NFKC", name).strip().casefold()


def check_person(name: str) -> str:
    """A name that somebody may have. Raises DataError."""
    name = unicodedata.normalize("NFC", name).strip()
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise DataError(f"a name has 1 to {LONGEST_NAME} characters", hint="Take a first name")
    if not name.strip("."):
        raise DataError("a name is more than dots", hint="A path of the API may not end in them: take a first name")
    if fold(name) == "console":
        raise DataError("nobody can be called console", hint="The audit log calls the machine itself so")
    return name


class NoOwner(Exception):
    """Whoever asked for the change was an owner when they began, and is none any more."""


class People:
    """Reads on the event loop; each change is one transaction, in a thread."""

    def __init__(self, file: AccessFile) -> None:
        self._file = file

    def all(self) -> list[Person]:
        """Everybody: owners first, then by name."""
        rows = self._file.reader.execute("SELECT * FROM people ORDER BY role DESC, folded")
        return [_person(row) for row in rows]

    def get(self, name: str) -> Person | None:
        """Somebody by name."""
        row = self._file.reader.execute("SELECT * FROM people WHERE folded = ?", (fold(name),)).fetchone()
        return None if row is None else _person(row)

    def has_owner(self) -> bool:
        """Whether anybody may let others in."""
        found = self._file.reader.execute("SELECT 1 FROM people WHERE role = ? LIMIT 1", (Role.OWNER,))
        return found.fetchone() is not None

    def kept(self, name: str) -> str | None:
        """What is kept of somebody's password; None: nobody is called so."""
        row = self._file.reader.execute("SELECT password FROM people WHERE folded = ?", (fold(name),)).fetchone()
        return None if row is None else str(row[0])

    def add_now(self, name: str, kept: str, role: Role, now_ms: int) -> None:
        """See `add`; in this thread."""
        name = check_person(name)

        def work(connection: sqlite3.Connection) -> None:
            [count] = connection.execute("SELECT count(*) FROM people").fetchone()
            if count >= MOST:
                raise DataError(f"there are {MOST} people already", hint="Remove those who left")
            try:
                connection.execute(
                    "INSERT INTO people VALUES (?, ?, ?, ?, NULL, ?)", (fold(name), name, kept, int(role), now_ms)
                )
            except sqlite3.IntegrityError:
                raise DataError("somebody is called so already", hint="Take another name") from None

        self._file.write_now(work)

    async def set_password(self, name: str, kept: str) -> None:
        """Another password; whoever is signed in as them is no more. Raises DataError."""
        await asyncio.to_thread(self.set_password_now, name, kept)

    def set_password_now(self, name: str, kept: str) -> None:
        """See `set_password`; in this thread."""

        def work(connection: sqlite3.Connection) -> None:
            _changed(connection.execute("UPDATE people SET password = ? WHERE folded = ?", (kept, fold(name))))
            connection.execute("DELETE FROM sessions WHERE person = ?", (fold(name),))

        self._file.write_now(work)

    async def set_role(
        self, name: str, role: Role, *, by: str | None = None, check: Callable[[Person], None] = lambda _person: None
    ) -> Person:
        """Another role, at once; who they were before. `by` has to be an owner still, `check` may refuse by raising.

        Raises:
            DataError: nobody is called so, or no owner would be left.
            NoOwner: `by` is none any more.
        """

        def work(connection: sqlite3.Connection) -> Person:
            _see_that_they_own(connection, by)
            row = connection.execute("SELECT * FROM people WHERE folded = ?", (fold(name),)).fetchone()
            if row is None:
                raise _nobody()
            check(before := _person(row))
            connection.execute("UPDATE people SET role = ? WHERE folded = ?", (int(role), fold(name)))
            _see_an_owner(connection)
            return before

        return await self._file.write(work)

    async def set_language(self, name: str, language: str | None) -> None:
        """What they read."""
        await self._file.write(
            lambda connection: connection.execute(
                "UPDATE people SET language = ? WHERE folded = ?", (language, fold(name))
            )
        )

    async def remove(self, name: str, *, by: str | None = None) -> None:
        """Let somebody in no more, from now on. Raises as `set_role` does."""

        def work(connection: sqlite3.Connection) -> None:
            _see_that_they_own(connection, by)
            _changed(connection.execute("DELETE FROM people WHERE folded = ?", (fold(name),)))
            _see_an_owner(connection)

        await self._file.write(work)


def _person(row: sqlite3.Row) -> Person:
    created = datetime.fromtimestamp(row["created_ms"] / 1000, UTC)
    return Person(row["name"], Role(row["role"]), row["language"], created)


def _changed(cursor: sqlite3.Cursor) -> None:
    if cursor.rowcount == 0:
        raise _nobody()


def _nobody() -> DataError:
    return DataError("nobody is called so", hint="The page People lists them")


def _see_that_they_own(connection: sqlite3.Connection, by: str | None) -> None:
    """Two owners may take each other's rights at one moment: what the later one began with counts no more."""
    if by is not None:
        owns = connection.execute("SELECT 1 FROM people WHERE folded = ? AND role = ?", (fold(by), Role.OWNER))
        if owns.fetchone() is None:
            raise NoOwner


def _see_an_owner(connection: sqlite3.Connection) -> None:
    if connection.execute("SELECT 1 FROM people WHERE role = ?", (Role.OWNER,)).fetchone() is None:
        raise DataError("the last owner can't go", hint="Make somebody else an owner first")
