"""`picante gateway`: run the daemon, check its configuration."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from gateway.config import load_config
from gateway.log import set_up_logging
from heat.errors import ConfigError, PicanteError, StoreError
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
        exit_with_hint(error, 2)
    except StoreError as error:
        exit_with_hint(error, 3)
    except PicanteError as error:
        exit_with_hint(error, 1)
    sys.exit(0)


@gateway.command("check-config")
@CONFIG
def check_config(config_path: Path) -> None:
    """Check a configuration, its key files, catalogue, words and bundle, without starting anything.

    \b
    Exit status: 0 it can be used, 2 it can't; every problem is printed with its line.
    Example:  picante gateway check-config --config gateway.toml
    """
    from gateway.app import check

    try:
        for line in check(load_config(config_path)):
            click.echo(line)
    except PicanteError as error:
        exit_with_hint(error, 2)
