"""What the tests of the uplink share."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.cloud_sync.sqlite_outbox import SqliteOutbox


@pytest.fixture
def gateway() -> str:
    """A gateway's name that no other test uses: topics are shared, names are not."""
    return f"gw-{secrets.token_hex(6)}"


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[SqliteOutbox]:
    """An empty outbox in a file."""
    with closing(SqliteOutbox(tmp_path / "outbox.db")) as outbox:
        yield outbox
