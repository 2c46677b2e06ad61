"""What the commands of `picante cloud` share: which configuration, how they end, how they draw a table."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterable, Iterator, Sequence

import click
from click.core import ParameterSource

from heat.errors import ConfigError, PicanteError
from picante.errors import exit_with_hint
from picante.installed import config_option

WAITS_FOR_YES = 3
"""Exit status: there is something to do, and nothing was done without --yes."""
NEEDS_A_PERSON = 4
"""Exit status: some of it can't be done by the command; it says why, and what to do."""


CLOUD_CONFIG = config_option("cloud.toml", "The cloud's configuration")
YES = click.option("--yes", is_flag=True, help="Do it. Without it, say what would be done, and change nothing.")


def chosen_config() -> str:
    """` --config FILE`, as it was given to the running command, for the one that it names; empty if it was not."""
    context = click.get_current_context()
    if context.get_parameter_source("config_path") is not ParameterSource.COMMANDLINE:
        return ""
    return f" --config {shlex.quote(str(context.params['config_path']))}"


@contextlib.contextmanager
def told() -> Iterator[None]:
    """End the command on our errors: 2 for the configuration, 1 for all else."""
    try:
        yield
    except ConfigError as error:
        exit_with_hint(error, 2)
    except PicanteError as error:
        exit_with_hint(error, 1)


def table(rows: Iterable[Sequence[str]]) -> Iterator[str]:
    """Lines in which each column is as wide as its widest cell; the last one is as long as it is."""
    kept = [tuple(row) for row in rows]
    widths = [max(map(len, column)) for column in zip(*kept, strict=True)]
    for row in kept:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
