"""`picante qr`: the gateway's page as a QR code, for the label beside it and for a terminal."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.config import load_draft
from heat.errors import PicanteError
from picante.cli_people import opened
from picante.daemon import DAEMON
from picante.errors import exit_with_hint


@click.command()
@DAEMON
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the code as a drawing, for a label."
)
def qr(config_path: Path, svg: Path | None) -> None:
    """Show the gateway's page as a QR code, with its name, its setup code and the fingerprint of its root.

    A phone that knows the root opens the page without a warning; another one goes to the address in clear first. The
    setup code is there until the gateway is set up; the QR code has it, too, so that nobody has to type it.

    \b
    Exit status: 0 shown, 2 the configuration can't be used, or names no issuer.
    Examples:  picante qr --config gateway.toml
               picante qr --config gateway.toml --svg label.svg
    """
    import segno

    try:
        from gateway.web.reach import card

        shown = card(load_draft(config_path)[0])
    except PicanteError as error:
        exit_with_hint(error, 2)
    with opened(config_path) as access:
        setup_code = access.begin()
    address = shown.addresses[0]
    drawn = segno.make(f"{address}setup#{setup_code}" if setup_code else address, error="m", micro=False)
    if svg is not None:
        drawn.save(str(svg), kind="svg", scale=8, border=4, title=f"Picante {shown.gateway}")
    else:
        drawn.terminal(compact=True, border=2)
    click.echo(f"gateway      {shown.gateway} in {shown.store}")
    for address in shown.addresses:
        click.echo(f"page         {address}")
    for address in shown.plain:
        click.echo(f"in clear     {address}")
    if setup_code is not None:
        click.echo(f"setup code   {setup_code}")
    click.echo(f"root         SHA-256 {shown.fingerprint}")
