"""`picante cloud`: the cloud half in one process, and what looks after it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from cloud.config import load_cloud_config
from cloud_sync.log import set_up_logging
from heat.errors import ConfigError, PicanteError
from picante.cli_acls import acls
from picante.cli_dlq import dlq
from picante.cli_fleet import fleet
from picante.cli_hot_store import hot_store
from picante.cli_reconcile import reconcile
from picante.cli_release import release
from picante.cli_tail import tail
from picante.cli_topics import topics
from picante.cloud_options import CLOUD_CONFIG
from picante.errors import exit_with_hint


@click.group()
def cloud() -> None:
    """What receives the events: profiles, features, lake, hot store, dead letters."""


@cloud.command()
@CLOUD_CONFIG
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
def run(config_path: Path, log_level: str) -> None:
    """Run the parts that cloud.toml names, until SIGTERM or Ctrl-C.

    \b
    Exit status: 0 told to stop, 1 a part can't go on, 2 configuration.
    Example:  picante cloud run --config cloud.toml
    """
    from cloud.app import run as run_cloud  # its imports (Kafka, Arrow) take a second

    set_up_logging(log_level)
    try:
        asyncio.run(run_cloud(load_cloud_config(config_path)))
    except ConfigError as error:
        exit_with_hint(error, 2)
    except PicanteError as error:
        exit_with_hint(error, 1)
    sys.exit(0)


for command in (
    acls,
    dlq,
    fleet,
    hot_store,
    reconcile,
    release,
    tail,
    topics,
):
    cloud.add_command(command)
