"""`picante gateway bundle`: a support bundle, from the machine itself, whether the daemon runs or not."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import click

from gateway import support
from gateway.config import load_config
from heat.errors import ConfigError, PicanteError
from picante.daemon import DAEMON
from picante.errors import exit_with_hint

UNIT = "picante-gateway"
LINES = 2_000
JOURNAL_S = 20


@click.command()
@DAEMON
@click.option("--without", multiple=True, metavar="NAME", help="A file to leave out, as --list names it; repeatable.")
@click.option("--list", "only_list", is_flag=True, help="Print what would be in it, and write nothing.")
@click.option(
    "--log", type=click.Path(path_type=Path, dir_okay=False, exists=True), help="The daemon's log, if it is a file."
)
@click.argument("out", metavar="FILE", required=False, type=click.Path(path_type=Path, dir_okay=False))
def bundle(config_path: Path, without: tuple[str, ...], only_list: bool, log: Path | None, out: Path | None) -> None:
    """Write a support bundle to FILE: one zip for whoever helps from afar, without secrets and customers.

    The log is the journal's, or a file's. The page System has the same, and of a running daemon more.

    \b
    Exit status: 0 written, 1 it can't be, 2 configuration or usage.
    Example:  picante gateway bundle support.zip
    """
    if out is None and not only_list:
        raise click.UsageError("FILE is missing")
    try:
        config = load_config(config_path)
    except ConfigError as error:
        exit_with_hint(error, 2)
    wanted = [part for part in support.parts(config, lambda: log_lines(log)) if part.name not in without]
    scrub = support.scrubber(config)
    if only_list or out is None:
        for part, size in support.preview(wanted, scrub):
            click.echo(f"{part.name:20} {size:9,} bytes  {part.what}")
        return
    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            for piece in support.bundle(wanted, scrub):
                file.write(piece)
    except OSError as error:
        exit_with_hint(PicanteError(f"{out}: {error.strerror}", hint="Name a file that is not there yet"), 1)
    click.echo(f"{out}: {len(wanted)} files, {out.stat().st_size:,} bytes. Look at it before you send it")


def log_lines(log: Path | None) -> Iterator[str]:
    """The last lines of the daemon's log, with their ends."""
    if log is not None:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(file.tell() - 2 * support.MAX_FILE_BYTES, 0))
            yield from file.read().decode("utf-8", "replace").splitlines(keepends=True)[-LINES:]
        return
    command = ["journalctl", "--unit", UNIT, "--lines", str(LINES), "--output", "cat", "--no-pager", "--quiet"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=JOURNAL_S, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        yield f"the journal can't be read: {error}\n"
        return
    yield from done.stdout.splitlines(keepends=True)
