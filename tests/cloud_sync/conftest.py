"""What the tests of the uplink share."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.waiting import wait_until_async


@pytest.fixture
def gateway() -> str:
    """A gateway's name that no other test uses: topics are shared, names are not."""
    return f"gw-{secrets.token_hex(6)}"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    """An empty outbox in a file."""
    with closing(SqliteOutbox(tmp_path / "outbox.db")) as outbox:
        yield outbox


@pytest.fixture
async def no_task_stays() -> AsyncIterator[None]:
    """Fail a test after which tasks are left: what the uplink starts, it ends, aiokafka's tasks included."""
    yield
    await wait_until_async(lambda: asyncio.all_tasks() == {asyncio.current_task()}, 5.0, "no task is left")
