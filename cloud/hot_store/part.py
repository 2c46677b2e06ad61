"""The hot store as a part of `picante cloud run`."""

from __future__ import annotations

import logging
from contextlib import closing

from cloud.config import CloudConfig
from cloud.hot_store.filler import Filler
from cloud.hot_store.settings import lifetimes, open_redis
from cloud.librdkafka import cluster_of
from cloud.threads import in_thread

log = logging.getLogger("cloud.hot_store")

GROUP = "picante-hot-store"
"""The processes that fill one Redis share the partitions."""


async def run(config: CloudConfig) -> None:
    """Fill Redis until cancelled. It returns at once where none is configured: nobody could look into our memory.

    Raises:
        SinkUnavailable, SinkRefused: Kafka or Redis can't be used now. ConfigError: they never can.
    """
    if config.hot_store.kind == "memory":
        log.info("no hot store: hot_store.kind is memory in cloud.toml, into which nobody else could look")
        return
    with closing(open_redis(config)) as store:
        await in_thread("hot-store", Filler(cluster_of(config), store, lifetimes(config), GROUP).run)
