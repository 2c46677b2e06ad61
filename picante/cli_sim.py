"""`picante sim`: simulated dispensers on real ports and a real broker."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import click

from heat.errors import ConfigError, PicanteError
from hw_sim.check import as_table, check_all
from hw_sim.control import SOCKET_NAME, call
from hw_sim.run import run as run_scenario
from hw_sim.scenario import Scenario, load_scenario
from hw_sim.simulation import Simulation, port_path
from picante.errors import exit_with_hint

STATE = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("sim-state"),
    show_default=True,
    help="Where rings, keys, ports and the journal of what truly happened are kept.",
)


@click.group()
def sim() -> None:
    """Dispensers that speak the real protocol, without hardware."""


@sim.command()
@click.option(
    "--scenario",
    "scenario_path",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    help="Which dispensers and customers there are (see scenarios/store.toml).",
)
@STATE
@click.option("--seconds", type=click.FloatRange(min=0), help="End after so many seconds.")
@click.option("--check", is_flag=True, help="At the end, compare what was made with what the gateway lists.")
def run(scenario_path: Path, state: Path, seconds: float | None, check: bool) -> None:
    """Run a scenario until it gets SIGTERM or Ctrl-C, or its time is over.

    \b
    Exit status: 0 well, 1 --check found something lost, doubled or overflowed, 2 can't run.
    Example:  picante sim run --scenario scenarios/store.toml --seconds 60 --check
    """
    try:
        scenario = load_scenario(scenario_path)
        if check and scenario.gateway is None:
            raise ConfigError(f"{scenario_path}: --check needs 'gateway'", hint='Add gateway = "http://HOST:PORT"')
        drained = asyncio.run(run_scenario(scenario, state, seconds=seconds, drain=check, ready=_tell))
        good = not check or _check(scenario, state, drained)
    except PicanteError as error:
        exit_with_hint(error, 2)
    sys.exit(0 if good else 1)


@sim.command()
@click.argument("dispenser")
@STATE
def screen(dispenser: str, state: Path) -> None:
    """Draw the screen of a running DISPENSER.

    \b
    Exit status: 0 drawn, 2 no simulator, or no such dispenser.
    Example:  picante sim screen bar-1
    """
    try:
        answer = call(state / SOCKET_NAME, {"do": "screen", "dispenser": dispenser})
    except PicanteError as error:
        exit_with_hint(error, 2)
    click.echo(answer["text"])


def _tell(simulation: Simulation) -> None:
    """Say where the gateway finds the dispensers."""
    for settings in simulation.scenario.dispensers:
        if settings.link == "serial":
            click.echo(f"{settings.id}: {port_path(simulation.state, settings.id)}")
        elif simulation.scenario.mqtt is not None:
            click.echo(f"{settings.id}: mqtt {simulation.scenario.mqtt.host}:{simulation.scenario.mqtt.port}")


def _check(scenario: Scenario, state: Path, drained: bool) -> bool:
    assert scenario.gateway is not None  # refused before the run
    rows = check_all(state, [settings.id for settings in scenario.dispensers], scenario.gateway)
    click.echo(as_table(rows))
    good = drained and all(row.good for row in rows)
    click.echo("nothing lost, nothing twice" if good else "NOT what was made")
    return good
