"""`picante models train`: simulated or logged picks -> a bundle. Added to the group of `picante.cli_models`."""

from __future__ import annotations

import contextlib
import importlib.util
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from heat.catalog import default_catalog, parse_catalog
from heat.errors import ConfigError, DataError, PicanteError
from picante.errors import exit_with_hint

if TYPE_CHECKING:
    from picante.training import Wanted

# what needs NumPy is imported when it is needed: `picante --help` should not wait for it

EXIT_STATUS = 2
EXTRA = ("lightgbm", "onnx", "rich")
LAKE_EXTRA = ("deltalake", "duckdb", "pyarrow")


@click.command()
@click.option("--out", type=click.Path(path_type=Path), required=True, help="Directory to write the bundle into.")
@click.option(
    "--kind",
    type=click.Choice(["linear", "trees", "both"]),
    default="linear",
    show_default=True,
    help="A slate logit, boosted trees, or both: then into OUT/linear and OUT/trees.",
)
@click.option(
    "--lake",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Learn from the picks in this lake instead of simulated ones (needs the extra cloud).",
)
@click.option("--seed", type=click.IntRange(0, 2**31 - 1), default=1, show_default=True, help="Same seed, same bundle.")
@click.option(
    "--customers",
    type=click.IntRange(10, 100_000),
    default=1500,
    show_default=True,
    help="Simulated customers to learn from; a ninth of as many judge, in each world.",
)
@click.option("--days", type=click.IntRange(1, 365), default=56, show_default=True, help="Simulated days.")
@click.option(
    "--catalog", type=click.Path(path_type=Path), help="Catalogue of sauces (JSON); the one that ships if left out."
)
def train(  # noqa: PLR0913, PLR0917  # a parameter for each option
    out: Path, kind: Wanted, lake: Path | None, seed: int, customers: int, days: int, catalog: Path | None
) -> None:
    """Fit a ranker to choices, judge it on simulated customers whom it never saw, write a bundle.

    The choices are those of simulated customers, of each world as many, or with --lake those of real ones. The same
    input gives the same bundle, to the last bit.

    \b
    Example:
      picante models train --out ./bundle --seed 7
      picante models train --out ./bundle --lake ./lake --kind both
    """
    started = time.monotonic()
    try:
        _check_installed("train", EXTRA)
        if lake is not None:
            _check_installed("cloud", LAKE_EXTRA)
        try:
            sauces = default_catalog() if catalog is None else parse_catalog(catalog.read_bytes())
        except OSError as error:
            raise DataError(f"{catalog}: can't be read: {error.strerror}", hint="Give the catalogue's path") from error
        from picante.training import in_lake, simulated, steps, table, train_bundles

        with _progress(steps(kind, from_lake=lake is not None)) as step:
            if lake is not None:
                step(f"reading {lake}")
                logs = in_lake(lake, seed)
            else:
                logs = simulated(sauces, seed=seed, customers=customers, days=days, step=step)
            trained = train_bundles(out, sauces, logs, kind, step)
    except PicanteError as error:
        exit_with_hint(error, EXIT_STATUS)
    except OSError as error:
        said = f"{error.filename or out}: {error.strerror}"
        exit_with_hint(ConfigError(said, hint="Name a directory that can be written with --out"), EXIT_STATUS)
    for one in trained:
        where = f"bundle {one.bundle.short_id} ({one.kind}) is in {one.bundle.path}"
        click.echo(f"{where} ({time.monotonic() - started:.1f} s)", err=True)
    click.echo(table(trained))


def _check_installed(extra: str, modules: tuple[str, ...]) -> None:
    if missing := [name for name in modules if importlib.util.find_spec(name) is None]:
        raise ConfigError(f"training needs {', '.join(missing)}", hint=f"Install it: pip install 'picante[{extra}]'")


@contextlib.contextmanager
def _progress(total: int) -> Iterator[Callable[[str], None]]:
    """What is told each step: a bar on a terminal, a line a step elsewhere."""
    if not sys.stderr.isatty():
        yield lambda what: click.echo(what, err=True)
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TimeElapsedColumn(), TextColumn("{task.description}"))
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("", total=total)
        begun = False

        def step(what: str) -> None:
            nonlocal begun
            bar.update(task, advance=int(begun), description=what)
            begun = True

        yield step
        bar.update(task, completed=total, description="done")
