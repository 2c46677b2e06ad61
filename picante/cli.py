"""The `picante` command."""

from __future__ import annotations

from importlib.metadata import version

import click

from picante.cli_cloud import cloud
from picante.cli_dispensers import dispensers
from picante.cli_gateway import gateway
from picante.cli_lake import lake
from picante.cli_models import models
from picante.cli_sim import sim
from picante.demo.cli import demo


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(version("picante"), prog_name="picante")
def main() -> None:
    """Picante: smart hot-sauce dispensers, picks in milliseconds, every event in Kafka exactly once.

    \b
    Try:  picante demo
    """


for command in (demo, gateway, dispensers, sim, models, cloud, lake):
    main.add_command(command)
