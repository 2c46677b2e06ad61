"""What the tests of the uplink share. A package has one broker of its own, and a gateway that rests."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from cloud_sync.uplink import Uplink
from tests.cloud_sync.examples import pours
from tests.cloud_sync.sqlite_outbox import SqliteOutbox
from tests.cloud_sync.uplinks import confirmed, running, settings
from tests.proxy import ProxiedKafka
from tests.serving import serving
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


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ProxiedKafka]:
    """A Kafka of our own: it is reached through lines that break, and forgets the position of who rests a minute."""
    yield from serving(ProxiedKafka, tmp_path_factory.mktemp("kafka"))


@dataclass(frozen=True, slots=True)
class Idle:
    """A gateway that sent ten events and knows of eight, since it was killed. Its position expires while it rests."""

    gateway: str
    file: Path
    """Of its outbox."""


@pytest.fixture(scope="package")
def idle(tmp_path_factory: pytest.TempPathFactory, broker: ProxiedKafka) -> Idle:
    """It begins to rest when a test first asks for it, and a later one finds it forgotten."""
    resting = Idle("gw-idle", tmp_path_factory.mktemp("idle") / "outbox.db")
    asyncio.run(_send_ten(resting, broker.bootstrap))
    return resting


async def _send_ten(idle: Idle, bootstrap: str) -> None:
    with closing(SqliteOutbox(idle.file)) as outbox:
        outbox.append(pours(10, origin=idle.gateway))
        async with running(Uplink(outbox, settings(bootstrap, idle.gateway))):
            await confirmed(outbox, 10)
        outbox.db.execute("UPDATE confirmed SET position = 8")


@pytest.fixture
async def no_task_stays() -> AsyncIterator[None]:
    """Fail a test after which tasks are left: what the uplink starts, it ends, aiokafka's tasks included."""
    yield
    await wait_until_async(lambda: asyncio.all_tasks() == {asyncio.current_task()}, 5.0, "no task is left")
