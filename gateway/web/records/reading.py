"""Reading in a thread, with a connection of its own: however long it takes, the loop goes on answering customers."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from typing import TypeVar

from gateway.customers import snapshot
from gateway.state import GatewayState

T = TypeVar("T")

_EPOCH = date(1970, 1, 1)
_NO_DAY = -(2**62)
_LAST_DAY = (date(9999, 12, 31) - _EPOCH).days


async def in_thread(state: GatewayState, read: Callable[[sqlite3.Connection], T]) -> T:
    """What a function reads, all of one moment."""

    def work() -> T:
        with closing(state.store.reader()) as reader, state.store.watching(), snapshot(reader):
            return read(reader)

    return await asyncio.to_thread(work)


def date_of(day: int) -> date | None:
    """A UTC day number as a date; None for what waits for its time."""
    return None if day < 0 else _EPOCH + timedelta(days=min(day, _LAST_DAY))


def number_of(day: date) -> int:
    """A date as a day number; one before 1970 as a number that no day has."""
    number = (day - _EPOCH).days
    return number if number >= 0 else _NO_DAY


def day_of(text: str) -> int | None:
    """The day number of an ISO date; None if it is none."""
    try:
        return number_of(date.fromisoformat(text)) if len(text) == len("2026-01-31") else None
    except ValueError:
        return None


def now() -> datetime:
    """The time, as pages and answers have it."""
    return datetime.now(UTC)
