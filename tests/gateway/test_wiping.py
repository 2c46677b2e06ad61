"""Wiping: nothing of customers, or nothing at all, is left to be read; what is not customers' goes on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from gateway.backup import wiping
from gateway.backup.start import put_in_order
from gateway.config import Config
from heat.errors import StoreError
from tests.gateway.backup_shop import SUBJECT, gateway_in, open_in, pour, rows, write_keyring

WIPED = {"buckets", "doses", "flavours", "latest", "letters", "pours", "regulars", "sessions", "stated", "voids"}
"""Whoever adds a table says here whether it is about customers."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    """A gateway with five pours of one customer, three of them in Kafka."""
    config = gateway_in(tmp_path / "shop")
    store = open_in(config)
    pour(store, 5)
    store.write(lambda tx: tx.set_meta("confirmed", "3")).result(20)
    store.close()
    return config


@pytest.fixture
def data_dir(config: Config) -> Path:
    return config.path(config.gateway.data_dir)


def everything_in(data_dir: Path) -> bytes:
    """All bytes of all files."""
    return b"".join(path.read_bytes() for path in sorted(data_dir.rglob("*")) if path.is_file())


def test_every_table_is_either_kept_or_wiped(config: Config) -> None:
    with closing(sqlite3.connect(config.path("gateway") / "gateway.db")) as connection:
        names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        assert {name for (name,) in names} == wiping.KEPT_TABLES | WIPED


def test_customers_are_gone_and_what_kafka_lacks_stays(config: Config, data_dir: Path) -> None:
    (data_dir / "quarantine" / "000001-x").mkdir(parents=True)
    (data_dir / "quarantine" / "000001-x" / "gateway.db").write_bytes(SUBJECT.encode())
    wiping.order(data_dir, "customers", "ana", keep_unsent=True)
    assert put_in_order(config)
    assert not put_in_order(config)
    with closing(sqlite3.connect(data_dir / "gateway.db")) as connection:
        left = connection.execute("SELECT position, subject FROM events ORDER BY position").fetchall()
        assert left == [(3, None), (4, SUBJECT), (5, SUBJECT)]
        assert not connection.execute("SELECT * FROM buckets").fetchall()
        assert connection.execute("SELECT last FROM sequences").fetchall() == [(5,)], "no identity is spent again"
        assert wiping.at_stake(connection) == 2
    assert not (data_dir / "quarantine").exists()


def test_customers_are_gone_to_the_last_byte(config: Config, data_dir: Path) -> None:
    wiping.order(data_dir, "customers", "ana", keep_unsent=False)
    assert put_in_order(config)
    assert SUBJECT.encode() not in everything_in(data_dir)
    store = open_in(config)
    pour(store, 1)
    store.close()
    with closing(sqlite3.connect(data_dir / "gateway.db")) as connection:
        assert connection.execute("SELECT max(position) FROM events").fetchone() == (6,), "positions go on"


def test_everything_is_gone_to_the_last_byte(config: Config, data_dir: Path) -> None:
    write_keyring(config, **{"hot-bar-9": "11" * 32})
    (data_dir / "releases" / "bundle").mkdir(parents=True)
    (data_dir / "releases" / "bundle" / "model").write_bytes(b"x" * 3_000_000)
    (data_dir / "link").symlink_to(config.path(config.keys.pseudonym))
    (data_dir / "instances").write_text("0011\n")
    wiping.order(data_dir, "everything", "ana", keep_unsent=True)
    assert put_in_order(config)
    assert {path.name for path in data_dir.iterdir()} == {"lock", "instances"}
    assert config.path(config.keys.pseudonym).read_text(), "what lies elsewhere is not touched"


def test_files_are_written_over_before_they_go(config: Config, data_dir: Path, tmp_path: Path) -> None:
    other_name = tmp_path / "another name of the same bytes"
    other_name.hardlink_to(data_dir / "gateway.db")
    size = other_name.stat().st_size
    wiping.order(data_dir, "everything", "ana", keep_unsent=False)
    assert put_in_order(config)
    assert other_name.read_bytes() == bytes(size)


def test_a_cut_leaves_the_order_for_the_next_start(
    config: Config, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wiping.order(data_dir, "everything", "ana", keep_unsent=False)

    def cut(_path: Path) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(wiping, "_write_over", cut)
        with pytest.raises(StoreError, match="can't be wiped"):
            put_in_order(config)
    assert rows(config) == 5
    assert put_in_order(config)
    assert not (data_dir / "gateway.db").exists()


def test_an_order_that_can_not_be_read_wipes_nothing(config: Config, data_dir: Path) -> None:
    (data_dir / wiping.ORDER).write_bytes(b"{")
    with pytest.raises(StoreError, match="can't be read"):
        put_in_order(config)
    assert rows(config) == 5
