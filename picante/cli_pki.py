"""`picante gateway pki`: certificates for a shop's broker, and for those who speak to it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from heat.errors import ConfigError
from picante.errors import told

if TYPE_CHECKING:
    from picante.pki import Authority, Issued, Kind

AUTHORITY_DAYS = 3_650
"""Days; as long as a dispenser may live. A new authority means a new certificate for everybody."""
DAYS = 1_095
"""Days; somebody has to walk to each dispenser with the next one."""

DIRECTORY = click.option(
    "--directory",
    default=Path("pki"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the authority's files are. Whoever can read ca.key in it can let anybody in.",
)
KIND = click.argument("kind", type=click.Choice(["broker", "gateway", "dispenser", "home-assistant"]))
NAMES = click.argument("names", nargs=-1)


@click.group()
def pki() -> None:
    """Certificates for the shop's MQTT broker, its gateway and its dispensers.

    Not for the Pi: run it where the authority's key is safe, and carry what it makes to where it belongs.
    """


@pki.command()
@DIRECTORY
@click.option("--name", default="Picante", show_default=True, help="What the authority calls itself.")
@click.option("--days", default=AUTHORITY_DAYS, show_default=True, type=click.IntRange(1, 36_500))
def init(directory: Path, name: str, days: int) -> None:
    """Make an authority, and its list of revocations. One that is there stays as it is.

    \b
    Example:  picante gateway pki init --directory pki --name "Mercado 12"
    """
    with told():
        _tell(_pki().init(directory, name, days))


@pki.command()
@KIND
@NAMES
@DIRECTORY
@click.option("--days", default=DAYS, show_default=True, type=click.IntRange(1, 36_500))
@click.option("--renew", is_flag=True, help="Make a new one, though there is one that is not revoked.")
def issue(kind: Kind, names: tuple[str, ...], directory: Path, days: int, *, renew: bool) -> None:
    """Sign a certificate, and make its key.

    For dispensers by their NAMES; for the broker with the NAMES and addresses under which it is reached; for the
    gateway and for Home Assistant without any. One that is there stays as it is, unless it was revoked or is to be
    renewed.

    \b
    Examples:  picante gateway pki issue broker mqtt.shop.example 192.168.1.5
               picante gateway pki issue gateway
               picante gateway pki issue dispenser hot-bar-1 hot-bar-2
    """
    with told(), _pki().open(directory) as authority:
        if kind == "broker":
            _check(bool(names), "a broker needs the names under which it is reached")
            _tell(authority.issue(kind, "", names, days, renew=renew))
            return
        for name in _each(kind, names):
            _tell(authority.issue(kind, name, (), days, renew=renew))


@pki.command()
@KIND
@NAMES
@DIRECTORY
def revoke(kind: Kind, names: tuple[str, ...], directory: Path) -> None:
    """Revoke all certificates of somebody: NAMES are those of dispensers.

    It counts once the broker has the new crl.pem and was restarted.

    \b
    Example:  picante gateway pki revoke dispenser hot-bar-1
    """
    with told(), _pki().open(directory) as authority:
        for name in ("",) if kind == "broker" else _each(kind, names):
            count = authority.revoke(kind, name)
            click.echo(f"{name or kind}: {count} revoked" if count else f"{name or kind}: was revoked already")
        click.echo(f"Now copy {directory / 'crl.pem'} to the broker, and restart it")


@pki.command("list")
@DIRECTORY
def list_all(directory: Path) -> None:
    """List what was signed, and until when it is valid.

    \b
    Example:  picante gateway pki list --directory pki
    """
    with told(), _pki().open(directory) as authority:
        for name, until, revoked in authority.everything():
            click.echo(f"{name:<32}  until {until:%Y-%m-%d}{'  revoked' if revoked else ''}")


def _each(kind: Kind, names: tuple[str, ...]) -> tuple[str, ...]:
    if kind == "dispenser":
        _check(bool(names), "which dispenser?")
        return names
    _check(not names, f"there is one {kind}, without a name of its own")
    return ("",)


def _check(good: bool, otherwise: str) -> None:
    if not good:
        raise ConfigError(otherwise, hint="See picante gateway pki issue --help")


def _tell(issued: Issued) -> None:
    did = "made" if issued.made else "is there already"
    click.echo(f"{issued.path} {did}, valid until {issued.until:%Y-%m-%d}")


def _pki() -> type[Authority]:
    from picante.pki import Authority

    return Authority
