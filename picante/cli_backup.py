"""`picante gateway backup`, `restore`: on the gateway's machine, whether its daemon runs or not."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import click

from gateway.access.access import open_access
from gateway.access.file import FILE
from gateway.backup import making, restoring
from gateway.backup.archive import Header
from gateway.backup.start import put_in_order
from gateway.config import Config, load_config
from heat.errors import BackupUnusable, ConfigError, PicanteError, StoreLocked
from picante.daemon import DAEMON
from picante.errors import exit_with_hint

PASSPHRASE = click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="A file whose first line is the passphrase; without it, it is asked for.",
)


@click.command()
@DAEMON
@PASSPHRASE
@click.option("--plain", is_flag=True, help="No passphrase: keys, passwords and who may sign in are left out.")
@click.argument("out", metavar="FILE", type=click.Path(path_type=Path, dir_okay=False))
def backup(config_path: Path, passphrase_file: Path | None, plain: bool, out: Path) -> None:
    """Write a backup of this gateway to FILE, which must be new.

    It holds events, profiles and planograms; sealed by a passphrase also the dispensers' keys, who may sign in, and the
    files that gateway.toml names, so that a new Pi can take this one's place. It may be made while the gateway runs.

    \b
    Exit status: 0 written, 1 it can't be, 2 configuration.
    Example:  picante gateway backup /media/stick/gw-1.picante
    """
    try:
        config = load_config(config_path)
        passphrase = None if plain else _passphrase(passphrase_file, confirm=True)
        with _new_file(out) as fd, _as_its_user(config):
            made = making.make(config, version("picante"), int(time.time() * 1000), passphrase)
            for piece in made.pieces:
                _write_all(fd, piece)
            os.fsync(fd)
            _note(config.path(config.gateway.data_dir), "backup", made.header)
    except ConfigError as error:
        exit_with_hint(error, 2)
    except PicanteError as error:
        exit_with_hint(error, 1)
    except OSError as error:
        exit_with_hint(PicanteError(f"{out}: {error.strerror}", hint="See that it can be written"), 1)
    click.echo(f"{out}: {_told(made.header)}")


@click.command()
@DAEMON
@PASSPHRASE
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def restore(config_path: Path, passphrase_file: Path | None, yes: bool, file: Path) -> None:
    """Put a backup back: its database takes the place of the one that is there, which is kept aside.

    FILE is checked first. With the gateway stopped it is done at once, while it runs at its next start. Who may sign in
    and the keys that are known here stay as they are; on a new machine, they come from the backup.

    \b
    Exit status: 0 put back or ordered, 1 it can't be, 2 configuration.
    Example:  picante gateway restore /media/stick/gw-1.picante
    """
    try:
        config = load_config(config_path)
        with file.open("rb") as source, _as_its_user(config):
            _restore(config, source.fileno(), passphrase_file, yes=yes)
    except ConfigError as error:
        exit_with_hint(error, 2)
    except PicanteError as error:
        exit_with_hint(error, 1)
    except OSError as error:
        exit_with_hint(PicanteError(f"{file}: {error.strerror}", hint="See that it can be read"), 1)


def _restore(config: Config, source: int, passphrase_file: Path | None, *, yes: bool) -> None:
    data_dir = config.path(config.gateway.data_dir)
    data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    if restoring.ordered(data_dir):
        raise BackupUnusable("a backup is about to be put back already", hint="Start the gateway, which does it")
    with open(source, "rb", closefd=False) as read, restoring.incoming(data_dir).open("wb") as copy:
        shutil.copyfileobj(read, copy)
    header = restoring.arrived(data_dir)
    assert header is not None, "it was just put there"
    click.echo(_told(header))
    passphrase = _passphrase(passphrase_file, confirm=False) if header.seal is not None else None
    restoring.check(config, passphrase)
    if not yes:
        click.echo("What is there now is kept aside. Events since the backup that Kafka lacks are in there alone.")
        if click.prompt(f"Type {config.gateway.id} to put the backup back", default="") != config.gateway.id:
            restoring.drop(data_dir)
            raise BackupUnusable("it was not put back", hint="Nothing was changed")
    noted = _note(data_dir, "restore", header)
    restoring.order(data_dir, "the console")
    try:
        put_in_order(config)
        if not noted:  # a new machine: who may sign in came with the backup
            _note(data_dir, "restore", header)
    except StoreLocked:
        click.echo("The gateway runs: the backup is put back when it starts anew (sudo systemctl restart picante)")
    else:
        click.echo("Put back. What was there before is kept until somebody says on the page System that all is well")


def _note(data_dir: Path, what: str, header: Header) -> bool:
    """Have it in the audit log, if there is one: to make one would keep the backup's out. Raises StoreError."""
    if not (data_dir / FILE).exists():
        return False
    with closing(open_access(data_dir)) as access:
        asyncio.run(access.audit.note(("console", "console"), (what, "picante gateway"), {}, _told(header)))
    return True


def _told(header: Header) -> str:
    made = datetime.fromtimestamp(header.made_ms / 1000, UTC)
    kind = "sealed" if header.seal is not None else "plain, without secrets"
    return (
        f"a backup of {header.gateway} ({header.store}) of {made:%Y-%m-%d %H:%M} UTC, by Picante {header.software}:"
        f" events up to number {header.stored}, {header.bytes_ / 1e6:.1f} MB, {kind}"
    )


def _passphrase(file: Path | None, *, confirm: bool) -> str:
    if file is not None:
        return file.read_text().split("\n", 1)[0]
    if not sys.stdin.isatty():
        raise BackupUnusable("there is nobody to ask for the passphrase", hint="Give --passphrase-file, or --plain")
    return str(click.prompt("Passphrase of the backup", hide_input=True, confirmation_prompt=confirm))


@contextlib.contextmanager
def _new_file(path: Path) -> Iterator[int]:
    """A file that was not there, and is not there either if it can't be written to its end."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PicanteError(f"{path}: {error.strerror}", hint="Name a file that is not there yet") from error
    try:
        yield fd
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    finally:
        os.close(fd)


def _write_all(fd: int, piece: bytes) -> None:
    left = memoryview(piece)
    while left:
        left = left[os.write(fd, left) :]


@contextlib.contextmanager
def _as_its_user(config: Config) -> Iterator[None]:
    """Be the owner of the data directory where root calls: the daemon can't open what is root's."""
    data_dir = config.path(config.gateway.data_dir)
    if os.geteuid() != 0 or not data_dir.exists() or (owner := data_dir.stat()).st_uid == 0:
        yield
        return
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
