"""How commands end on errors: one message, one hint, an exit status, no traceback."""

from __future__ import annotations

import sys
from typing import NoReturn

import click

from heat.errors import PicanteError


def exit_with_hint(error: PicanteError, status: int) -> NoReturn:
    """Print an error to standard error and exit."""
    click.echo(f"error: {error}", err=True)
    sys.exit(status)
