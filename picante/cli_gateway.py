"""`picante gateway`: run the daemon, check its configuration, tell it something."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from cloud_sync.log import set_up_logging
from gateway import setup_file
from gateway.backup.start import put_in_order
from gateway.config import load_config, load_draft
from gateway.loading import uncollected
from heat.errors import ConfigError, PicanteError, StoreError, StoreLocked
from picante.cli_backup import backup, restore
from picante.cli_consent import consent
from picante.cli_people import setup_code
from picante.cli_pki import pki
from picante.cli_support import bundle
from picante.cli_web_pki import web_pki
from picante.daemon import DAEMON, ask, stream
from picante.errors import exit_with_hint

CONFIG = click.option(
    "--config",
    "config_path",
    required=True,
    type=click.Path(path_type=Path),
    help="The gateway's configuration, a TOML file (see docs/configuration.md).",
)


@click.group()
def gateway() -> None:
    """The daemon between dispensers and Kafka."""


gateway.add_command(pki)
gateway.add_command(web_pki)
gateway.add_command(consent)
gateway.add_command(backup)
gateway.add_command(bundle)
gateway.add_command(setup_code)
gateway.add_command(restore)


@gateway.command()
@CONFIG
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option(
    "--safe-mode/--no-safe-mode",
    default=None,
    help="Where it can't start, serve a page that says why until that is mended. Left out: unless at a terminal.",
)
def run(config_path: Path, log_level: str, safe_mode: bool | None) -> None:
    """Run the gateway until it gets SIGTERM or Ctrl-C.

    Where configuration or database can't be used, its page says why, and it starts as soon as that is mended.

    \b
    Exit status: 0 told to stop, 2 configuration, 3 store (restart: it is checked at start).
    Example:  picante gateway run --config gateway.toml
    """
    with uncollected():
        from gateway.app import run as run_gateway  # NumPy, aiokafka: that takes a second
    set_up_logging(log_level)
    begun: list[bool] = []
    restart = False
    try:
        draft, unnamed = load_draft(config_path)
        if put_in_order(draft):
            draft, unnamed = load_draft(config_path)  # what was set up may have been put back, or wiped
        if unnamed:
            from gateway.first_boot import run_first_boot

            restart = asyncio.run(run_first_boot(draft, unnamed))
        else:
            restart = asyncio.run(run_gateway(load_config(config_path), lambda: begun.append(True)))
    except (ConfigError, StoreError) as error:
        status = 2 if isinstance(error, ConfigError) else 3
        wanted = not sys.stderr.isatty() if safe_mode is None else safe_mode
        if begun or not wanted or not config_path.exists() or isinstance(error, StoreLocked):
            _end(error, status)
        restart = _tell_why(config_path, error, status)
    except PicanteError as error:
        _end(error, 1)
    if restart:
        # the same process for systemd, and nothing left of the one before
        os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:]])  # noqa: S606 -- our own command line
    sys.exit(0)


def _tell_why(config_path: Path, error: PicanteError, status: int) -> bool:
    """Safe mode; whether what was wrong is mended."""
    from gateway import safe_mode

    try:
        return asyncio.run(safe_mode.run(config_path, error))
    except PicanteError as other:
        logging.getLogger("gateway").error("there is no safe mode: %s", other)  # noqa: TRY400 -- as below
        _end(error, status)


def _end(error: PicanteError, status: int) -> NoReturn:
    """Say why the daemon ends, as a line of its log where nobody watches, and exit."""
    if sys.stderr.isatty():
        exit_with_hint(error, status)
    logging.getLogger("gateway").critical("%s", error)
    sys.exit(status)


@gateway.command("check-config")
@CONFIG
def check_config(config_path: Path) -> None:
    """Check a configuration, its key files, catalogue, words and bundle, without starting the daemon.

    \b
    Exit status: 0 it can be used, 2 it can't; every problem is printed with its line.
    Example:  picante gateway check-config --config gateway.toml
    """
    from gateway.check import check

    try:
        draft, unnamed = load_draft(config_path)
        may_ask = setup_file.may_ask(draft.path(draft.gateway.data_dir))
        config, asked = (draft, unnamed) if unnamed and may_ask else (load_config(config_path), frozenset())
        for line in asyncio.run(check(config, asked)):
            click.echo(line)
    except PicanteError as error:
        exit_with_hint(error, 2)


@gateway.command()
@CONFIG
def adopt(config_path: Path) -> None:
    """Have a stopped uplink go on: no other gateway has this one's name.

    Kafka's position was written by a gateway whose name is ours and whose card or database is not. Where that one still
    runs, stop it first, or give it another name: the two would take turns, and what goes up twice would say so.

    \b
    Run it on the gateway's machine. Exit status: 0 it goes on, 1 it is not stopped or not running, 2 configuration.
    Example:  picante gateway adopt --config gateway.toml
    """
    sync = ask(config_path, "POST", "/api/v1/uplink/adopt")
    click.echo(f"The gateway goes on: {sync['pending']} rows wait for Kafka")


@gateway.command()
@DAEMON
@click.option("--out", required=True, type=click.Path(path_type=Path, dir_okay=False), help="Where to write it; new.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(min=0.1, max=86_400))
@click.option("--max-bytes", default=10_000_000, show_default=True, type=click.IntRange(min=1_000, max=1_000_000_000))
def trace(config_path: Path, out: Path, seconds: float, max_bytes: int) -> None:
    """Record what passes on all links, without secrets, for `picante sim replay`.

    It ends after its time, its size, or Ctrl-C; what was written by then is good. Loyalty tokens are replaced, keys and
    proofs are never written. docs/simulator.md tells what the lines mean.

    \b
    Exit status: 0 written, 1 no daemon, too many traces run already, or FILE can't be written, 2 configuration.
    Example:  picante gateway trace --config gateway.toml --out bar.jsonl --seconds 300
    """
    try:
        config = load_config(config_path)
        lines = stream(config, "/api/v1/trace", {"seconds": seconds, "max_bytes": max_bytes})
        first = next(lines)  # a daemon that refuses leaves no file
        written = _write_lines(out, itertools.chain([first], lines))
    except ConfigError as error:
        exit_with_hint(error, 2)
    except PicanteError as error:
        exit_with_hint(error, 1)
    click.echo(f"{out}: {written} lines")


def _write_lines(out: Path, lines: Iterator[bytes]) -> int:
    """Write a trace, each line at once; how many lines. Ctrl-C ends it in good order."""
    try:
        fd = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise PicanteError(f"{out}: {error.strerror}", hint="Name a file that is not there yet") from error
    written = 0
    with open(fd, "wb", buffering=0) as file, contextlib.suppress(KeyboardInterrupt):  # noqa: PTH123  # it is open
        for line in lines:
            file.write(line)
            written += 1
    return written
