"""`picante dispensers send | commands`: tell a dispenser what to do, and see what became of it."""

from __future__ import annotations

import getpass
import secrets
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from cloud_sync.nearest import nearest
from gateway.config import load_config
from heat.errors import ConfigError, PicanteError
from picante.daemon import DAEMON, Refused, ask, call
from picante.errors import exit_with_hint

VERBS = {
    "identify": "[seconds=10]",
    "tare": "nozzle=N [sure=true]",
    "calibrate": "nozzle=N pulses_per_ml=F",
    "test_pour": "nozzle=N [volume_ml=20]",
    "prime": "nozzle=N [seconds=5]",
    "clean": "nozzle=N [seconds=5]",
    "lock": "[locked=true]",
    "reboot": "",
    "set_planogram": "N=SAUCE ...",
    "show_picks": "sauces=SAUCE,SAUCE [why=TEXT] [seconds=60]",
    "show_address": "[url=URL] [seconds=120]",
}
POLL_S = 0.2
PATIENCE_S = 45.0
"""s beyond its time for which a command that was sent is waited for: a valve is open for 30 at most."""
EXPIRES_S = 60.0


@click.command(
    epilog="\b\nVerbs and their arguments:\n" + "\n".join(f"  {verb} {given}".rstrip() for verb, given in VERBS.items())
)
@click.argument("dispenser")
@click.argument("verb", type=click.Choice(list(VERBS)), metavar="VERB")
@click.argument("arguments", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--expires", default=EXPIRES_S, show_default=True, help="Seconds after which it is not begun any more.")
@click.option("--no-wait", is_flag=True, help="Don't wait for what becomes of it; print its id.")
@DAEMON
def send(
    dispenser: str, verb: str, arguments: tuple[str, ...], expires: float, *, no_wait: bool, config_path: Path
) -> None:
    """Tell DISPENSER (its id, or its name) to do something, once, and print what it measured.

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
    told = give(config_path, find(config_path, dispenser)["name"], body)
    if no_wait:
        click.echo(told["id"])
        return
    ended = wait(config_path, told)
    click.echo(sentence(ended))
    sys.exit(0 if ended["state"] == "done" else 1)


@click.command()
@click.argument("dispenser")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 500), help="How many, the newest first.")
@DAEMON
def commands(dispenser: str, limit: int, config_path: Path) -> None:
    """List the last commands to DISPENSER, and what became of them.

    \b
    Exit status: 0 listed, 1 no daemon or no such dispenser, 2 configuration.
    Example:  picante dispensers commands hot-bar-1
    """
    name = find(config_path, dispenser)["name"]
    found = ask(config_path, "GET", f"{path_of(name)}/commands?limit={limit}")["commands"]
    if not found:
        click.echo(f"{name} was never told anything")
    for command in found:
        given = time.strftime("%m-%d %H:%M:%S", time.localtime(_seconds(command["created"])))
        click.echo(f"{given}  {command['asked_by']:<12} {sentence(command)}")


def give(config_path: Path, dispenser: str, body: dict[str, Any]) -> dict[str, Any]:
    """Give a command to the daemon: under an id of ours, so that it could be given again."""
    own = {"id": secrets.token_hex(16), "asked_by": _who()}
    try:
        told: dict[str, Any] = call(load_config(config_path), "POST", f"{path_of(dispenser)}/commands", own | body)
    except Refused as refused:
        if refused.code == "not-empty" and click.confirm(f"{refused.args[0]}. Take that for empty?"):
            return give(config_path, dispenser, body | {"arguments": body["arguments"] | {"sure": True}})
        exit_with_hint(_in_words(refused, body), 1)
    except PicanteError as error:
        exit_with_hint(error, 2 if isinstance(error, ConfigError) else 1)
    return told


def _in_words(refused: Refused, body: dict[str, Any]) -> PicanteError:
    """A refusal of what was typed, in the words of the command line."""
    if refused.code not in {"invalid-parameters", "no-such-sauce"}:
        return refused
    verb, found = body["verb"], []
    for where, what in refused.faults:
        key = where.rpartition(".")[2]
        value = _at(body, where)
        if what == "Field required":
            found.append(f"{key} is missing")
        elif value is None or "Extra inputs" in what:
            found.append(f"it takes no {key}" if "Extra inputs" in what else f"{key}: {what}")
        else:
            name = value if refused.code == "no-such-sauce" else f"{key}={value}"
            found.append(f"{name} {what.removeprefix('Input ')}")
    takes = f"{verb} takes {VERBS[verb] or 'no arguments'}"
    return PicanteError(f"{verb}: {'; '.join(found)}", hint=refused.hint if refused.code == "no-such-sauce" else takes)


def _at(body: dict[str, Any], where: str) -> Any:
    """What was typed there; None where nothing was."""
    found: Any = body
    for key in where.removeprefix("body.").removeprefix(f"{body['verb']}.").split("."):
        if isinstance(found, dict):
            found = found.get(key)
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
    return found if isinstance(found, str | int | float) else None


def find(config_path: Path, dispenser: str) -> dict[str, Any]:
    """The dispenser of this id, or that people call so; or the end of this command, status 1."""
    there: list[dict[str, Any]] = ask(config_path, "GET", "/api/v1/dispensers")["dispensers"]
    found = [each for each in there if each["name"] == dispenser]
    found = found or [each for each in there if each["label"] and each["label"].casefold() == dispenser.casefold()]
    if not found:
        hint = nearest(dispenser, [name for each in there for name in (each["name"], each["label"]) if name])
        exit_with_hint(PicanteError(f"there is no dispenser {dispenser!r}", hint=hint), 1)
    if len(found) > 1:
        ids = ", ".join(each["name"] for each in found)
        exit_with_hint(PicanteError(f"{len(found)} dispensers are called {dispenser!r}", hint=f"Give an id: {ids}"), 1)
    return found[0]


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
        told = ask(config_path, "GET", f"{path_of(told['dispenser'])}/commands/{told['id']}")
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


def path_of(dispenser: str) -> str:
    """The API's path of a dispenser."""
    return f"/api/v1/dispensers/{quote(dispenser, safe='')}"


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
