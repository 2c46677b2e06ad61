"""`picante cloud hot-store`: look a subject up, fill the store anew."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import click
import msgspec

from cloud.config import load_cloud_config
from heat.errors import ConfigError, DataError
from heat.identity import check_subject
from picante.cloud_options import CLOUD_CONFIG, told

NOT_BEGUN_S = 15.0
"""s without a step after which nobody seems to fill the store: a process that joins takes a few."""
LOOK_S = 0.25
"""s between two looks at how far it is."""


@click.group("hot-store")
def hot_store() -> None:
    """Where profiles, features and picks are looked up in a millisecond."""


@hot_store.command()
@click.argument("subject")
@CLOUD_CONFIG
def get(config_path: Path, subject: str) -> None:
    """Print what the hot store has of SUBJECT, a pseudonym or a session, as JSON.

    \b
    Exit status: 0 printed, 1 nothing is known or Redis is not there, 2 configuration or usage.
    Example:  picante cloud hot-store get p1-0123456789abcdef0123456789abcdef
    """
    from cloud.hot_store.entries import KINDS, Key
    from cloud.hot_store.settings import open_redis

    with told():
        try:
            check_subject(subject)
        except DataError as error:
            raise ConfigError(str(error)) from error
        store = open_redis(load_cloud_config(config_path))
        found = store.get_many([Key(kind, subject) for kind in KINDS])
    known = {kind: msgspec.Raw(value) for kind, value in zip(KINDS, found, strict=True) if value is not None}
    click.echo(msgspec.json.format(msgspec.json.encode(known)))
    sys.exit(0 if known else 1)


@hot_store.command()
@click.option("--empty", is_flag=True, help="Take all entries away first. Otherwise, they are served until replaced.")
@click.option("--wait", "wait_s", default=600.0, show_default=True, type=click.FloatRange(0), help="Seconds at most.")
@CLOUD_CONFIG
def rebuild(config_path: Path, empty: bool, wait_s: float) -> None:
    """Have the hot store filled anew by the processes that run its part, and wait until it is.

    \b
    Exit status: 0 filled, or --wait 0, 1 not filled in time, 2 configuration.
    Example:  picante cloud hot-store rebuild --empty
    """
    from cloud.hot_store.rebuild import ends, filled
    from cloud.hot_store.settings import open_redis
    from cloud.librdkafka import cluster_of

    with told():
        config = load_cloud_config(config_path)
        store = open_redis(config)
        wanted = ends(cluster_of(config))
        if empty:
            click.echo(f"{store.clear()} entries were taken away")
        else:
            store.forget_positions()
        total = sum(end - first for first, end in wanted.values())
        began_s = stepped_s = time.monotonic()
        done = -1
        while time.monotonic() < began_s + wait_s:
            before, done = done, filled(store, wanted)
            if done > before:
                click.echo(f"{done:,} of {total:,} records")
                stepped_s = time.monotonic()
            if done == total:
                sys.exit(0)
            if time.monotonic() > stepped_s + NOT_BEGUN_S:
                break
            time.sleep(LOOK_S)
    if wait_s:
        click.echo("error: it is not filled. Does `picante cloud run` run, with hot_store among its parts?", err=True)
        sys.exit(1)
