"""`picante sim`: simulated dispensers on real ports and a real broker."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from firmware_bridge.capture import read_capture
from heat.errors import ConfigError, PicanteError
from hw_sim.check import as_table, check_all
from hw_sim.control import SOCKET_NAME, VERBS, call, hint_for, status_table, usage
from hw_sim.run import run as run_scenario
from hw_sim.scenario import Scenario, load_scenario
from hw_sim.simulation import Simulation, port_path
from hw_sim.stage import Stage
from hw_sim.stage import replay as play
from hw_sim.verbs import NotDone
from picante.errors import exit_with_hint

STATE = click.option(
    "--state",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("sim-state"),
    show_default=True,
    help="Where rings, keys, ports and the journal of what truly happened are kept.",
)

PAGE_OPENS_S = 30.0
"""s that a gateway may take to open its page after it took the last events."""
STOPPED = 130
"""The exit status after Ctrl-C, as a shell has it."""


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
@click.option("--seed", type=int, help="Another seed than the scenario's: other customers, load and faults.")
@click.option("--check", is_flag=True, help="At the end, compare what was made with what the gateway lists.")
def run(scenario_path: Path, state: Path, seconds: float | None, seed: int | None, check: bool) -> None:
    """Run a scenario until it gets SIGTERM or Ctrl-C, or its time is over.

    \b
    Exit status: 0 well, 1 --check found something lost, doubled or overflowed, 2 can't run.
    Example:  picante sim run --scenario scenarios/store.toml --seconds 60 --check
    """
    try:
        scenario = load_scenario(scenario_path)
        if seed is not None:
            scenario = msgspec.structs.replace(scenario, seed=seed)
        if check and scenario.gateway is None:
            hint = 'Add gateway = "unix:DATA_DIR/gateway.sock"'
            raise ConfigError(f"{scenario_path}: --check needs 'gateway'", hint=hint)
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


@sim.command()
@click.argument("verb", required=False)
@click.argument("words", nargs=-1, metavar="[DISPENSER] [NAME=VALUE]...")
@STATE
@click.option("--json", "as_json", is_flag=True, help="Print the whole answer as JSON.")
def ctl(verb: str | None, words: tuple[str, ...], state: Path, as_json: bool) -> None:
    """Do something to the dispensers of a running simulator: press, pour, pull the cable, cut the power, ...

    Without a VERB it lists them. What a verb needs may stand without its name, in its order. The demo's simulator is in
    the folder sim of its --state.

    \b
    Exit status: 0 done, 1 nothing came of it (no power, an empty bottle, ...), or less than was asked for,
                 2 no simulator, no answer in time, or no such verb or dispenser.
    Example:  picante sim ctl pour hot-bar-1 ml=5 nozzle=2
              picante sim ctl power hot-bar-1 cycle
    """
    if verb is None:
        for name, kind in VERBS.items():
            click.echo(f"{usage(name)}\n    {kind.__doc__}")
        return
    try:
        answer = call(state / SOCKET_NAME, _request(verb, words))
    except NotDone as error:
        exit_with_hint(error, 1)
    except PicanteError as error:
        exit_with_hint(error, 2)
    click.echo(json.dumps(answer, ensure_ascii=False, indent=2) if as_json else _in_words(answer))


@sim.command()
@click.argument("capture", type=click.Path(path_type=Path, dir_okay=False))
@STATE
@click.option(
    "--speed", default=1.0, show_default=True, type=click.FloatRange(min=0), help="2: twice as fast, 0: at once."
)
@click.option("--mqtt", metavar="HOST:PORT", help="The broker, for what was on MQTT.")
@click.option("--store", default="store-1", show_default=True, help="The shop's name in MQTT topics.")
def replay(capture: Path, state: Path, speed: float, mqtt: str | None, store: str) -> None:
    """Play the dispensers of a CAPTURE to a gateway: what they sent, and what was noise on their lines.

    Ports and keys are made in --state, for a gateway with an empty store: one that has those events already takes
    nothing twice. Openings are made anew, with keys of our own. docs/simulator.md tells what is played, and how.

    \b
    Exit status: 0 every event is acknowledged, 1 some are not, or the gateway never answered, 2 no such capture,
                 130 Ctrl-C.
    Example:  picante sim replay bar.jsonl --state replay --speed 4
    """
    try:
        stage = Stage(state, _address(mqtt), store, speed)
        told = asyncio.run(play(read_capture(capture), stage, click.echo))
    except PicanteError as error:
        exit_with_hint(error, 2)
    except KeyboardInterrupt:
        click.echo("stopped")
        sys.exit(STOPPED)
    for name, one in told.items():
        end = f", {one.failed}" if one.failed else f", {one.withheld} withheld" if one.withheld else ""
        events = f"{len(one.events)} events, {one.unacked} not acknowledged"
        answers = f"{len(one.answered)} of {len(one.asked)} questions answered"
        click.echo(f"{name}: {one.sent} pieces played, {events}, {answers}{end}")
    sys.exit(1 if any(one.failed or one.unacked for one in told.values()) else 0)


def _address(text: str | None) -> tuple[str, int] | None:
    if text is None:
        return None
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise ConfigError(f"--mqtt {text}: no address", hint="It reads HOST:PORT, such as 127.0.0.1:1883")
    return host, int(port)


def _request(verb: str, words: tuple[str, ...]) -> dict[str, Any]:
    """The request that these words make. Raises ConfigError, telling how the verb is written."""
    if verb not in VERBS:
        raise ConfigError(f"no verb {verb!r}", hint=hint_for(verb))
    fields = msgspec.structs.fields(VERBS[verb])
    unnamed = [field.name for field in fields if field.required or field.name == "dispenser"]
    request: dict[str, Any] = {"do": verb}
    for word in words:
        name, equals, value = word.partition("=")
        if not equals:
            if not unnamed:
                raise ConfigError(f"{verb}: {word!r} is one word too many", hint=hint_for(verb))
            name, value = unnamed[0], word
        if name in unnamed:
            unnamed.remove(name)
        request[name] = value
    try:
        checked: dict[str, Any] = msgspec.to_builtins(msgspec.convert(request, VERBS[verb], strict=False))
    except msgspec.ValidationError as error:
        raise ConfigError(f"{verb}: {error}", hint=hint_for(verb)) from error
    return checked


def _in_words(answer: dict[str, Any]) -> str:
    if "text" in answer:
        return str(answer["text"])
    if "dispensers" in answer:
        return status_table(answer["dispensers"])
    return "\n".join(f"{name}: {value}" for name, value in answer.items() if value is not None) or "done"


def _tell(simulation: Simulation) -> None:
    """Say where the gateway finds the dispensers."""
    for settings in simulation.scenario.dispensers:
        if settings.link != "mqtt":
            click.echo(f"{settings.id}: {port_path(simulation.state, settings.id)}")
        if settings.link != "serial" and simulation.scenario.mqtt is not None:
            click.echo(f"{settings.id}: mqtt {simulation.scenario.mqtt.host}:{simulation.scenario.mqtt.port}")


def _check(scenario: Scenario, state: Path, drained: bool) -> bool:
    assert scenario.gateway is not None  # refused before the run
    dispensers = [settings.id for settings in scenario.dispensers]
    rows = check_all(state, dispensers, scenario.gateway, patience_s=PAGE_OPENS_S)
    click.echo(as_table(rows))
    good = drained and all(row.good for row in rows)
    dropped = sum(row.header.dropped for row in rows)
    if drained and dropped and all(row.agrees for row in rows):
        click.echo(f"{dropped:,} events lost to full rings, and each of them told; nothing else lost, nothing twice")
    else:
        click.echo("nothing lost, nothing twice" if good else "NOT what was made")
    return good
