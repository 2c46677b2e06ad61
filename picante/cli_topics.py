"""`picante cloud topics`: the topics as the contract has them, on your Kafka."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from cloud_sync.topics import ALL
from picante.cloud_options import CLOUD_CONFIG, NEEDS_A_PERSON, WAITS_FOR_YES, YES, chosen_config, table, told

if TYPE_CHECKING:
    from cloud.kafka_admin import Admin
    from cloud.topic_plan import Difference

SETTLED_S = 10.0
"""Seconds until every broker has heard of a change."""


@click.group()
def topics() -> None:
    """Topics: partitions, copies, retention, compaction, as the contract between edge and cloud has them.

    \b
    Exit status: 0 all is as it should be, 1 Kafka is not there or refuses, 2 configuration,
    3 there is something to do (apply --yes does it), 4 something can't be changed: it says why, and what to do.
    """


@topics.command()
@CLOUD_CONFIG
def plan(config_path: Path) -> None:
    """Say what differs, topic by topic. Nothing is changed.

    \b
    Example:  picante cloud topics plan --config cloud.toml
    """
    with told():
        topics = _Topics(config_path)
        sys.exit(_tell(topics.differences(), topics.missing))


@topics.command()
@CLOUD_CONFIG
@YES
def apply(config_path: Path, *, yes: bool) -> None:
    """Create what is missing, and set what differs. Without --yes, it is `plan`.

    No record is lost by it but what is older than the contract keeps; the plan says so where it would be.

    \b
    Example:  picante cloud topics apply --config cloud.toml --yes
    """
    with told():
        topics = _Topics(config_path)
        found = topics.differences()
        if yes and (todo := [one for one in found if one.remedy != "none"]):
            found = topics.mend(todo)
            click.echo(f"{len(todo)} {'thing' if len(todo) == 1 else 'things'} mended")
        sys.exit(_tell(found, topics.missing))


class _Topics:
    """The contract's topics on one cluster."""

    def __init__(self, config_path: Path) -> None:
        from cloud.config import load_cloud_config
        from cloud.kafka_admin import Admin
        from cloud.librdkafka import cluster_of

        config = load_cloud_config(config_path)
        self._admin: Admin = Admin(cluster_of(config))
        self._replication = config.kafka.replication
        self._brokers = self._admin.brokers()
        self.missing = self._brokers.missing

    def differences(self) -> list[Difference]:
        from cloud.topic_plan import differences

        found = self._admin.topics([topic.name for topic in ALL])
        return differences(ALL, found, self._replication, self._brokers)

    def mend(self, todo: list[Difference]) -> list[Difference]:
        """Do it, and return what differs still once the brokers have heard of it."""
        self._admin.mend(todo, min(self._replication, self._brokers.known))
        deadline_s = time.monotonic() + SETTLED_S
        while True:
            left = self.differences()
            if all(one.remedy == "none" for one in left) or time.monotonic() > deadline_s:
                return left
            time.sleep(0.1)


def _tell(found: list[Difference], missing: str) -> int:
    """Print the differences, and which brokers are missing; the exit status that it means."""
    from cloud.topic_plan import in_words

    if missing:
        click.echo(f"{missing}: what they hold has a copy less until they are back")
    if not found:
        click.echo(f"{len(ALL)} topics are as the contract has them")
        return NEEDS_A_PERSON if missing else 0
    notes: list[str] = []
    rows = [("TOPIC", "SETTING", "IS", "SHOULD BE", "")]
    for one in found:
        why = one.why
        if one.remedy == "none":
            notes.append(f"[{len(notes) + 1}] {one.topic.name}: {one.why}")
            why = f"can't be changed [{len(notes)}]"
        values = in_words(one.setting, one.found), in_words(one.setting, one.wanted)
        rows.append((one.topic.name, one.setting, *values, why))
    for line in (*table(rows), *notes):
        click.echo(line)
    if todo := len(found) - len(notes):
        click.echo(f"To mend {todo} of {len(found)}: picante cloud topics apply{chosen_config()} --yes")
    return WAITS_FOR_YES if todo else NEEDS_A_PERSON
