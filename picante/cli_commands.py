"""`picante dispensers send | commands | calibrate`: tell a dispenser what to do, and see what became of it."""

from __future__ import annotations

import getpass
import secrets
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from gateway.calibration import POURS
from heat.errors import PicanteError
from picante.daemon import DAEMON, ask, dispenser_id
from picante.errors import exit_with_hint

VERBS = {
    "identify": "[seconds=10]",
    "tare": "nozzle=N",
    "calibrate": "nozzle=N pulses_per_ml=F",
    "test_pour": "nozzle=N [volume_ml=20]",
    "prime": "nozzle=N [seconds=5]",
    "clean": "nozzle=N [seconds=5]",
    "lock": "[locked=true]",
    "reboot": "",
    "set_planogram": "N=SAUCE ...",
    "show_picks": "sauces=SAUCE,SAUCE [why=TEXT] [seconds=60]",
}
POLL_S = 0.2
PATIENCE_S = 45.0
"""s beyond its time for which a command that was sent is waited for: a valve is open for 30 at most."""
DOSE_ML = 20.0
EXPIRES_S = 60.0


@click.command(
    epilog="\b\nVerbs and their arguments:\n" + "\n".join(f"  {verb} {given}".rstrip() for verb, given in VERBS.items())
)
@click.argument("dispenser", callback=dispenser_id)
@click.argument("verb", type=click.Choice(list(VERBS)), metavar="VERB")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--expires", default=EXPIRES_S, show_default=True, help="Seconds after which it is not begun any more.")
@click.option("--no-wait", is_flag=True, help="Don't wait for what becomes of it; print its id.")
@DAEMON
def send(
    dispenser: str, verb: str, arguments: tuple[str, ...], expires: float, *, no_wait: bool, config_path: Path
) -> None:
    """Tell DISPENSER to do something, once, and print what it measured.

    A dispenser that is away gets it when it is back, unless its time is over by then. Whoever stops waiting finds it
    with `picante dispensers commands`.

    \b
    Exit status: 0 done (or taken, with --no-wait), 1 it was not done or the gateway refused it, 2 configuration.
    Example:  picante dispensers send hot-bar-1 test_pour nozzle=2 volume_ml=20
    """
    try:
        body = {"verb": verb, "arguments": _parse(verb, arguments), "expires_in_s": expires}
    except PicanteError as error:
        exit_with_hint(error, 2)
    told = give(config_path, dispenser, body)
    if no_wait:
        click.echo(told["id"])
        return
    ended = wait(config_path, told)
    click.echo(sentence(ended))
    sys.exit(0 if ended["state"] == "done" else 1)


@click.command()
@click.argument("dispenser", callback=dispenser_id)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="How many, the newest first.")
@DAEMON
def commands(dispenser: str, limit: int, config_path: Path) -> None:
    """List the last commands to DISPENSER, and what became of them.

    \b
    Exit status: 0 listed, 1 no daemon or no such dispenser, 2 configuration.
    Example:  picante dispensers commands hot-bar-1
    """
    found = ask(config_path, "GET", f"{_of(dispenser)}/commands?limit={limit}")["commands"]
    if not found:
        click.echo(f"{dispenser} was never told anything")
    for command in found:
        given = time.strftime("%m-%d %H:%M:%S", time.localtime(_seconds(command["created"])))
        click.echo(f"{given}  {command['asked_by']:<12} {sentence(command)}")


@click.command()
@click.argument("dispenser", callback=dispenser_id)
@click.argument("nozzle", type=int)
@click.option("--ml", default=DOSE_ML, show_default=True, help="Size of a test pour, ml.")
@click.option("--undo", is_flag=True, help="Go back to the factor before the last calibration.")
@DAEMON
def calibrate(dispenser: str, nozzle: int, ml: float, *, undo: bool, config_path: Path) -> None:
    """Calibrate the flow meter of NOZZLE by three test pours into a measuring cylinder.

    After each pour, enter what the cylinder says. If the three differ by more than 5 %, nothing is changed.

    \b
    Exit status: 0 calibrated, 1 it was not, 2 configuration.
    Example:  picante dispensers calibrate hot-bar-1 2
    """
    if undo:
        answer = ask(config_path, "POST", f"{_of(dispenser)}/calibrations/undo", {"nozzle": nozzle})
    else:
        pours = [_test_pour(config_path, dispenser, nozzle, ml, number) for number in range(1, POURS + 1)]
        answer = ask(config_path, "POST", f"{_of(dispenser)}/calibrations", {"nozzle": nozzle, "pours": pours})
        click.echo(f"{answer['pulses_per_ml']:.2f} pulses per ml; the pours differ by {answer['spread']:.1%}")
    ended = wait(config_path, answer["command"])
    click.echo(sentence(ended))
    sys.exit(0 if ended["state"] == "done" else 1)


