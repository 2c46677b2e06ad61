"""`picante models`: train a ranker in simulation, judge one; `picante.cli_bundles` has the rest."""

from __future__ import annotations

import functools
import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO, ParamSpec, TypeVar, cast, get_args

import click
import msgspec

from heat.catalog import Catalog, default_catalog, parse_catalog
from heat.errors import ConfigError, DataError, PicanteError
from hw_sim.shoppers.world import World
from picante.cli_bundles import COMMANDS
from picante.cli_train import train

# what needs NumPy is imported by the commands that use it: `picante --help` should not wait for it

P = ParamSpec("P")
R = TypeVar("R")
EXIT_STATUS = 2
BROKEN_RULE = 4
"""The exit status of an evaluation that a bundle did not pass."""


def _plain_errors(command: Callable[P, R]) -> Callable[P, R]:
    """Show what Picante raises as one line, without a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return command(*args, **kwargs)
        except PicanteError as error:
            click.echo(f"error: {error}", err=True)
            raise SystemExit(EXIT_STATUS) from error

    return run


@click.group()
def models() -> None:
    """Train, judge, sign and inspect the ranker that chooses picks."""


_catalog_option = click.option(
    "--catalog", type=click.Path(path_type=Path), help="Catalogue of sauces (JSON); the one that ships if left out."
)


@models.command()
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Bundle directory, as often as wanted; the one that ships if left out.",
)
@click.option("--report", "folder", type=click.Path(path_type=Path), help="Folder for report.html and report.json.")
@click.option("--quick", is_flag=True, help="Fewer customers and seeds: rough, in a quarter of a minute.")
@click.option(
    "--world",
    "worlds",
    type=click.Choice(get_args(World)),
    multiple=True,
    help="How the customers choose, as often as wanted; all worlds if left out.",
)
@click.option("--seeds", type=click.IntRange(1, 100), help="Seeds to judge on: each has other people.")
@click.option("--customers", type=click.IntRange(20, 100_000), help="Customers a seed.")
@click.option("--data", type=click.Path(path_type=Path), help="Folder with logs of real choices, to report on, too.")
@click.option("--json", "as_json", is_flag=True, help="Print report.json instead of a table.")
@_catalog_option
@_plain_errors
def evaluate(  # noqa: PLR0913, PLR0917  # a parameter for each option
    bundles: tuple[Path, ...],
    folder: Path | None,
    quick: bool,
    worlds: tuple[World, ...],
    seeds: int | None,
    customers: int | None,
    data: Path | None,
    as_json: bool,
    catalog: Path | None,
) -> None:
    """Compare bundles' picks with simpler ways, on simulated customers they were not trained on.

    A broken rule is named with its figure, and the exit status is 4 (docs/evaluation.md).

    \b
    Example:
      picante models evaluate --report ./judged
      picante models evaluate --bundle ./linear --bundle ./trees --report ./judged
    """
    if folder is not None and importlib.util.find_spec("matplotlib") is None:
        raise ConfigError("a report needs Matplotlib", hint="Install it with: pip install 'picante[train]'")
    from models.bundle import load, pretrained
    from models.evaluation.report import json_of, table
    from picante.judging import FULL, QUICK, judge_bundles, sized, steps
    from picante.real_choices import real_choices

    real = real_choices(data) if data is not None else ()
    opened = [load(path) for path in bundles or (pretrained(),)]
    size = sized(QUICK if quick else FULL, seeds, customers)
    chosen = worlds or get_args(World)
    with click.progressbar(length=steps(chosen, size), label="judging", file=sys.stderr) as bar:
        report = judge_bundles(opened, _catalog(catalog), chosen, size, step=lambda: bar.update(1))
    report = msgspec.structs.replace(report, real=real)
    if folder is not None:
        from models.evaluation.page import write_report

        write_report(report, folder)
        click.echo(f"report: {folder / 'report.html'}", err=True)
    click.echo(json_of(report) if as_json else table(report), nl=not as_json)
    if report.failed:
        for check in report.failed:
            click.echo(f"error: {check}", err=True)
        raise SystemExit(BROKEN_RULE)


for _command in (train, *COMMANDS):
    models.add_command(_command)


@models.command()
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--lake", type=click.Path(path_type=Path), help="Folder of the lake that has the impressions.")
@click.option(
    "--bundle",
    "bundles",
    type=click.Path(path_type=Path),
    multiple=True,
    help="Bundle directory; more than once for more. The one that ships with Picante is always known.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
@_plain_errors
def replay(file: BinaryIO | None, lake: Path | None, bundles: tuple[Path, ...], as_json: bool) -> None:
    """Show logged picks again, from what their impressions keep, and say whether they are the same to the bit.

    FILE has impressions, a line of JSON each; - is standard input. Exit status: 0 none differs, 1 some do, 2 there is
    nothing to read.

    \b
    Example:
      picante cloud tail events --last 1000 --no-wait --json | picante models replay - --bundle ./bundle
      picante models replay --lake ./lake --bundle ./bundle
    """
    from models.bundle import load, pretrained
    from models.ranker import Ranker, RuleRanker, in_numpy
    from picante.replays import again, in_lake, in_lines, in_words

    if (file is None) == (lake is None):
        raise ConfigError("give a FILE of impressions, or --lake", hint="See picante models replay --help")
    rankers: list[Ranker] = [RuleRanker(), *(in_numpy(load(path)) for path in (pretrained(), *bundles))]
    impressions = in_lines(file) if file is not None else in_lake(cast("Path", lake))
    told = again(impressions, {ranker.name: ranker for ranker in rankers})
    for line in [msgspec.json.encode(told).decode()] if as_json else in_words(told):
        click.echo(line)
    raise SystemExit(1 if told.differ else 0)


def _catalog(path: Path | None) -> Catalog:
    if path is None:
        return default_catalog()
    try:
        return parse_catalog(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror}", hint="Give the catalogue's path") from error
