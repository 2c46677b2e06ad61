"""A damaged database is seen at the start, set aside and told of; the gateway goes on with a new one by itself."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.quarantine import KEPT, SUSPECT, quarantined
from gateway.store import Settings, Store, open_store
from heat.errors import StoreCorrupt, StoreError
from tests.faults import test_edge as edge
from tests.faults.counter import at_counter
from tests.faults.loop_image import skip_without_loop_devices, tmpfs
from tests.faults.test_full_disk import MB, leave
from tests.flow.world import Kafka, Mqtt, world
from tests.gateway.test_store import append
from tests.waiting import wait_until

TRIES = int(os.environ.get("PICANTE_TRIES", "10"))
ROWS = 1_500
PAGE = 4_096
FRAME = 24 + PAGE

Damage = Callable[[Path, random.Random], None]


def flip_bits(path: Path, chance: random.Random) -> None:
    """Ten flipped bits in each of three pages' headers, where SQLite must see them."""
    content = bytearray(path.read_bytes())
    for page in chance.sample(range(1, len(content) // PAGE), 3):
        for _ in range(10):
            content[page * PAGE + chance.randrange(8)] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def overwrite(path: Path, chance: random.Random) -> None:
    """Noise over a quarter of all pages."""
    content = bytearray(path.read_bytes())
    for page in chance.sample(range(len(content) // PAGE), len(content) // PAGE // 4):
        content[page * PAGE : (page + 1) * PAGE] = chance.randbytes(PAGE)
    path.write_bytes(content)


def truncate(path: Path, chance: random.Random) -> None:
    """The file ends somewhere."""
    os.truncate(path, chance.randrange(1, path.stat().st_size - PAGE))


def empty(path: Path, chance: random.Random) -> None:
    """Nothing is left of it, or next to nothing: SQLite would begin a new one there, and tell nobody."""
    os.truncate(path, chance.choice([0, 1]))


def spoil_header(path: Path, chance: random.Random) -> None:
    """It does not even look like a database."""
    content = bytearray(path.read_bytes())
    content[:16] = chance.randbytes(16)
    path.write_bytes(content)


def rename_column(path: Path, _chance: random.Random) -> None:
    """One flipped bit in the text of the schema: each page is sound."""
    content = path.read_bytes()
    assert content.count(b"redeliver_after INTEGER") >= 1
    path.write_bytes(content.replace(b"redeliver_after INTEGER", b"redeliver_aftes INTEGER"))


def spoil_position(path: Path, _chance: random.Random) -> None:
    """A value that everything rests on is no number any more."""
    with contextlib.closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE meta SET value = '1x' WHERE key = 'confirmed'")


DAMAGES: tuple[Damage, ...] = (flip_bits, overwrite, truncate, empty, spoil_header, rename_column, spoil_position)
CASES = [(DAMAGES[seed % len(DAMAGES)], seed) for seed in range(TRIES)]


@pytest.mark.parametrize(("damage", "seed"), CASES, ids=[f"{damage.__name__}-{seed}" for damage, seed in CASES])
def test_a_damaged_database_is_set_aside_and_a_new_one_begun(tmp_path: Path, damage: Damage, seed: int) -> None:
    fill(tmp_path, ROWS)
    (tmp_path / "instances").write_text("abc\n")
    (tmp_path / "ballast").chmod(0o640)
    damage(tmp_path / "gateway.db", random.Random(seed))

    store = reopen(tmp_path)
    assert count(store) == 0
    assert store.write(append(1)).result(20) == 1
    [aside] = store.quarantined
    assert (aside.part, Path(aside.directory).parent) == ("database", tmp_path / "quarantine")
    assert aside.lost in {None, ROWS} or damage is truncate
    assert aside.why
    assert (Path(aside.directory) / "gateway.db").exists()
    assert (tmp_path / "instances").read_text() == "abc\n"
    assert (tmp_path / "ballast").stat().st_mode & 0o777 == 0o640
    store.close()

    store = reopen(tmp_path)
    assert count(store) == 1, "the new database is as good as any"
    assert len(store.quarantined) == 1
    store.close()


@pytest.mark.parametrize(("size", "lost"), [(0, None), (1, None), (100, 50)])
def test_a_database_cut_to_nothing_is_set_aside_with_its_journal(tmp_path: Path, size: int, lost: int | None) -> None:
    died = died_with_wal(tmp_path, lambda _wal: None)
    os.truncate(died / "gateway.db", size)
    journal = (died / "gateway.db-wal").read_bytes()
    store = reopen(died)
    [aside] = store.quarantined
    assert (aside.part, aside.lost, count(store)) == ("database", lost, 0)
    assert f"{size} bytes" in aside.why
    assert (Path(aside.directory) / "gateway.db-wal").read_bytes() == journal
    store.close()


def test_a_first_start_that_was_cut_off_is_no_damage(tmp_path: Path) -> None:
    """Nor is a database that a person took away, all but its WAL, which must not get into the new one."""
    died = died_with_wal(tmp_path, lambda _wal: None)
    (died / "gateway.db").unlink()
    for name in ("gateway.db.new", "gateway.db.new-wal", "gateway.db.new-journal"):
        (died / name).write_bytes(b"half of it")
    store = reopen(died)
    assert (count(store), store.quarantined) == (0, [])
    assert store.path.stat().st_mode & 0o777 == 0o600
    store.close()
    assert {path.name for path in died.iterdir()} == {"gateway.db", "lock", "ballast"}


def test_what_sqlite_cannot_see_does_no_harm_at_the_start(tmp_path: Path) -> None:
    """A flipped bit inside an event's text: no check of pages finds it, and nothing at the start rests on it."""
    fill(tmp_path, ROWS)
    path = tmp_path / "gateway.db"
    content = path.read_bytes()
    assert content.count(b'"sauce":"table-red"') > 1
    path.write_bytes(content.replace(b'"sauce":"table-red"', b'"sauce":"tablE-red"', 1))
    store = reopen(tmp_path)
    assert (count(store), store.quarantined) == (ROWS, [])
    store.close()


@pytest.mark.parametrize("journal", [False, True], ids=["database", "journal"])
def test_a_full_disk_gives_its_ballast_for_it(tmp_path: Path, journal: bool) -> None:
    skip_without_loop_devices()
    with tmpfs(tmp_path / "disk", 16) as disk:
        if journal:
            died = died_with_wal(disk, flip_in_the_middle)
        else:
            died = disk / "died"
            fill(died, ROWS)
            spoil_header(died / "gateway.db", random.Random(1))
        (died / "ballast").write_bytes(bytes(19 * MB // 10 if journal else MB + MB // 5))
        leave(disk, 0)
        store = open_store(Settings(died, "gw-1", ballast_bytes=(19 * MB // 10 if journal else MB + MB // 5)))
        assert [aside.part for aside in store.quarantined] == ["journal" if journal else "database"]
        assert store.full is not None
        (disk / "filler").unlink()
        wait_until(store.has_room, 10, "the store has found the room")
        store.close()


# -- the WAL ----------------------------------------------------------------------------------------------------------


def died_with_wal(directory: Path, damage: Callable[[bytearray], None]) -> Path:
    """A data directory whose process died with 50 commits in its WAL, which was damaged then."""
    source = directory / "source"
    store = open_store(Settings(source, "gw-1", ballast_bytes=0))
    for n in range(1, 51):
        store.write(append(n)).result(20)
    died = directory / "died"
    died.mkdir()
    for name in ("gateway.db", "gateway.db-wal"):
        (died / name).write_bytes((source / name).read_bytes())
    store.close()
    content = bytearray((died / "gateway.db-wal").read_bytes())
    damage(content)
    (died / "gateway.db-wal").write_bytes(content)
    return died


def flip_in_the_middle(wal: bytearray) -> None:
    frames = (len(wal) - 32) // FRAME
    wal[32 + frames // 2 * FRAME + 1_000] ^= 1


def flip_in_header(wal: bytearray) -> None:
    wal[17] ^= 1


@pytest.mark.parametrize("damage", [flip_in_the_middle, flip_in_header])
def test_a_journal_that_lost_commits_is_told_of_and_kept(tmp_path: Path, damage: Callable[[bytearray], None]) -> None:
    store = reopen(died_with_wal(tmp_path, damage))
    assert count(store) < 50
    [aside] = store.quarantined
    assert aside.part == "journal"
    assert aside.lost is not None
    assert aside.lost > 1
    assert (Path(aside.directory) / "gateway.db-wal").stat().st_size > 0
    assert store.write(append(1_000)).result(20)
    store.close()
    store = reopen(tmp_path / "died")
    assert len(store.quarantined) == 1, "told once"
    store.close()


@pytest.mark.parametrize("cut", [1, FRAME, FRAME + 100, 5 * FRAME])
def test_a_journal_cut_short_is_a_crash(tmp_path: Path, cut: int) -> None:
    def shorten(wal: bytearray) -> None:
        del wal[-cut:]

    store = reopen(died_with_wal(tmp_path, shorten))
    assert 0 < count(store) < 50
    assert store.quarantined == []
    store.close()


def test_a_journal_whose_last_commit_is_torn_is_a_crash(tmp_path: Path) -> None:
    def tear(wal: bytearray) -> None:
        wal[-1_000] ^= 1

    store = reopen(died_with_wal(tmp_path, tear))
    assert (count(store), store.quarantined) == (49, [])
    store.close()


def test_what_two_crashes_left_behind_is_no_damage(tmp_path: Path) -> None:
    """A long commit is torn, then a short one: in a WAL that went on, the end of the long one would lie behind both."""
    first, second, third = (tmp_path / name for name in ("first", "second", "third"))
    store = reopen(first)
    store.write(append(1)).result(20)
    intact = (first / "gateway.db-wal").stat().st_size
    store.write(lambda tx: [append(n)(tx) for n in range(2, 1_000)]).result(20)
    power_fails(first, second, intact + 1_000)
    store.close()

    store = reopen(second)
    assert (count(store), store.quarantined) == (1, [])
    store.write(append(2)).result(20)
    frames = int.from_bytes((second / "gateway.db-shm").read_bytes()[16:20], sys.byteorder)  # mxFrame
    power_fails(second, third, 32 + (frames - 1) * FRAME + 1_000)
    store.close()

    store = reopen(third)
    assert (count(store), store.quarantined) == (1, [])
    store.close()


def power_fails(running: Path, after: Path, torn_at: int) -> None:
    """Copy the database of a store at work; a byte of its WAL did not reach the disk."""
    after.mkdir()
    for name in ("gateway.db", "gateway.db-wal"):
        (after / name).write_bytes((running / name).read_bytes())
    with (after / "gateway.db-wal").open("r+b") as wal:
        wal.seek(torn_at)
        byte = wal.read(1)[0]
        wal.seek(torn_at)
        wal.write(bytes([byte ^ 1]))


# -- while it runs ----------------------------------------------------------------------------------------------------


def test_damage_that_is_met_while_running_ends_it_and_has_all_checked(tmp_path: Path) -> None:
    fill(tmp_path, ROWS)
    store = reopen(tmp_path)
    spoil_events(tmp_path / "gateway.db")
    with contextlib.closing(store.reader()) as reader, pytest.raises(sqlite3.DatabaseError):
        reader.execute("SELECT count(data) FROM events").fetchone()
    assert isinstance(store.broken, StoreCorrupt)
    with pytest.raises(StoreError):
        store.write(append(5_000)).result(20)
    assert (tmp_path / SUSPECT).exists()
    store.close()
    store = reopen(tmp_path)
    assert (count(store), len(store.quarantined)) == (0, 1)
    assert not (tmp_path / SUSPECT).exists()
    store.close()


def test_a_suspect_that_is_sound_stays(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    (tmp_path / SUSPECT).touch()
    store = reopen(tmp_path)
    assert (count(store), store.quarantined, (tmp_path / SUSPECT).exists()) == (10, [], False)
    store.close()


def test_a_suspect_is_checked_to_the_last_entry_of_an_index(tmp_path: Path) -> None:
    fill(tmp_path, 10)
    whole, lacking = "position) WHERE day < 0", "position) WHERE day < 99999"
    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.db")) as connection, connection:
        connection.execute("PRAGMA writable_schema=ON")
        changed = connection.execute("UPDATE sqlite_master SET sql = replace(sql, ?, ?)", (whole, lacking)).rowcount
    assert changed
    store = reopen(tmp_path)
    assert store.quarantined == [], "the quick check of each start looks at pages"
    store.close()
    (tmp_path / SUSPECT).touch()
    store = reopen(tmp_path)
    assert "index" in store.quarantined[0].why
    store.close()


def break_again(directory: Path, rows: int = 1) -> None:
    """One more database, that is found damaged at a start."""
    fill(directory, rows)
    spoil_header(directory / "gateway.db", random.Random(1))
    reopen(directory).close()


def aside_sizes(directory: Path) -> list[int]:
    """Bytes of each database in quarantine, newest first."""
    return [(Path(aside.directory) / "gateway.db").stat().st_size for aside in quarantined(directory)]


def test_databases_that_break_one_after_the_other_do_not_push_out_the_full_one(tmp_path: Path) -> None:
    break_again(tmp_path, 10)
    break_again(tmp_path, ROWS)
    [full, _small] = aside_sizes(tmp_path)
    for _ in range(KEPT + 1):
        break_again(tmp_path, 20)
    newest, *_others, oldest = aside_sizes(tmp_path)
    assert oldest == full > newest
    names = [Path(aside.directory).name[:7] for aside in quarantined(tmp_path)]
    assert (len(names), names[0], names[-1]) == (KEPT, f"{KEPT + 3:06}-", "000002-")


def test_what_is_set_aside_while_the_clock_is_behind_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(KEPT):
        break_again(tmp_path, 20)
    monkeypatch.setattr("gateway.quarantine.time.time", lambda: 100.0)
    break_again(tmp_path)
    found = quarantined(tmp_path)
    assert len(found) == KEPT
    assert (found[0].time, Path(found[0].directory).name) == (100.0, f"{KEPT + 1:06}-19700101T000140Z")


def test_where_the_disk_is_short_the_newest_and_the_fullest_are_kept(tmp_path: Path) -> None:
    break_again(tmp_path, ROWS)
    break_again(tmp_path)
    assert len(quarantined(tmp_path)) == 2
    fill(tmp_path, 1)
    spoil_header(tmp_path / "gateway.db", random.Random(1))
    more_than_there_is = 2 * shutil.disk_usage(tmp_path).free
    open_store(Settings(tmp_path, "gw-1", more_than_there_is, ballast_bytes=4_096)).close()
    newest, oldest = (Path(aside.directory).name[:7] for aside in quarantined(tmp_path))
    assert (newest, oldest) == ("000003-", "000001-")


def test_journals_are_kept_beside_the_databases(tmp_path: Path) -> None:
    break_again(tmp_path, ROWS)
    for nth in range(KEPT + 1):
        source = tmp_path / f"source-{nth}"
        source.mkdir()
        died = died_with_wal(source, flip_in_the_middle)
        for name in ("gateway.db", "gateway.db-wal"):
            shutil.copy(died / name, tmp_path / name)
        reopen(tmp_path).close()
    assert [aside.part for aside in quarantined(tmp_path)] == ["journal"] * KEPT + ["database"]


def test_a_database_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    fill(tmp_path, 1)
    with contextlib.closing(sqlite3.connect(tmp_path / "gateway.db")) as connection, connection:
        connection.execute("INSERT INTO _sqlite_migrations VALUES (99, 'gateway', '0099_later', '2030')")
    with pytest.raises(StoreError, match="0099_later"):
        reopen(tmp_path)
    assert not (tmp_path / "quarantine").exists()


# -- the whole gateway ------------------------------------------------------------------------------------------------


def test_a_gateway_with_a_damaged_database_is_ready_and_says_so(tmp_path: Path) -> None:
    with at_counter(tmp_path / "counter", tmp_path / "data") as counter:
        counter.start_gateway()
        counter.open_lines()
        counter.serve_until_all_have_more()
        counter.stop()
        overwrite(tmp_path / "data" / "gateway.db", random.Random(1))
        before = counter.acked()

        counter.start_gateway()  # within 10 s
        status = counter.console.get("/api/v1/status").raise_for_status().json()
        [repair] = [repair for repair in status["repairs"] if repair["code"] == "store_quarantined"]
        assert str(tmp_path / "data" / "quarantine") in " ".join(repair["steps"])
        assert "picante_store_quarantined 1.0" in counter.console.get("/metrics").text
        for dispenser in counter.dispensers:
            assert dispenser.reopen() <= before[dispenser.name]
        counter.serve_until_all_have_more()
        assert counter.query("PRAGMA integrity_check") == [("ok",)]

        # damage that somebody meets while it runs ends it; its next start mends that, too
        counter.stop()
        counter.start_gateway()
        spoil_events(tmp_path / "data" / "gateway.db")
        assert counter.console.get("/api/v1/events").status_code == 503
        assert counter.ended(10) == 3
        counter.start_gateway()
        assert len(quarantined(tmp_path / "data")) == 2
        counter.kill()


def test_its_uplink_goes_on_in_a_new_epoch(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> None:
    with world(tmp_path, kafka, mqtt, edge.LOAD.format(name="bar"), edge.name()) as shop:
        shop.start_sim()
        gateway = shop.start_gateway()
        edge.serve(shop, 200)
        edge.rest(shop)  # what Kafka does not have would be lost with the database
        gateway.stop()
        overwrite(shop.database, random.Random(1))
        shop.start_gateway()
        edge.serve(shop, 100)
        edge.rest(shop)
        sync = edge.sync_of(shop)
        assert (sync["epoch"], sync["state"], edge.told(shop)) == (2, "idle", [])
        assert "store_quarantined" in {repair["code"] for repair in shop.get("/api/v1/status")["repairs"]}
        assert edge.assert_each_once_or_marked(shop) == 0


# -- -------------------------------------------------------------------------------------------------------------------


def fill(directory: Path, rows: int) -> None:
    """A database with some events, closed properly."""
    store = reopen(directory)
    first = store.sequences.durable("hot-bar-1", 7) + 1
    futures = [store.write(append(n)) for n in range(first, first + rows)]
    for future in futures:
        future.result(10)
    store.close()


def reopen(directory: Path) -> Store:
    return open_store(Settings(directory, "gw-1", ballast_bytes=4_096))


def count(store: Store) -> int:
    with contextlib.closing(store.reader()) as reader:
        return int(reader.execute("SELECT count(*) FROM events").fetchone()[0])


def spoil_events(path: Path) -> None:
    """Noise over all pages of the table of events but its root, in the file that others have open."""
    with contextlib.closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as connection:
        (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    chance = random.Random(1)
    with path.open("r+b") as file:
        for page in range(2, path.stat().st_size // PAGE + 1):
            if page != root:
                file.seek((page - 1) * PAGE)
                file.write(chance.randbytes(PAGE))
        file.flush()
