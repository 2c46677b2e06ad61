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
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write code and words as a drawing, too, to be printed.",
)
def qr(config_path: Path, svg: Path | None) -> None:
    """Show the gateway's page as a QR code, with its name, its setup code and the fingerprint of its root.

    The QR code holds all four, and the words beside it say them. A phone that knows the root opens the page without a
    warning; another one goes to the address in clear first. The setup code is there until the gateway is set up: the
    page puts it into the form. It shows name and fingerprint, to be compared with what the browser says.

    \b
    Exit status: 0 shown, 2 the configuration can't be used, or names no issuer.
    Examples:  picante qr --config gateway.toml
               picante qr --config gateway.toml --svg label.svg
    """
    try:
        from gateway.web.reach import card

        shown = card(load_draft(config_path)[0])
    except PicanteError as error:
        exit_with_hint(error, 2)
    from picante.label import as_svg, for_terminal

    with opened(config_path) as access:
        setup_code = access.begin()
    if svg is not None:
        svg.write_text(as_svg(shown, setup_code), "utf-8")
    click.echo(for_terminal(shown, setup_code))
