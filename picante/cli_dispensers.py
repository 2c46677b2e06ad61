"""`picante dispensers`: who is there, who waits to be let in, and what a technician does to them.

Telling them what to do is in `cli_commands` and `cli_calibrate`.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import click

from cloud_sync.private import check_private, read_text
from heat.errors import ConfigError, PicanteError
from picante.cli_calibrate import calibrate
from picante.cli_commands import commands, send
from picante.daemon import DAEMON, ask, dispenser_id
from picante.errors import exit_with_hint

JSON = click.option("--json", "as_json", is_flag=True, help="Print the API's answer.")
WHERE_CHARS = 22
NAME_CHARS = 18
ID_CHARS = 16


@click.group()
def dispensers() -> None:
    """The dispensers of the running gateway: let them in, name them, say what is on their nozzles.

    Each asks the daemon on this machine. Exit status: 0 done, 1 refused or no daemon, 2 configuration or usage.
    """


for told in (send, commands, calibrate):
    dispensers.add_command(told)


@dispensers.command("list")
@DAEMON
@JSON
def list_(config_path: Path, as_json: bool) -> None:
    """Show the dispensers: name, id, state, port, firmware, and what is on their nozzles.

    \b
    Example:  picante dispensers list
    """
    answer = ask(config_path, "GET", "/api/v1/dispensers")
    if as_json:
        click.echo(json.dumps(answer, indent=2))
        return
    if not answer["dispensers"]:
        click.echo("No dispenser has spoken to this gateway yet. Plug one in, and it appears here.")
        return
    width = max(min(shutil.get_terminal_size().columns, 100), 60)
    click.echo(_row("NAME", "ID", "STATE", "WHERE", "FIRMWARE", width))
    for dispenser in answer["dispensers"]:
        click.echo(_drawn(dispenser, width, datetime.now(UTC)))


@dispensers.command()
@DAEMON
@click.argument("dispenser", metavar="ID", callback=dispenser_id)
@click.option("--name", help="What people call it, like: Bar, left.")
@click.option(
    "--key-file",
    type=click.Path(path_type=Path, allow_dash=True),
    help="File with the key that it has already, 64 hex digits; - reads standard input. Never given as an argument:"
    " arguments are seen by all.",
)
def adopt(config_path: Path, dispenser: str, name: str | None, key_file: Path | None) -> None:
    """Let a dispenser in that waits. One without a key is given one.

    \b
    Examples:  picante dispensers adopt bar-7 --name "Bar, left"
               picante dispensers adopt bar-8 --key-file bar-8.key
    """
    body: dict[str, Any] = {} if name is None else {"name": name}
    if key_file is not None:
        body["key"] = _read_key(key_file)
    view = ask(config_path, "POST", _path(dispenser, "adopt"), body)
    if view["online"]:
        click.echo(f"{_called(view)} is adopted, and online")
    elif waiting := view["waiting"]:  # it is here, and what is missing may be up to somebody
        click.echo(f"{_called(view)}: {waiting['why']}. {waiting['do']}")
    else:
        click.echo(f"{_called(view)} is adopted: it is let in at its next HELLO, within 10 s if it is connected")


@dispensers.command()
@DAEMON
@click.argument("dispenser", metavar="ID", callback=dispenser_id)
@click.argument("name", nargs=-1, required=True)
def rename(config_path: Path, dispenser: str, name: tuple[str, ...]) -> None:
    """Give a dispenser a name for people. Its id, the source of its events, stays.

    \b
    Example:  picante dispensers rename bar-7 Bar, left
    """
    view = ask(config_path, "PUT", _path(dispenser, "name"), {"name": " ".join(name)})
    click.echo(f"{view['name']} is called {view['label']}")


@dispensers.command()
@DAEMON
@click.argument("dispenser", metavar="ID", callback=dispenser_id)
@click.argument("placed", metavar="[NOZZLE=SAUCE]...", nargs=-1)
def planogram(config_path: Path, dispenser: str, placed: tuple[str, ...]) -> None:
    """Say which sauces are to be on a dispenser's nozzles; without any, show what is and what should be.

    Nozzles that are not named stay as they are.

    \b
    Example:  picante dispensers planogram bar-7 1=table-red 2=chipotle-honey
    """
    if placed:
        body = {"planogram": dict(_placed(text) for text in placed)}
        view = ask(config_path, "PUT", _path(dispenser, "planogram"), body)
    else:
        view = ask(config_path, "GET", _path(dispenser))
    for nozzle in view["nozzles"]:
        planned = f"   planned: {nozzle['planned']}" if nozzle["planned"] else ""
        click.echo(f"{nozzle['nozzle']:>3}  {nozzle['sauce']:<24} {nozzle['level_ml']:>5,} ml{planned}")
    if any(nozzle["planned"] for nozzle in view["nozzles"]):
        click.echo("The dispenser is told at once, or when it is back; not while a customer stands there.")


@dispensers.command("rotate-key")
@DAEMON
@click.argument("dispenser", metavar="ID", callback=dispenser_id)
def rotate_key(config_path: Path, dispenser: str) -> None:
    """Have a dispenser take a new key. Both keys count until it has proved the new one.

    \b
    Example:  picante dispensers rotate-key bar-7
    """
    view = ask(config_path, "POST", _path(dispenser, "rotate-key"))
    when = "now" if view["online"] else "when it is back"
    click.echo(f"{_called(view)} takes a new key {when}; until then the old one counts")


@dispensers.command()
@DAEMON
@click.argument("dispenser", metavar="ID", callback=dispenser_id)
@click.option("--yes", is_flag=True, help="Don't ask.")
def forget(config_path: Path, dispenser: str, yes: bool) -> None:
    """Take a dispenser's key, name and planogram away, and close its link. Its events stay.

    A dispenser keeps the key that it was given: it has to be reset before it can be adopted anew.

    \b
    Example:  picante dispensers forget bar-7 --yes
    """
    if not yes:
        click.confirm(f"Forget {dispenser}? It is turned away from then on", abort=True)
    answer = ask(config_path, "DELETE", _path(dispenser))
    click.echo(f"{answer['name']} is forgotten")
    if answer["given"]:
        click.echo("Its key stands in a file, and counts no more; another one in its place does.")
    if answer["provisioned"]:
        click.echo("Its provisioning file adopts it again, with a new key: it is told that once it was reset.")


# -- reading and drawing --------------------------------------------------------------------------------------------


def _path(dispenser: str, what: str = "") -> str:
    return f"/api/v1/dispensers/{quote(dispenser, safe='')}" + (f"/{what}" if what else "")


def _read_key(path: Path) -> str:
    """The key in a file that nobody else may read, or of standard input."""
    try:
        if str(path) == "-":
            text = sys.stdin.read()
        else:
            check_private(path, "--key-file")
            text = read_text(path, "--key-file")
    except ConfigError as error:
        exit_with_hint(error, 2)
    key = text.strip()
    if not re.fullmatch(r"[0-9a-fA-F]{64}", key):
        exit_with_hint(PicanteError("the key file has no key", hint="It holds 64 hex digits, and nothing else"), 2)
    return key


def _placed(text: str) -> tuple[str, str]:
    nozzle, equals, sauce = text.partition("=")
    if not equals or not nozzle.isdecimal() or not sauce:
        raise click.BadParameter(f"{text!r} does not read NOZZLE=SAUCE, like 1=table-red", param_hint="NOZZLE=SAUCE")
    return nozzle, sauce


def _called(view: dict[str, Any]) -> str:
    return view["name"] if view["label"] is None else f"{view['label']} ({view['name']})"


def _drawn(view: dict[str, Any], width: int, now: datetime) -> str:
    state, colour = _state(view, now)
    where = (view["link"] or "").rpartition("/")[2]
    title = _row(view["label"] or view["name"], view["name"], state, where, view["firmware"], width)
    waits = [] if view["waiting"] is None else [f"{view['waiting']['why']}: {view['waiting']['do']}"]
    has = [" · ".join(_nozzle(nozzle) for nozzle in view["nozzles"])] if view["online"] or not waits else []
    lines = [
        line
        for below in (*has, *waits)
        for line in textwrap.wrap(below, width - 2, initial_indent="  ", subsequent_indent="  ", break_on_hyphens=False)
    ]
    return "\n".join([click.style(title, fg=colour), *lines])


def _state(view: dict[str, Any], now: datetime) -> tuple[str, str]:
    if view["online"]:
        return ("new key", "yellow") if view["rotating"] else ("online", "green")
    if view["waiting"] is not None:
        return "waits", "yellow"
    if not view["adopted"]:
        return "no key", "yellow"
    return f"away {_ago(datetime.fromisoformat(view['since']), now)}", "red"


def _ago(then: datetime, now: datetime) -> str:
    seconds = max(int((now - then).total_seconds()), 0)
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


def _nozzle(nozzle: dict[str, Any]) -> str:
    planned = f" (planned: {nozzle['planned']})" if nozzle["planned"] else ""
    return f"{nozzle['nozzle']} {nozzle['sauce']} {nozzle['level_ml']:,} ml{planned}".replace(" ", "\u00a0")


def _row(name: str, dispenser: str, state: str, where: str, firmware: str, width: int) -> str:
    where_chars = WHERE_CHARS + max(width - 80, 0)
    cells = ((name, NAME_CHARS), (dispenser, ID_CHARS), (state, 11), (where, where_chars))
    return (" ".join(f"{_cut(text, chars):<{chars}}" for text, chars in cells) + f" {_cut(firmware, 9)}").rstrip()


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1].rstrip() + "…"
