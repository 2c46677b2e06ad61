"""`picante demo`."""

from __future__ import annotations

import importlib.util
import json
import shutil
import signal
import sys
import tempfile
from pathlib import Path
from types import FrameType

import click

from heat.errors import ConfigError, PicanteError
from picante.errors import exit_with_hint


@click.command()
@click.option("--seconds", type=click.FloatRange(min=15), help="End by itself after so many seconds (at least 15).")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end and nothing else.")
@click.option("--kafka", metavar="HOST:PORT", help="Use this Kafka instead of the embedded one.")
@click.option("--port", type=click.IntRange(1, 65535), help="Port of the page; 8080 or the next free one if left out.")
@click.option(
    "--state",
    type=click.Path(path_type=Path),
    help="Keep all state in this folder of the demo's own; in one that is thrown away if left out.",
)
def demo(seconds: float | None, as_json: bool, kafka: str | None, port: int | None, state: Path | None) -> None:
    """A store on your machine: six dispensers, shoppers, the gateway, a page, a Kafka, and the cloud half.

    It plays a minute of what happens in a store (a pour, a pick, a cut line, a kill -9, a pulled cable) and goes on
    until Ctrl-C, which reconciles every event.

    \b
    Exit status: 0 nothing lost, nothing twice, and the same in the cloud; 1 otherwise; 2 it could not start.
    Example:  picante demo --seconds 30 --json
    """
    if any(importlib.util.find_spec(name) is None for name in ("confluent_kafka", "rich", "deltalake")):
        exit_with_hint(ConfigError("the demo's packages are missing", hint="pip install 'picante[sim,cloud]'"), 2)
    from picante.demo.play import Demo  # its packages are the extras [sim] and [cloud]

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupt)
    directory = state or Path(tempfile.mkdtemp(prefix="picante-demo-"))
    try:
        result = Demo(directory.resolve(), kafka, port, quiet=as_json).run(seconds)
    except PicanteError as error:
        exit_with_hint(error, 2)
    except KeyboardInterrupt:
        click.echo("ended before its time", err=True)
        sys.exit(130)
    if state is None:
        shutil.rmtree(directory, ignore_errors=True)
    if as_json:
        click.echo(json.dumps(result))
    sys.exit(1 if result["faults"] else 0)
