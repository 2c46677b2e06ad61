"""`picante qr`: the gateway's page as a QR code, for the label beside it and for a terminal."""

from __future__ import annotations

from pathlib import Path

import click

from gateway.config import load_config
from heat.errors import PicanteError
from picante.daemon import DAEMON
from picante.errors import exit_with_hint


@click.command()
@DAEMON
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), help="Write the code as a drawing, for a label."
)
def qr(config_path: Path, svg: Path | None) -> None:
    """Show the gateway's page as a QR code, with its name and the fingerprint of its root.

    A phone that knows the root opens the page without a warning; another one goes to the address in clear first.

    \b
    Exit status: 0 shown, 2 the configuration can't be used, or names no issuer.
    Examples:  picante qr --config gateway.toml
               picante qr --config gateway.toml --svg label.svg
    """
    import segno

    try:
        from gateway.web.reach import card

        shown = card(load_config(config_path))
    except PicanteError as error:
        exit_with_hint(error, 2)
    code = segno.make(shown.addresses[0], error="m", micro=False)
    if svg is not None:
        code.save(str(svg), kind="svg", scale=8, border=4, title=f"Picante {shown.gateway}")
    else:
        code.terminal(compact=True, border=2)
    click.echo(f"gateway      {shown.gateway} in {shown.store}")
    for address in shown.addresses:
        click.echo(f"page         {address}")
    for address in shown.plain:
        click.echo(f"in clear     {address}")
    click.echo(f"root         SHA-256 {shown.fingerprint}")
