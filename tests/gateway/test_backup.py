"""Backups: whole, of one moment, sealed, put back in one step, and nothing put back that must not come again."""

from __future__ import annotations

import io
import os
import shutil
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway import database, keyring
from gateway.backup import making, restoring, sealed
from gateway.backup.start import put_in_order
from gateway.config import Config
from heat.errors import BackupUnusable, StoreError, StoreFull, StoreLocked
from tests.gateway.backup_shop import (
    PASSPHRASE,
    back_up,
    gateway_in,
    open_in,
    pour,
    rows,
    send,
    write_keyring,
)
from tests.gateway.conftest import NOON_MS
from tests.gateway.web.conftest import DISPENSER_KEY, PSEUDONYM_KEY

OLD, NEW = "11" * 32, "22" * 32
STARTS_OF_SEALED = 8
"""Bytes of a chunk's length and its first ciphertext."""


@pytest.fixture
def config(tmp_path: Path) -> Config:
    return gateway_in(tmp_path / "shop")


@pytest.fixture
def data_dir(config: Config) -> Path:
    return config.path(config.gateway.data_dir)


def five_rows(config: Config) -> None:
    """A store with five rows, closed."""
    store = open_in(config)
    pour(store, 5)
    store.close()


# -- making ---------------------------------------------------------------------------------------------------------


def test_a_backup_put_back_has_what_was_there_then(config: Config, data_dir: Path, tmp_path: Path) -> None:
    five_rows(config)
    made = back_up(config, tmp_path / "b")
    assert (made.header.gateway, made.header.stored, made.header.seal) == ("gw-1", 5, None)
    assert made.name == "gw-1-20260921-1200.picante"
    assert not (data_dir / making.WORKSHOP).exists()
    store = open_in(config)
    pour(store, 3)
    store.close()
    send(config, tmp_path / "b")
    assert restoring.arrived(data_dir) == made.header
    restoring.check(config, None)
    assert rows(config) == 8, "nothing is touched before the order"
    restoring.order(data_dir, "ana")
    assert put_in_order(config)
    assert rows(config) == 5
    told = restoring.done(data_dir)
    assert told is not None
    assert (told.by, told.header.stored) == ("ana", 5)
    assert not put_in_order(config), "it happens once"