def _test_pour(config_path: Path, dispenser: str, nozzle: int, ml: float, number: int) -> dict[str, Any]:
    """One test pour, and what the technician reads."""
    click.prompt(
        f"{number} of {POURS}: put an empty cylinder under nozzle {nozzle}, then press Enter",
        "",
        prompt_suffix="",
        show_default=False,
    )
    body = {"verb": "test_pour", "arguments": {"nozzle": nozzle, "volume_ml": ml}}
    ended = wait(config_path, give(config_path, dispenser, body))
    if ended["state"] != "done":
        click.echo(sentence(ended))
        sys.exit(1)
    volume_ml = click.prompt("  ml in the cylinder", type=click.FloatRange(min=0, min_open=True, max=1_000))
    return {"command": ended["id"], "volume_ml": volume_ml}


def give(config_path: Path, dispenser: str, body: dict[str, Any]) -> dict[str, Any]:
    """Give a command to the daemon: under an id of ours, so that it could be given again."""
    own = {"id": secrets.token_hex(16), "asked_by": _who()}
    told: dict[str, Any] = ask(config_path, "POST", f"{_of(dispenser)}/commands", own | body)
    return told


def _who() -> str:
    try:
        return getpass.getuser()[:32]
    except (KeyError, OSError):  # a user without a name, as in a container
        return "cli"


def wait(config_path: Path, told: dict[str, Any]) -> dict[str, Any]:
    """What has become of a command once it has ended, or by when it should have."""
    give_up_s = time.monotonic() + told["expires_in_s"] + PATIENCE_S
    said = ""
    while told["ended"] is None and time.monotonic() < give_up_s:
        if told["detail"] and told["detail"] != said:
            said = told["detail"]
            click.echo(f"... {said}", err=True)
        time.sleep(POLL_S)
        told = ask(config_path, "GET", f"{_of(told['dispenser'])}/commands/{told['id']}")
    return told


def sentence(command: dict[str, Any]) -> str:
    """A command in a line: what was told, what became of it, what was measured."""
    given = " ".join(f"{key}={value}" for key, value in command["arguments"].items() if not isinstance(value, list))
    what = f"{command['verb']} {given}".rstrip()
    text = f"{what}: {command['state']}"
    if command["measured"]:
        text += f", {_measured(command['verb'], command['measured'])}"
    return f"{text} ({command['detail']})" if command["detail"] else text


def _measured(verb: str, measured: dict[str, int]) -> str:
    if "pulses" in measured:
        ml, seconds = measured["volume_ul"] / 1000, measured["duration_ms"] / 1000
        return f"{measured['pulses']} pulses, {ml:.1f} ml in {seconds:.1f} s"
    if verb == "calibrate":
        return f"{measured['before'] / 1000:.2f} -> {measured['now'] / 1000:.2f} pulses per ml"
    return f"{measured['before']} -> {measured['now']} ml"


def _parse(verb: str, given: tuple[str, ...]) -> dict[str, Any]:
    """KEY=VALUE as the API's arguments.

    Raises:
        PicanteError: one is none.
    """
    parsed: dict[str, Any] = {}
    for each in given:
        key, equals, value = each.partition("=")
        if not (key and equals and value):
            raise PicanteError(f"{each!r} is not KEY=VALUE", hint=f"{verb} takes {VERBS[verb] or 'no arguments'}")
        parsed[key] = value.split(",") if key == "sauces" else value
    return {"placed": parsed} if verb == "set_planogram" else parsed


def _of(dispenser: str) -> str:
    return f"/api/v1/dispensers/{dispenser}"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
