"""A backup of a gateway that runs, or of one that doesn't: a snapshot of its database, and what makes a new Pi go on.

The snapshot is one of SQLite's online backups, of one moment, however much is written meanwhile. It is made in small
steps with pauses, so that commits get the disk in between; a customer's picks don't wait for it.
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from cloud_sync.credentials import TlsSection
from gateway.backup import archive, sealed
from gateway.backup.archive import Header, Source
from gateway.config import Config
from heat.errors import BackupUnusable, StoreFull

WORKSHOP = "backup.part"
"""A directory of the data directory, for the snapshot until it has gone out; what a kill left goes at the next."""
STEP_PAGES = 128
"""Pages, half a megabyte, that are copied at once."""
PAUSE_S = 0.005
"""s between two steps: 512 MiB take 8 s at least."""
SPARE_BYTES = 16 * 1024 * 1024
"""Bytes that a disk must have left beside the snapshot, for the WAL meanwhile."""


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup that is being made."""

    header: Header
    name: str
    """For its file."""
    pieces: Iterator[bytes]
    """The file's bytes. Once they were taken, or the iterator was closed, nothing is left of the snapshot."""


def make(config: Config, software: str, now_ms: int, passphrase: str | None, room: Path | None = None) -> Backup:
    """Take the snapshot and begin a backup; blocks for seconds. Without a passphrase it has no secrets.

    `room` is a directory on the disk where the snapshot is kept meanwhile; by default the data directory.

    Raises:
        BackupUnusable: the passphrase is too short, or there is nothing to back up, or it is damaged.
        StoreFull: there is no room for the snapshot.
    """
    if passphrase is not None and len(passphrase) < sealed.SHORTEST_PASSPHRASE:
        raise BackupUnusable(
            f"the passphrase has fewer than {sealed.SHORTEST_PASSPHRASE} characters", hint="Take four words, say"
        )
    data_dir = config.path(config.gateway.data_dir)
    if not (data_dir / archive.DATABASE).exists():
        raise BackupUnusable(f"there is no {data_dir / archive.DATABASE}", hint="The gateway has not run here yet")
    workshop = (room or data_dir) / WORKSHOP
    shutil.rmtree(workshop, ignore_errors=True)
    try:
        workshop.mkdir(mode=0o700)
        try:
            stored, confirmed, migrations = _snapshot(data_dir / archive.DATABASE, workshop / archive.DATABASE)
            sources = {archive.DATABASE: archive.of_file(workshop / archive.DATABASE)}
            if passphrase is not None:
                sources |= _secrets(config, data_dir, workshop)
        except BaseException:
            shutil.rmtree(workshop, ignore_errors=True)
            raise
    except OSError as error:
        raise BackupUnusable(f"{workshop}: {error.strerror}", hint="See that this disk works and has space") from error
    seal = sealed.new_seal() if passphrase is not None else None
    header = Header(
        gateway=config.gateway.id,
        store=config.gateway.store,
        region=config.gateway.region,
        software=software,
        made_ms=now_ms,
        stored=stored,
        confirmed=confirmed,
        migrations=migrations,
        files={name: source.size for name, source in sources.items()},
        seal=seal,
    )
    key = seal.key(passphrase) if seal is not None and passphrase is not None else None
    day = time.strftime("%Y%m%d-%H%M", time.gmtime(now_ms / 1000))
    return Backup(header, f"{header.gateway}-{day}.picante", _until_gone(archive.write(header, sources, key), workshop))


def _until_gone(pieces: Iterator[bytes], workshop: Path) -> Iterator[bytes]:
    try:
        yield from pieces
    finally:
        shutil.rmtree(workshop, ignore_errors=True)


def _snapshot(database: Path, to: Path) -> tuple[int, int, tuple[str, ...]]:
    """Copy the database as of now; its last position, the confirmed one, and its migrations."""
    try:
        copy_database(database, to)
        # nobody writes the copy: no WAL beside it
        with closing(sqlite3.connect(f"file:{to}?immutable=1", uri=True)) as copy:
            if (verdict := copy.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise BackupUnusable(f"the database is damaged: {verdict}", hint="Restart the gateway: it is checked")
            stored = copy.execute("SELECT seq FROM sqlite_sequence WHERE name = 'events'").fetchone()
            confirmed = copy.execute("SELECT value FROM meta WHERE key = 'confirmed'").fetchone()
            applied = copy.execute("SELECT name FROM _sqlite_migrations WHERE migration_set = 'gateway'").fetchall()
    except sqlite3.Error as error:
        raise BackupUnusable(f"{database}: {error}", hint="See that this disk works and has space") from error
    return int(stored[0]) if stored else 0, int(confirmed[0]), tuple(sorted(name for (name,) in applied))


def copy_database(database: Path, to: Path) -> None:
    """One moment of a database that others may write meanwhile. Raises sqlite3.Error, StoreFull."""
    with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, isolation_level=None)) as source:
        source.execute("BEGIN")
        # from here on this connection sees one moment: a copy that others write into would begin anew each time
        pages, size = (source.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size"))
        source.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if shutil.disk_usage(to.parent).free < pages * size + SPARE_BYTES:
            hint = "Free some space, or have `picante gateway backup` write it to another disk"
            raise StoreFull(f"there is no room for a copy of {pages * size // 2**20} MiB", hint=hint)
        with closing(sqlite3.connect(to)) as target:
            target.execute("PRAGMA synchronous=OFF")
            source.backup(target, pages=STEP_PAGES, progress=lambda *_: time.sleep(PAUSE_S))


def _secrets(config: Config, data_dir: Path, workshop: Path) -> dict[str, Source]:
    """What is sealed: keys, who may sign in, what was set up, and the files that gateway.toml names."""
    found = {}
    if (data_dir / archive.ACCESS).exists():
        try:
            copy_database(data_dir / archive.ACCESS, workshop / archive.ACCESS)
        except sqlite3.Error as error:
            raise BackupUnusable(f"{data_dir / archive.ACCESS}: {error}", hint="See that this disk works") from error
        found[archive.ACCESS] = archive.of_file(workshop / archive.ACCESS)
    paths = {name: data_dir / name for name in (archive.KEYRING, archive.SETUP, archive.MARK)}
    paths |= {f"{archive.NAMED}{name}": path for name, path in named_files(config)}
    for name, path in paths.items():
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            hint = "Let the gateway's user read it, or take a backup without secrets"
            raise BackupUnusable(f"{path}: {error.strerror}", hint=hint) from error
        if len(content) <= archive.MAX_SMALL_BYTES:
            found[name] = archive.of_bytes(content)
    return found


def named_files(config: Config) -> Iterator[tuple[str, Path]]:
    """The files with keys, certificates and passwords that a configuration names: (section.key, path)."""
    for key in ("dispensers", "pseudonym", "provisioning", "bundles"):
        if (name := getattr(config.keys, key)) is not None:
            yield f"keys.{key}", config.path(name)
    for section in ("kafka", "mqtt"):
        told: TlsSection | None = getattr(config, section)
        for key in ("ca", "certificate", "key", "password_file"):
            if told is not None and (name := getattr(told, key)) is not None:
                yield f"{section}.{key}", config.path(name)
    for key in ("issuer", "issuer_key"):
        if (name := getattr(config.http, key)) is not None:
            yield f"http.{key}", config.path(name)
