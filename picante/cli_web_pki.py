"""`picante gateway web-pki`: the root that technicians' phones trust, and an issuer for each gateway's page."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from picante.errors import told

if TYPE_CHECKING:
    from picante.web_pki import Made

ROOT_DAYS = 7_300
"""Days; a new root means a visit of each phone."""
ISSUER_DAYS = 3_650
"""Days; a new issuer means a visit of its gateway."""

DIRECTORY = click.option(
    "--directory",
    default=Path("web-pki"),
    show_default=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Where the root's files are. Whoever can read web-root.key can be any gateway.",
)


@click.group("web-pki")
def web_pki() -> None:
    """Certificates for the gateways' pages: one root on every technician's phone, an issuer on each gateway.

    Not for the Pi: run it where the root's key is safe, and carry to each gateway what is made for it. What they sign
    is good for names in .local and .internal and for addresses of local networks, and for nothing else.
    """


@web_pki.command()
@DIRECTORY
@click.option("--name", default="Picante", show_default=True, help="What the root calls itself on a phone.")
@click.option("--days", default=ROOT_DAYS, show_default=True, type=click.IntRange(1, 36_500))
def init(directory: Path, name: str, days: int) -> None:
    """Make the root. One that is there stays as it is.

    \b
    Example:  picante gateway web-pki init --directory web-pki --name "Salsa Brava"
    """
    with told():
        from gateway.certificates import load_certificate
        from gateway.web.leaf import fingerprint
        from picante.web_pki import make_root

        made = make_root(directory, name, days)
        _tell(made)
        click.echo(f"SHA-256 {fingerprint(load_certificate(made.path))}")


@web_pki.command()
@click.argument("gateways", nargs=-1, required=True)
@DIRECTORY
@click.option("--days", default=ISSUER_DAYS, show_default=True, type=click.IntRange(1, 36_500))
@click.option("--renew", is_flag=True, help="Make a new one, though there is one.")
def issue(gateways: tuple[str, ...], directory: Path, days: int, *, renew: bool) -> None:
    """Make an issuer for each of GATEWAYS: what its [http] issuer and issuer_key name.

    The gateway signs its page's certificate itself, anew whenever its address changes.

    \b
    Example:  picante gateway web-pki issue gw-1 gw-2
    """
    with told():
        from picante.web_pki import make_issuer

        for gateway in gateways:
            _tell(make_issuer(directory, gateway, days, renew=renew))


def _tell(made: Made) -> None:
    click.echo(f"{made.path} {'made' if made.fresh else 'is there already'}, valid until {made.until:%Y-%m-%d}")
