"""A gateway's files, with a real database in which rows are, for backups and wipes."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from gateway.backup import making, restoring
from gateway.config import Config, load_config
from gateway.keyring import Entry, _write  # a keyring as the daemon writes it
from gateway.store import Settings, Store, open_store
from gateway.transaction import Transaction
from heat.events import Event, Stamp
from heat.identity import EventId
from heat.profile import contribution
from tests.cloud_sync.examples import POURED
from tests.gateway.conftest import DAY, NOON_MS
from tests.gateway.web.conftest import write_config

PASSPHRASE = "four words are enough"
SUBJECT = "p1-3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d"


def gateway_in(directory: Path) -> Config:
    """Its configuration; the data directory is not there yet."""
    directory.mkdir(exist_ok=True)
    return load_config(write_config(directory, 8080))


def open_in(config: Config) -> Store:
    """Its store."""
    return open_store(Settings(config.path(config.gateway.data_dir), config.gateway.id, ballast_bytes=0))


def pour(store: Store, count: int) -> None:
    """Rows, each folded into a profile."""

    def work(tx: Transaction) -> None:
        last = tx.connection.execute("SELECT ifnull(max(sequence), 0) FROM events").fetchone()[0]
        for sequence in range(last + 1, last + count + 1):
            tx.append(Event(EventId("hot-bar-1", 7, sequence), SUBJECT, Stamp(NOON_MS, 0, DAY, "known"), POURED))
            tx.fold(SUBJECT, contribution(POURED, "gw-1", DAY))

    store.write(work).result(20)


def rows(config: Config) -> int:
    """Rows of the database as it lies there."""
    with closing(sqlite3.connect(config.path(config.gateway.data_dir) / "gateway.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM events").fetchone()[0])


def write_keyring(config: Config, **keys: str) -> None:
    """A keyring with these keys."""
    _write(config.path(config.gateway.data_dir) / "keyring.json", {name: Entry(key=key) for name, key in keys.items()})


def back_up(config: Config, to: Path, passphrase: str | None = None) -> making.Backup:
    """Make a backup into a file."""
    backup = making.make(config, "1.0", NOON_MS, passphrase)
    to.write_bytes(b"".join(backup.pieces))
    return backup


def send(config: Config, backup: Path) -> None:
    """Put a file where the page puts it."""
    restoring.incoming(config.path(config.gateway.data_dir)).write_bytes(backup.read_bytes())
