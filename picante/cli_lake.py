"""`picante lake`: history as tables, in SQL, for training, and back into Kafka."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click
import msgspec

from cloud_sync.topics import EVENTS
from heat.errors import ConfigError, SinkUnavailable
from picante.cloud_options import CLOUD_CONFIG, YES, table, told

if TYPE_CHECKING:
    import pyarrow as pa

    from cloud.lake.lake import Lake
    from cloud.lake.query import Format

# Arrow, Delta Lake and DuckDB are imported by the commands that use them: `picante --help` should not wait for them

AWAY_S = 30.0
"""s until a replay that follows tries again what is away."""
FOLLOW_S = 5.0
"""s between two looks at the lake."""
FORMATS = ("table", "csv", "json", "parquet")
_OUT = click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="File to write; screen if left out.")


@click.group()
def lake() -> None:
    """History: query it, look after it, train on it, send it through Kafka again.

    \b
    Exit status: 0 done, 1 Kafka or the storage is not there, or the query is none, 2 configuration.
    """


@lake.command()
@click.argument("sql")
@click.option("--format", "to", type=click.Choice(FORMATS), help="What to write; by the file's name, or a table.")
@_OUT
@CLOUD_CONFIG
def query(sql: str, to: Format | None, out: Path | None, config_path: Path) -> None:
    """Ask the lake in SQL, as DuckDB has it. Tables: raw, events, samples, dead_letters, context.

    A table is cut to the terminal's width, and to 1,000 rows; csv, json and parquet have all.

    \b
    Example:  picante lake query "SELECT sauce, count(*) FROM events GROUP BY ALL ORDER BY 2 DESC"
    """
    with told():
        from cloud.lake.query import connected, select

        with connected(_lake(config_path)) as connection:
            _give(select(connection, sql), to, out)


@lake.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@CLOUD_CONFIG
def info(config_path: Path, *, as_json: bool) -> None:
    """Say what there is: rows, files, bytes, days, and how far each partition of a topic is in it.

    \b
    Example:  picante lake info --config cloud.toml
    """
    with told():
        from cloud.lake.info import as_document, as_rows, look

        found = look(_lake(config_path))
        if as_json:
            click.echo(msgspec.json.format(msgspec.json.encode(as_document(found))))
            return
        for line in table(as_rows(found)):
            click.echo(line)


@lake.command()
@click.option("--dry-run", is_flag=True, help="Say how many files a vacuum would remove now, and change nothing.")
@CLOUD_CONFIG
def maintain(config_path: Path, *, dry_run: bool) -> None:
    """Melt small files, drop days that are over, remove what nothing needs; the part `lake` does it by itself.

    \b
    Example:  picante lake maintain --dry-run
    """
    with told():
        from cloud.config import load_cloud_config
        from cloud.lake.maintenance import maintain as maintain_table
        from cloud.lake.settings import lake_of, retention

        config = load_cloud_config(config_path)
        keep, today = retention(config), datetime.now(UTC).date()
        rows = [("table", "files melted", "rows dropped", "files removed")]
        for each in lake_of(config).tables.values():
            if not each.read():
                continue
            if dry_run:
                rows.append((each.kind.name, "-", "-", str(len(each.vacuum(keep.vacuum_hours, dry_run=True)))))
                continue
            kept = maintain_table(each, keep, today)
            rows.append((kept.table, str(kept.files_melted), str(kept.rows_dropped), str(kept.files_removed)))
        for line in table(rows):
            click.echo(line)


@lake.command()
@click.argument("target")
@click.option("--source", default=EVENTS.name, show_default=True, help="The topic whose records are replayed.")
@click.option("--follow", is_flag=True, help="Go on with what the lake gets, until Ctrl-C.")
@YES
@CLOUD_CONFIG
def replay(target: str, source: str, config_path: Path, *, follow: bool, yes: bool) -> None:
    """Send a topic's raw records through Kafka again, into topic TARGET: bytes, keys, headers, times and order.

    It can be interrupted, and run again: what is there already is not sent twice.

    \b
    Example:  picante lake replay picante.events.v1.g2 --yes
    """
    with told():
        from cloud.config import load_cloud_config
        from cloud.lake.replay import replay as run
        from cloud.lake.replay import waiting
        from cloud.lake.settings import lake_of
        from cloud.librdkafka import cluster_of

        config = load_cloud_config(config_path)
        if not yes:
            click.echo(f"{waiting(lake_of(config), source)} records of {source}; with --yes they go into {target}")
            return
        lake, cluster = lake_of(config), cluster_of(config)
        while True:
            try:
                done = run(lake, cluster, source, target, config.kafka.replication, _told_every(100_000))
            except SinkUnavailable as error:
                if not follow:
                    raise
                click.echo(f"{error}; it goes on in {AWAY_S:.0f} s", err=True)
                time.sleep(AWAY_S)
                continue
            if done.records or not follow:
                click.echo(f"{done.records} records added to {target}, which has all of {source} that the lake has")
            if not follow:
                return
            time.sleep(FOLLOW_S)


@lake.command()
@click.option("--athena", is_flag=True, required=True, help="For Amazon Athena and the Glue catalogue.")
@click.option("--database", default="picante", show_default=True)
@CLOUD_CONFIG
def ddl(database: str, config_path: Path, *, athena: bool) -> None:  # noqa: ARG001 -- there is but one kind yet
    """Print the statements that make the tables known to another engine.

    \b
    Example:  picante lake ddl --athena --database brand
    """
    with told():
        from cloud.config import load_cloud_config
        from cloud.lake.ddl import athena as statements
        from cloud.lake.settings import folder

        click.echo(statements(folder(load_cloud_config(config_path)), database))


@lake.command("training-rows")
@click.option("--since", type=click.DateTime(["%Y-%m-%d"]), default="1970-01-01", help="First day of picks, in UTC.")
@click.option("--until", type=click.DateTime(["%Y-%m-%d"]), default="9999-12-31", help="The day after the last.")
@click.option("--format", "to", type=click.Choice(FORMATS), help="What to write; by the file's name, or a table.")
@_OUT
@CLOUD_CONFIG
def training_rows(since: datetime, until: datetime, to: Format | None, out: Path | None, config_path: Path) -> None:
    """Write what a ranker learns from: a row a candidate, as of the pick, and what was poured and rated for it.

    \b
    Example:  picante lake training-rows --since 2026-10-01 --out rows.parquet
    """
    with told():
        from cloud.lake.query import connected
        from cloud.lake.training import TrainingRows

        with connected(_lake(config_path)) as connection:
            rows = TrainingRows(connection, since.date(), until.date())
            _give(rows.reader(), to, out)
            if rows.skipped:
                click.echo(f"{rows.skipped} impressions did not keep what was known, and are left out", err=True)


def _lake(config_path: Path) -> Lake:
    from cloud.config import load_cloud_config
    from cloud.lake.settings import lake_of

    return lake_of(load_cloud_config(config_path))


def _give(rows: pa.RecordBatchReader, to: Format | None, out: Path | None) -> None:
    """Write rows to a file, or to standard output."""
    from cloud.lake.query import show, write

    to = to or ("table" if out is None else _format_of(out))
    if to == "table":
        if out is not None:
            raise ConfigError(f"{out}: a table is for the screen", hint="Give --format csv, json or parquet")
        click.echo(show(rows, shutil.get_terminal_size((10_000, 0)).columns))
    elif out is not None:
        write(rows, to, out)
    elif to == "parquet" and sys.stdout.isatty():
        raise ConfigError("Parquet is nothing to look at", hint="Give --out FILE")
    else:
        with tempfile.TemporaryDirectory() as directory:
            write(rows, to, whole := Path(directory) / "rows")
            with whole.open("rb") as content, contextlib.suppress(BrokenPipeError):  # `| head` has had enough
                shutil.copyfileobj(content, sys.stdout.buffer)
                sys.stdout.buffer.flush()


def _format_of(out: Path) -> Format:
    match out.suffix:
        case ".csv":
            return "csv"
        case ".json":
            return "json"
        case ".parquet":
            return "parquet"
        case _:
            raise ConfigError(f"{out}: as what?", hint="Give --format, or a name that ends in .csv, .json or .parquet")


def _told_every(step: int) -> Callable[[int], None]:
    told_at = 0

    def progress(records: int) -> None:
        nonlocal told_at
        if records - told_at >= step:
            told_at = records
            click.echo(f"{records} records", err=True)

    return progress
