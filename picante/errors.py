"""How commands end on errors: one message, one hint, an exit status, no traceback."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from heat.errors import ConfigError, PicanteError


def exit_with_hint(error: PicanteError, status: int) -> NoReturn:
    """Print an error to standard error and exit."""
    click.echo(f"error: {error}", err=True)
    sys.exit(status)


@contextlib.contextmanager
def told() -> Iterator[None]:
    """What fails inside ends the command with what was wrong, and status 2."""
    try:
        yield
    except PicanteError as error:
        exit_with_hint(error, 2)


@contextlib.contextmanager
def writing(directory: Path) -> Iterator[None]:
    """Raises ConfigError where files can't be written in a command's `--directory`."""
    try:
        yield
    except OSError as error:
        where = error.filename or directory
        raise ConfigError(f"{where}: {error.strerror}", hint="Give a --directory that you may write") from error
