"""All of access.db, joined, and whether the gateway has been set up.

Set up is a gateway that ever had an owner: a mark in the data directory (`set-up`) remembers it beside access.db. Where
the mark is there and no owner is, access was lost, and only the machine's console lets somebody in again: setup never
comes back by itself. Before, and whenever the console asks for it, a one-time code opens setup; it stands in a file of
its own (`setup-code`, 0600) until setup is done.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from cloud_sync.durable import sync_directory
from gateway.access.audit import Audit
from gateway.access.file import AccessFile, belong, open_file
from gateway.access.lockout import Lockout
from gateway.access.notes import Notes, Snoozes
from gateway.access.once import Answers
from gateway.access.passwords import Passwords, check_password
from gateway.access.people import People
from gateway.access.roles import Role
from gateway.access.sessions import Sessions
from gateway.access.throttle import Throttle
from gateway.access.tokens import Tokens
from gateway.setup_file import CODE, MARK
from heat.errors import StoreError

ALPHABET = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""32 signs that nobody takes for one another: 8 of them are 40 bits."""
GROUP = 4

CHANGES_AT_ONCE, CHANGES_PER_S = 600, 10.0
"""By one session or token: a script may load a whole store's plans, and a loop gone wild spares the card."""
STRANGERS_AT_ONCE, STRANGERS_PER_S = 120, 2.0
"""Pages of coming in, from one address: a store's phones may share one."""

LOCKOUTS_AT_ONCE, LOCKOUTS_PER_S = 20, 1 / 600
"""Lock-outs that the audit log has: 144 a day beyond the first, so that a guesser drives nobody's changes out of it."""

Stage = Literal["setup", "lost", "ready"]


class Access:
    """Who may come in. Reads belong to the event loop's thread."""

    def __init__(self, directory: Path, file: AccessFile, now_ms: Callable[[], int]) -> None:
        self.directory = directory
        self.file = file
        self.now_ms = now_ms
        self.people = People(file)
        self.sessions = Sessions(file, now_ms)
        self.tokens = Tokens(file, now_ms)
        self.audit = Audit(file, now_ms)
        self.answers = Answers(file, now_ms)
        self.notes = Notes(file)
        self.snoozes = Snoozes(file, now_ms)
        self.passwords = Passwords()
        self.lockout = Lockout(time.monotonic)
        self.changes = Throttle(CHANGES_AT_ONCE, CHANGES_PER_S, time.monotonic)
        self.strangers = Throttle(STRANGERS_AT_ONCE, STRANGERS_PER_S, time.monotonic)
        self.lockouts_noted = Throttle(LOCKOUTS_AT_ONCE, LOCKOUTS_PER_S, time.monotonic)

    @property
    def damaged(self) -> bool:
        """Whether access.db was damaged at the start: everybody who had access has to be let in anew."""
        return self.file.damaged

    @property
    def stage(self) -> Stage:
        """`setup`: nobody can sign in yet; `lost`: nobody can any more; `ready`."""
        if self.people.has_owner():
            return "ready"
        return "setup" if self.code() is not None or not (self.directory / MARK).exists() else "lost"

    @property
    def setup_open(self) -> bool:
        """Whether whoever has the code may go through setup."""
        return self.code() is not None

    # -- the one-time code ----------------------------------------------------------------------------------------

    def begin(self) -> str | None:
        """At the daemon's start: the code of a gateway that was never set up, made if need be. Raises StoreError."""
        if self.people.has_owner():
            self._mark()
        return self.code() or (None if (self.directory / MARK).exists() else self.new_code())

    def code(self) -> str | None:
        """The code that opens setup; None: setup is closed."""
        try:
            return (self.directory / CODE).read_text().strip() or None
        except FileNotFoundError:
            return None
        except (OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{self.directory / CODE}: {error}", hint="Only the gateway's user may read it") from error

    def new_code(self) -> str:
        """Another code; the one before opens nothing any more. Raises StoreError."""
        signs = "".join(secrets.choice(ALPHABET) for _ in range(2 * GROUP))
        code = f"{signs[:GROUP]}-{signs[GROUP:]}"
        write_private(self.directory / CODE, code + "\n")
        return code

    def is_code(self, typed: str) -> bool:
        """Whether it is the code, whatever stands between its signs."""
        code = self.code()
        said = "".join(sign for sign in typed.upper() if sign.isalnum())
        return code is not None and hmac.compare_digest(said.encode(), code.replace("-", "").encode())

    def close_setup(self) -> None:
        """Let nobody through setup any more. Raises StoreError."""
        with contextlib.suppress(FileNotFoundError):
            (self.directory / CODE).unlink()
            sync_directory(self.directory)

    # -- people, with what belongs together ----------------------------------------------------------------------

    async def add_person(self, name: str, password: str, role: Role) -> None:
        """Let somebody in. Raises DataError, Busy, StoreError."""
        check_password(password, name)
        kept = await self.passwords.hash(password)
        await asyncio.to_thread(self._add, name, kept, role)

    def add_person_now(self, name: str, password: str, role: Role) -> None:
        """See `add_person`; in this thread, without a loop."""
        check_password(password, name)
        self._add(name, self.passwords.hash_now(password), role)

    def _add(self, name: str, kept: str, role: Role) -> None:
        self.people.add_now(name, kept, role, self.now_ms())
        if role is Role.OWNER:
            self._mark()

    def _mark(self) -> None:
        if not (self.directory / MARK).exists():
            write_private(self.directory / MARK, "This gateway had an owner: setup does not begin by itself again.\n")

    async def set_password(self, name: str, password: str) -> None:
        """Another password for somebody; their sessions end. Raises DataError, Busy."""
        check_password(password, name)
        await self.people.set_password(name, await self.passwords.hash(password))

    def set_password_now(self, name: str, password: str) -> None:
        """See `set_password`; in this thread, without a loop."""
        check_password(password, name)
        self.people.set_password_now(name, self.passwords.hash_now(password))

    def close(self) -> None:
        """Close the file and end the thread that hashes."""
        self.passwords.close()
        self.file.close()


def open_access(directory: Path, now_ms: Callable[[], int] | None = None) -> Access:
    """Access of a data directory, made if there is none. Raises StoreError."""
    return Access(directory, open_file(directory), now_ms or (lambda: time.time_ns() // 1_000_000))


def write_private(path: Path, text: str) -> None:
    """A file that is ours alone, whole or not there at all. Raises StoreError."""
    new = path.with_name(path.name + ".new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            belong(new)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: {error.strerror}", hint="Free space, or let the gateway write it") from error
