"""`picante cloud tail`: what is written to a topic, as it comes, in words."""

from __future__ import annotations

import contextlib
from itertools import islice
from pathlib import Path
from typing import Literal

import click

from cloud_sync.topics import ALL, EVENTS
from picante.cloud_options import CLOUD_CONFIG, told

SHORT = {topic.name.removeprefix("picante.").removesuffix(".v1"): topic.name for topic in ALL}


@click.command()
@click.argument("topic", default=EVENTS.name)
@CLOUD_CONFIG
@click.option("--from-beginning", is_flag=True, help="Begin with the oldest record that there is.")
@click.option("--last", type=click.IntRange(1, 10_000), metavar="N", help="Begin with the newest N records.")
@click.option("--count", type=click.IntRange(min=1), metavar="N", help="End after N records.")
@click.option("--no-wait", is_flag=True, help="End where the topic ends now.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line: everything that the record has.")
@click.option("--full", is_flag=True, help="Subjects in full.")
def tail(  # noqa: PLR0913 -- each is an option
    topic: str,
    config_path: Path,
    *,
    from_beginning: bool,
    last: int | None,
    count: int | None,
    no_wait: bool,
    as_json: bool,
    full: bool,
) -> None:
    """Print what is written to TOPIC (events, dlq, profiles, or a whole name), as it comes; Ctrl-C ends it.

    A line has the time (UTC), the type, whom it is about, what it says, where it comes from, and partition:offset.
    What readers refuse is shown, with the reason. What a transaction took back is not.

    \b
    Examples:  picante cloud tail
               picante cloud tail dlq --from-beginning --no-wait
               picante cloud tail profiles --last 5 --json
    """
    if from_beginning and last is not None:
        raise click.UsageError("--from-beginning and --last: give one of them")
    begin: Literal["beginning", "end"] | int = last if last is not None else "beginning" if from_beginning else "end"

    from cloud.config import load_cloud_config
    from cloud.librdkafka import cluster_of
    from cloud.record_lines import as_json as json_of
    from cloud.record_lines import in_words, read
    from cloud.tail import follow

    with told(), contextlib.suppress(KeyboardInterrupt):
        cluster = cluster_of(load_cloud_config(config_path))
        for record in islice(follow(cluster, SHORT.get(topic, topic), begin, wait=not no_wait), count):
            if as_json:
                click.echo(json_of(record))
            else:
                line = read(record)
                click.echo(click.style(in_words(line, full=full), fg="red" if line.wrong else None))
