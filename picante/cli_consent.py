"""`picante gateway consent`: what a customer allows, by pseudonym, through the running daemon."""

from __future__ import annotations

from pathlib import Path

import click

from heat.identity import PSEUDONYM as A_PSEUDONYM
from picante.daemon import DAEMON, ask

SAYS = {
    "none": "not known here any more: their token gets what somebody gets who shows none",
    "profile": "known by their token",
}


def _pseudonym(_context: click.Context, _parameter: click.Parameter, text: str) -> str:
    if not A_PSEUDONYM.match(text):
        # never repeated, nor sent: it may be a token
        raise click.BadParameter("this is no pseudonym; it reads p1-<32 hex digits>")
    return text


@click.command()
@DAEMON
@click.argument("subject", metavar="PSEUDONYM", callback=_pseudonym)
@click.argument("wish", metavar="[none|profile]", type=click.Choice(sorted(SAYS)), required=False)
def consent(config_path: Path, subject: str, wish: str | None) -> None:
    """Opt a customer out of being known (none), or in again (profile); or show what they said.

    What was learned of who opts out is forgotten here at once, with or without Internet; the cloud and the region's
    other gateways hear of it. PSEUDONYM is what events and the API name the customer by, never the token.

    \b
    Exit status: 0 done, 1 refused or no daemon, 2 configuration or usage.
    Example:  picante gateway consent p1-3f2a9c0d1b7e4f6a8c5d2e1f0a9b8c7d none
    """
    path = f"/api/v1/profiles/{subject}/consent"
    answer = ask(config_path, "GET", path) if wish is None else ask(config_path, "PUT", path, {"consent": wish})
    click.echo(f"{answer['subject']}: {SAYS[answer['consent']]}")
