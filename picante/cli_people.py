"""`picante people`, `picante tokens`: who may come in, told on the gateway itself. They need no daemon."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import click

from gateway.access.access import Access, open_access
from gateway.access.roles import Role
from gateway.config import load_draft
from heat.errors import ConfigError, PicanteError
from picante.daemon import DAEMON, Refused, call
from picante.errors import exit_with_hint

T = TypeVar("T")

ABSENT = object()

ROLES = click.Choice([role.name.lower() for role in Role])
PASSWORD = click.option(
    "--password", prompt=True, confirmation_prompt=True, hide_input=True, help="Asked for, if left out."
)


@contextmanager
def opened(config_path: Path) -> Iterator[Access]:
    """access.db of this gateway; the daemon may run beside. Errors end the command: 2 configuration, 1 all else."""
    try:
        config, _ = load_draft(config_path)
        with closing(open_access(config.path(config.gateway.data_dir))) as access:
            yield access
    except ConfigError as error:
        exit_with_hint(error, 2)
    except PicanteError as error:
        exit_with_hint(error, 1)


def _daemon(config_path: Path, method: str, path: str, body: object = None) -> Any:
    """What the running daemon says to it, or `ABSENT`. It alone writes access.db while it runs. Errors as `opened`."""
    try:
        return call(load_draft(config_path)[0], method, path, body)
    except ConfigError as error:
        exit_with_hint(error, 2)
    except Refused as refused:
        if refused.code == "no-such-path":  # it waits for its setup, or is in safe mode
            return ABSENT
        exit_with_hint(refused, 1)
    except PicanteError as error:
        if isinstance(error.__cause__, PermissionError):
            exit_with_hint(error, 1)
        return ABSENT


def _done(work: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(work)


@click.group()
def people() -> None:
    """Who may sign in at the gateway's page."""


@people.command("list")
@DAEMON
def list_people(config_path: Path) -> None:
    """List everybody, with what they may do.

    \b
    Exit status: 0 listed, 1 access.db can't be read, 2 configuration.
    Example:  picante people list --config gateway.toml
    """
    with opened(config_path) as access:
        for person in access.people.all():
            click.echo(f"{person.name:<24} {person.role.name.lower():<12} since {person.created:%Y-%m-%d}")


@people.command("add")
@click.argument("name")
@click.option("--role", type=ROLES, default="technician", show_default=True)
@PASSWORD
@DAEMON
def add_person(name: str, role: str, password: str, config_path: Path) -> None:
    """Let NAME in. With --role owner this is the way back where access.db was lost.

    \b
    Exit status: 0 done, 1 refused, 2 configuration.
    Example:  picante people add Olga --role owner
    """
    body = {"name": name, "password": password, "role": role}
    if _daemon(config_path, "POST", "/api/v1/people", body) is ABSENT:
        with opened(config_path) as access:
            access.add_person_now(name, password, Role[role.upper()])
            _done(access.audit.note(("console", "console"), ("add", "picante people"), {"name": name}, role))
    click.echo(f"{name} may come in as {role}")


@people.command("password")
@click.argument("name")
@PASSWORD
@DAEMON
def set_password(name: str, password: str, config_path: Path) -> None:
    """Give NAME another password; where they are signed in, they are signed out.

    \b
    Exit status: 0 done, 1 refused, 2 configuration.
    Example:  picante people password Olga
    """
    body = {"password": password}
    if _daemon(config_path, "PUT", f"/api/v1/people/{quote(name, safe='')}/password", body) is ABSENT:
        with opened(config_path) as access:
            access.set_password_now(name, password)
            _done(access.audit.note(("console", "console"), ("password", "picante people"), {"name": name}))
    click.echo(f"{name} has a new password")


@people.command("remove")
@click.argument("name")
@DAEMON
def remove_person(name: str, config_path: Path) -> None:
    """Let NAME in no more. The last owner can't go.

    \b
    Exit status: 0 done, 1 refused, 2 configuration.
    Example:  picante people remove Tomás
    """
    if _daemon(config_path, "DELETE", f"/api/v1/people/{quote(name, safe='')}") is ABSENT:
        with opened(config_path) as access:
            _done(access.people.remove(name))
            _done(access.audit.note(("console", "console"), ("remove", "picante people"), {"name": name}))
    click.echo(f"{name} may not come in any more")


@click.group()
def tokens() -> None:
    """With which programs come in: Prometheus, a script, a dispenser's screen."""


@tokens.command("list")
@DAEMON
def list_tokens(config_path: Path) -> None:
    """List the tokens that are good now, without their secrets.

    \b
    Exit status: 0 listed, 1 access.db can't be read, 2 configuration.
    Example:  picante tokens list
    """
    with opened(config_path) as access:
        for token in access.tokens.all():
            until = f"until {token.expires:%Y-%m-%d}" if token.expires else "without an end"
            click.echo(f"{token.id}  {token.name:<24} {token.scope:<20} {until}, made by {token.maker}")


@tokens.command("add")
@click.argument("name")
@click.option("--scope", required=True, help="read, service, owner, metrics, or kiosk:DISPENSER.")
@click.option("--days", type=click.IntRange(1, 3_650), help="Good for so long; without it, until it is revoked.")
@DAEMON
def add_token(name: str, scope: str, days: int | None, config_path: Path) -> None:
    """Make a token called NAME. It is printed once, and kept nowhere but as a hash.

    \b
    Exit status: 0 made, 1 refused, 2 configuration.
    Example:  picante tokens add prometheus --scope metrics
    """
    made = _daemon(config_path, "POST", "/api/v1/tokens", {"name": name, "scope": scope, "days": days})
    if made is not ABSENT:
        click.echo(made["token"])
        return
    with opened(config_path) as access:
        shown = access.tokens.add_now(name, scope, "console", days)
        _done(access.audit.note(("console", "console"), ("add", "picante tokens"), {"name": name}, scope))
    click.echo(shown)


@tokens.command("revoke")
@click.argument("token_id")
@DAEMON
def revoke_token(token_id: str, config_path: Path) -> None:
    """End the token with this TOKEN_ID, as `picante tokens list` tells it.

    \b
    Exit status: 0 revoked, 1 no such token, 2 configuration.
    Example:  picante tokens revoke 3f2a9c0d1b7e
    """
    if _daemon(config_path, "DELETE", f"/api/v1/tokens/{quote(token_id, safe='')}") is ABSENT:
        with opened(config_path) as access:
            if not _done(access.tokens.revoke(token_id)):
                raise SystemExit(_no_token(token_id))
            _done(access.audit.note(("console", "console"), ("revoke", "picante tokens"), {"token": token_id}))
    click.echo("revoked")


def _no_token(token_id: str) -> int:
    click.echo(f"error: there is no token {token_id}. `picante tokens list` has them", err=True)
    return 1


@click.command("setup-code")
@click.option("--again", is_flag=True, help="Open the setup (again), with a new code.")
@DAEMON
def setup_code(again: bool, config_path: Path) -> None:
    """Tell the one-time code that opens the setup of a gateway; for its label, too.

    A gateway that was set up has none, unless --again makes one: whoever has it may become an owner.

    \b
    Exit status: 0 told, 1 the setup is closed, 2 configuration.
    Example:  picante gateway setup-code
    """
    with opened(config_path) as access:
        code = access.new_code() if again else access.begin()
        if again:
            _done(access.audit.note(("console", "console"), ("setup-code --again", "picante gateway"), {}))
    if code is None:
        click.echo("error: this gateway is set up. --again opens the setup with a new code", err=True)
        raise SystemExit(1)
    click.echo(code)
