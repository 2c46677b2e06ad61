"""Passwords: argon2id, one at a time in a thread of its own, and the same work whether somebody is known or not."""

from __future__ import annotations

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from heat.errors import DataError

MEMORY_KIB = 19_456
"""KiB that one hash takes (OWASP's 19 MiB, with two passes): a Pi with 1 GiB has that for one at a time."""
PASSES = 2
WAITING = 8
"""Passwords that may wait to be looked at; who comes later is asked to try again."""
SHORTEST, LONGEST = 8, 200


class Busy(Exception):
    """Too many passwords are being looked at."""


def check_password(password: str, name: str) -> str:
    """The password, if it may be one. Raises DataError."""
    if len(password) < SHORTEST:
        raise DataError(f"the password has less than {SHORTEST} characters", hint="Take three words")
    if len(password) > LONGEST:
        raise DataError(f"the password has more than {LONGEST} characters", hint="Take a shorter one")
    if password.casefold() in {name.casefold(), "password", "passwort", "12345678", "picante1", "contraseña"}:
        raise DataError("the password is the first that anybody tries", hint="Take three words")
    return password


class Passwords:
    """Hashes and compares."""

    def __init__(self) -> None:
        self._hasher = PasswordHasher(time_cost=PASSES, memory_cost=MEMORY_KIB, parallelism=1)
        self._thread = ThreadPoolExecutor(1, "passwords")
        self._waiting = 0

    async def hash(self, password: str) -> str:
        """What is kept of a password. Raises Busy."""
        return await self._run(password, None)

    @property
    def full(self) -> bool:
        """Whether no more may wait: who asks now is told Busy."""
        return self._waiting >= WAITING

    async def matches(self, password: str, kept: str | None) -> bool:
        """Whether it is the one; None, for somebody unknown, takes as long. Raises Busy."""
        return bool(await self._run(password, kept or ""))

    def hash_now(self, password: str) -> str:
        """What is kept of a password, in this thread: 30 ms of a PC."""
        return self._hasher.hash(password)

    async def _run(self, password: str, kept: str | None) -> str:
        if self.full:
            raise Busy
        self._waiting += 1
        try:
            work = functools.partial(self._work, password, kept)
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        finally:
            self._waiting -= 1

    def _work(self, password: str, kept: str | None) -> str:
        if kept is None:
            return self._hasher.hash(password)
        try:
            self._hasher.verify(kept or _nobodys(self._hasher), password)
        except (VerificationError, InvalidHashError):
            return ""
        return kept

    def close(self) -> None:
        """End the thread; who waits is dropped."""
        self._thread.shutdown(wait=False, cancel_futures=True)


@functools.cache
def _nobodys(hasher: PasswordHasher) -> str:
    return hasher.hash("nobody has this password")
