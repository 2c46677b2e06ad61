"""`picante doctor`: whatever is wrong with this gateway, in words, or as JSON for programs."""

from __future__ import annotations

import asyncio
import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from gateway.config import Config, load_config
from gateway.salvage import salvage
from heat.errors import ConfigError, PicanteError
from picante.daemon import DAEMON, call

UNKNOWN = 3
"""The exit status of monitoring plugins that could not look."""


@click.command()
@DAEMON
@click.option("--json", "as_json", is_flag=True, help="JSON, as /api/v1/repairs has it.")
def doctor(config_path: Path, as_json: bool) -> None:
    """Tell whatever is wrong with this gateway, with what it costs and what mends it.

    It asks the daemon. Where none answers it looks by itself at what needs none: configuration, keys, database (read
    only), disk, card, power, certificates, model, ports, clock.

    \b
    Exit status, as monitoring plugins have it: 0 all good, 1 something to look at, 2 something to fix now,
                                                3 it could not look (no such configuration).
    Example:  picante doctor --config gateway.toml
    """
    try:
        told = _ask(config_path)
    except FileNotFoundError:
        click.echo(f"error: {config_path}: there is no such file. Name it with --config", err=True)
        sys.exit(UNKNOWN)
    click.echo(json.dumps(told, indent=2, ensure_ascii=False) if as_json else _in_words(told))
    sys.exit(2 if told["urgent"] else 1 if told["later"] else 0)


def _ask(path: Path) -> dict[str, Any]:
    """The daemon's list, or what can be seen without it."""
    if not path.exists():
        raise FileNotFoundError(path)
    from gateway import doctor as examining  # the daemon's imports take a second
    from gateway.web.language import language
    from gateway.web.repairs.answers import repairs_view
    from gateway.web.repairs.repair import ordered

    why = None
    try:
        answer: dict[str, Any] = call(_config(path), "GET", "/api/v1/repairs")
    except PicanteError as error:
        why = str(error.args[0])
    else:
        return answer
    found = ordered([examining.down(why), *asyncio.run(examining.examine(path))])
    return repairs_view(found, language("en"), datetime.now(UTC)).model_dump(mode="json")


def _config(path: Path) -> Config:
    """Enough to find the daemon: in safe mode it runs though its configuration can't be used."""
    try:
        return load_config(path)
    except ConfigError:
        return salvage(path)


def _in_words(told: dict[str, Any]) -> str:
    if not told["repairs"]:
        return "All good"
    lines = []
    for one in told["repairs"]:
        mark = "----" if one["snoozed"] else "FIX " if one["urgent"] else "LOOK"
        since = f", since {one['since']}" if one["since"] else ""
        lines += [f"{mark} {one['what']}  [{one['key']}{since}]", f"     {one['cost']}."]
        lines += [f"     {number}. {step}" for number, step in enumerate(one["steps"], 1)]
        if let := one["snoozed"]:
            lines.append(f"     {let['by']} lets it be until {let['until']}")
    return "\n".join([*lines, f"{told['urgent']} to fix, {told['later']} to look at"])
