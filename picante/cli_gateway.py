"""`picante gateway`: run the daemon, check its configuration, tell it something."""

from __future__ import annotations

import asyncio
import logging
import sys
from pathlib import Path
from typing import NoReturn

import click

from gateway.config import load_config
from gateway.log import set_up_logging
from heat.errors import ConfigError, PicanteError, StoreError
from picante.cli_pki import pki
from picante.daemon import ask
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


@gateway.command()
@CONFIG
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
def run(config_path: Path, log_level: str) -> None:
    """Run the gateway until it gets SIGTERM or Ctrl-C.

    \b
    Exit status: 0 told to stop, 2 configuration, 3 store (restart: it is checked at start).
    Example:  picante gateway run --config gateway.toml
    """
    from gateway.app import run as run_gateway  # the daemon's imports (onnxruntime, aiokafka) take a second

    set_up_logging(log_level)
    try:
        asyncio.run(run_gateway(load_config(config_path)))
    except ConfigError as error:
        _end(error, 2)
    except StoreError as error:
        _end(error, 3)
    except PicanteError as error:
        _end(error, 1)
    sys.exit(0)


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
    from gateway.app import check

    try:
        for line in asyncio.run(check(load_config(config_path))):
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