def test_a_snapshot_is_of_one_moment_however_much_is_written_meanwhile(
    config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(making, "STEP_PAGES", 4)
    store = open_in(config)
    pour(store, 2_000)
    stop = threading.Event()

    def go_on() -> None:
        while not stop.is_set():
            pour(store, 10)

    writing = threading.Thread(target=go_on)
    writing.start()
    try:
        made = making.make(config, "1.0", NOON_MS, None)
        at_its_end = store.write(lambda tx: tx.connection.execute("SELECT max(position) FROM events").fetchone()[0])
        assert at_its_end.result(10) > made.header.stored, "events came meanwhile"
        (tmp_path / "b").write_bytes(b"".join(made.pieces))
    finally:
        stop.set()
        writing.join()
        store.close()
    send(config, tmp_path / "b")
    restoring.check(config, None)
    staged = sqlite3.connect(restoring.incoming(config.path("gateway")).parent / "staged" / "gateway.db")
    count, last, profile = staged.execute(
        "SELECT count(*), max(position), (SELECT sum(n) FROM buckets) FROM events"
    ).fetchone()
    staged.close()
    assert count == last == made.header.stored
    assert profile % count == 0, "events and profiles are of the same moment"


def test_without_a_passphrase_there_are_no_secrets(config: Config, tmp_path: Path) -> None:
    five_rows(config)
    write_keyring(config, **{"hot-bar-9": OLD})
    made = back_up(config, tmp_path / "plain")
    assert set(made.header.files) == {"gateway.db"}
    sealed_one = back_up(config, tmp_path / "sealed", PASSPHRASE)
    assert {"gateway.db", "keyring.json", "files/keys.pseudonym", "files/keys.dispensers"} == set(
        sealed_one.header.files
    )
    content = (tmp_path / "sealed").read_bytes()
    for secret in (OLD, PSEUDONYM_KEY.hex(), DISPENSER_KEY.hex()):
        assert secret.encode() not in content


def test_nothing_is_left_of_a_download_that_was_broken_off(config: Config, data_dir: Path) -> None:
    five_rows(config)
    pieces = making.make(config, "1.0", NOON_MS, None).pieces
    next(pieces)
    assert (data_dir / making.WORKSHOP).exists()
    pieces.close()  # type: ignore[attr-defined]  # it is a generator
    assert not (data_dir / making.WORKSHOP).exists()


def test_a_full_disk_is_told_and_nothing_is_left(
    config: Config, data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    five_rows(config)
    monkeypatch.setattr(making, "SPARE_BYTES", 2**60)
    with pytest.raises(StoreFull, match="no room for a copy"):
        making.make(config, "1.0", NOON_MS, None)
    assert not (data_dir / making.WORKSHOP).exists()


def test_a_short_passphrase_is_refused(config: Config) -> None:
    five_rows(config)
    with pytest.raises(BackupUnusable, match="fewer than 10"):
        making.make(config, "1.0", NOON_MS, "short")


# -- checking -------------------------------------------------------------------------------------------------------


def test_every_damage_is_seen_before_anything_is_touched(config: Config, data_dir: Path, tmp_path: Path) -> None:
    five_rows(config)
    for passphrase in (None, PASSPHRASE):
        back_up(config, tmp_path / "b", passphrase)
        whole = (tmp_path / "b").read_bytes()
        head = whole.index(b"\n", len(sealed.MAGIC)) + 1
        places = [0, len(sealed.MAGIC) + 30, head, head + STARTS_OF_SEALED, len(whole) // 2, len(whole) - 1]
        damaged = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in places]
        for content in [*damaged, whole[:-1], whole[: len(whole) // 2], whole[:head], whole + b"x", b""]:
            restoring.incoming(data_dir).write_bytes(content)
            with pytest.raises(BackupUnusable):
                restoring.check(config, passphrase)
            assert restoring.staged(data_dir) is None
    assert rows(config) == 5


@pytest.mark.parametrize("typed", [None, "", "another passphrase"])
def test_another_passphrase_opens_nothing(config: Config, data_dir: Path, tmp_path: Path, typed: str | None) -> None:
    five_rows(config)
    back_up(config, tmp_path / "b", PASSPHRASE)
    send(config, tmp_path / "b")
    with pytest.raises(BackupUnusable, match=r"sealed|passphrase"):
        restoring.check(config, typed)
    assert restoring.staged(data_dir) is None


def test_chunks_cannot_change_places() -> None:
    key, head = bytes(32), b'{"x": 1}'
    pieces = list(sealed.write(head, [bytes(3 * sealed.CHUNK_BYTES)], key))
    path = b"".join([pieces[0], pieces[2], pieces[1], *pieces[3:]])
    cut = b"".join(pieces[:-1])
    for content in (path, cut):
        with pytest.raises(BackupUnusable):
            list(_read(content, key))
    assert b"".join(_read(b"".join(pieces), key)) == bytes(3 * sealed.CHUNK_BYTES)


def _read(content: bytes, key: bytes) -> Iterator[bytes]:
    file = io.BytesIO(content)
    return sealed.read(file, sealed.read_header(file), key)


def test_another_gateways_backup_is_refused(config: Config, tmp_path: Path) -> None:
    five_rows(config)
    back_up(config, tmp_path / "b")
    other = gateway_in(tmp_path / "other")
    other = other.model_copy(update={"gateway": other.gateway.model_copy(update={"id": "gw-2"})})
    other.path(other.gateway.data_dir).mkdir()
    send(other, tmp_path / "b")
    with pytest.raises(BackupUnusable, match="backup of gw-1, and this is gw-2"):
        restoring.check(other, None)


def test_a_newer_picantes_backup_is_refused(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    five_rows(config)
    back_up(config, tmp_path / "b")
    send(config, tmp_path / "b")
    monkeypatch.setattr(database.migrations, "pending", lambda _db: [])
    with pytest.raises(BackupUnusable, match="newer Picante"):
        restoring.check(config, None)


# -- putting back ---------------------------------------------------------------------------------------------------


def test_a_new_pi_gets_all_of_it(config: Config, tmp_path: Path) -> None:
    five_rows(config)
    write_keyring(config, **{"hot-bar-9": OLD})
    with closing(sqlite3.connect(config.path("gateway") / "access.db")) as connection, connection:
        for table in ("people", "sessions"):
            connection.execute(f"CREATE TABLE {table} AS SELECT 'ana' AS name")
    (config.path("gateway") / "set-up").write_text("yes")
    back_up(config, tmp_path / "b", PASSPHRASE)
    new = gateway_in(tmp_path / "new")
    new.path(new.keys.pseudonym).unlink()
    new.path(new.gateway.data_dir).mkdir()
    (new.path("gateway") / "setup-code").write_text("ABCD-EFGH")
    send(new, tmp_path / "b")
    restoring.check(new, PASSPHRASE)
    restoring.order(new.path("gateway"), "ana")
    assert put_in_order(new)
    assert rows(new) == 5
    assert keyring.load(new.path("gateway"), {}).key_of("hot-bar-9", None) == bytes.fromhex(OLD)
    assert PSEUDONYM_KEY.hex() in new.path(new.keys.pseudonym).read_text()
    assert (new.path(new.keys.pseudonym).stat().st_mode & 0o777) == 0o600
    assert (new.path("gateway") / "set-up").exists()
    assert not (new.path("gateway") / "setup-code").exists(), "it is set up: nobody else may do it"
    with closing(sqlite3.connect(new.path("gateway") / "access.db")) as connection:
        assert connection.execute("SELECT name FROM people").fetchall() == [("ana",)]
        assert connection.execute("SELECT name FROM sessions").fetchall() == []


def test_keys_of_here_count_and_who_may_sign_in_stays(config: Config, data_dir: Path, tmp_path: Path) -> None:
    five_rows(config)
    write_keyring(config, rotated=OLD, gone=OLD)
    with closing(sqlite3.connect(data_dir / "access.db")) as connection, connection:
        connection.execute("CREATE TABLE sessions (id)")
    back_up(config, tmp_path / "b", PASSPHRASE)
    write_keyring(config, rotated=NEW, younger=NEW)
    (data_dir / "access.db").write_bytes(b"whoever is here")
    send(config, tmp_path / "b")
    restoring.check(config, PASSPHRASE)
    restoring.order(data_dir, "ana")
    assert put_in_order(config)
    keys = keyring.load(data_dir, {})
    assert {name: keys.key_of(name, None) for name in ("rotated", "gone", "younger")} == {
        "rotated": bytes.fromhex(NEW),
        "gone": bytes.fromhex(OLD),
        "younger": bytes.fromhex(NEW),
    }
    assert (data_dir / "access.db").read_bytes() == b"whoever is here"


def test_it_is_taken_back_and_settled(config: Config, data_dir: Path, tmp_path: Path) -> None:
    five_rows(config)
    back_up(config, tmp_path / "b")
    store = open_in(config)
    pour(store, 3)
    store.close()
    send(config, tmp_path / "b")
    restoring.check(config, None)
    restoring.order(data_dir, "ana")
    assert put_in_order(config)
    restoring.take_back(data_dir, "bea")
    assert put_in_order(config)
    assert rows(config) == 8
    told = restoring.done(data_dir)
    assert told is not None
    assert (told.why, told.by) == ("take back", "bea")
    restoring.settle(data_dir)
    assert restoring.done(data_dir) is None
    with pytest.raises(BackupUnusable):
        restoring.take_back(data_dir, "bea")


def test_a_running_daemon_keeps_its_files(config: Config, data_dir: Path, tmp_path: Path) -> None:
    five_rows(config)
    back_up(config, tmp_path / "b")
    store = open_in(config)
    send(config, tmp_path / "b")
    restoring.check(config, None)
    restoring.order(data_dir, "ana")
    with pytest.raises(StoreLocked):
        put_in_order(config)
    store.close()
    assert put_in_order(config)


def test_without_an_order_nothing_happens(config: Config, data_dir: Path, tmp_path: Path) -> None:
    five_rows(config)
    back_up(config, tmp_path / "b")
    send(config, tmp_path / "b")
    restoring.check(config, None)
    assert not put_in_order(config)
    restoring.drop(data_dir)
    assert restoring.staged(data_dir) is None
    with pytest.raises(BackupUnusable):
        restoring.order(data_dir, "ana")


class PowerCut(BaseException):
    """Whatever was not done by now is not done."""


@pytest.fixture
def cut(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], list[str]]:
    """Cut the power before the nth thing that changes the disk; the list has what was done by then."""

    def set_up(after: int) -> list[str]:
        done: list[str] = []
        for owner, name in ((os, "rename"), (os, "unlink"), (os, "mkdir"), (os, "fsync"), (shutil, "rmtree")):
            real = getattr(owner, name)

            def counted(
                *args: object, _real: Callable[..., object] = real, _name: str = name, **more: object
            ) -> object:
                if len(done) >= after:
                    raise PowerCut
                done.append(_name)
                return _real(*args, **more)

            monkeypatch.setattr(owner, name, counted)
        return done

    return set_up


def order_and_finish(config: Config) -> bool:
    """Put a backup back; whether nothing cut it off."""
    try:
        restoring.order(config.path("gateway"), "ana")
        restoring.finish(config)
    except PowerCut:
        return False
    return True


@pytest.mark.parametrize("killed", [False, True], ids=["stopped", "killed"])
def test_wherever_the_power_is_cut_it_is_the_old_or_the_new(
    tmp_path: Path,
    cut: Callable[[int], list[str]],
    monkeypatch: pytest.MonkeyPatch,
    killed: bool,
) -> None:
    """`killed`: the gateway's last commits lie in a WAL, which must go with the database that it belongs to."""
    master = gateway_in(tmp_path / "master")
    five_rows(master)
    write_keyring(master, **{"hot-bar-9": OLD})
    back_up(master, tmp_path / "b", PASSPHRASE)
    store = open_in(master)
    pour(store, 3)
    send(master, tmp_path / "b")
    restoring.check(master, PASSPHRASE)
    if killed:
        shutil.copytree(tmp_path / "master", tmp_path / "killed")
        assert (tmp_path / "killed/gateway/gateway.db-wal").stat().st_size
    store.close()
    template, seen, after, ended = tmp_path / ("killed" if killed else "master"), set(), 0, False
    while not ended:
        shutil.copytree(template, tmp_path / f"{after}")
        config = gateway_in(tmp_path / f"{after}")
        data_dir = config.path("gateway")
        cut(after)
        ended = order_and_finish(config)
        monkeypatch.undo()
        was_ordered = restoring.ordered(data_dir)
        restoring.finish(config)
        store = open_in(config)  # it is sound, and opens
        store.close()
        found = rows(config)
        assert found in ({5} if was_ordered or ended else {5, 8}), f"cut before step {after}"
        if found == 5:
            told = restoring.done(data_dir)
            assert told is not None
            assert told.by == "ana"
            restoring.take_back(data_dir, "bea")
            restoring.finish(config)
            assert rows(config) == 8, f"what was before is whole; cut before step {after}"
        seen.add(found)
        after += 1
    assert seen == {5, 8}
    assert after > 20


def test_a_disk_that_fails_is_told(config: Config, data_dir: Path, tmp_path: Path) -> None:
    five_rows(config)
    back_up(config, tmp_path / "b")
    send(config, tmp_path / "b")
    restoring.check(config, None)
    restoring.order(data_dir, "ana")
    shutil.rmtree(data_dir / "restore/before")
    with pytest.raises(StoreError, match="can't be put back"):
        put_in_order(config)
    assert rows(config) == 5
