"""Where a command finds its configuration if nobody says: here, or else where docs/operations.md has it installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])

DIRECTORY = Path("/etc/picante")


def config_option(file_name: str, what: str) -> Callable[[F], F]:
    """The option `--config` for a file that is called so; `what` it is, for the help."""
    installed = DIRECTORY / file_name

    def default() -> Path:
        here = Path(file_name)
        return installed if not here.exists() and installed.exists() else here

    return click.option(
        "--config",
        "config_path",
        default=default,
        type=click.Path(path_type=Path),
        help=f"{what}: {file_name} here, or else {installed}.",
    )
