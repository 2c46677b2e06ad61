"""The lake as a part of `picante cloud run`: a thread that writes, and one that keeps the tables small."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Sequence

from cloud.config import CloudConfig
from cloud.kafka import Place
from cloud.lake.maintenance import keep_small
from cloud.lake.settings import bounds, lake_of, retention
from cloud.lake.writer import TOPICS, LakeWriter
from cloud.librdkafka import cluster_of
from cloud.threads import in_thread


async def run(config: CloudConfig, topics: Sequence[str] = TOPICS) -> None:
    """Write the lake until cancelled.

    Raises:
        SinkUnavailable, SinkRefused: Kafka or the storage can't be used now. ConfigError: they never can.
    """
    writer = LakeWriter(cluster_of(config), lake_of(config), bounds(config), topics)
    tables = list(lake_of(config).tables.values())
    keep = functools.partial(
        keep_small,
        tables,
        retention(config),
        config.lake.maintain_minutes * 60.0,
        lambda: Place(topics[0], 0) in writer.places,  # of several writers one has it
    )
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(in_thread("lake", writer.run), name="lake-writer")
            group.create_task(in_thread("lake-maintenance", keep), name="lake-maintenance")
    except ExceptionGroup as failed:  # Python 3.11.2 would make a group again of what is raised in an `except*`
        raise failed.exceptions[0] from failed
