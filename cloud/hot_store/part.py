"""The hot store as a part of `picante cloud run`."""

from __future__ import annotations

from cloud.config import CloudConfig
from cloud.hot_store.entries import HotStore
from cloud.hot_store.filler import Filler
from cloud.hot_store.settings import lifetimes, open_store
from cloud.librdkafka import cluster_of
from cloud.threads import in_thread

GROUP = "picante-hot-store"
"""The processes that fill one Redis share the partitions. A store in memory is filled by its own process, with all."""


async def run(config: CloudConfig, store: HotStore | None = None) -> None:
    """Fill the hot store until cancelled. `store`: for whoever reads it in this process, too, and closes it.

    Raises:
        SinkUnavailable, SinkRefused: Kafka or Redis can't be used now. ConfigError: they never can.
    """
    filled = store or open_store(config)
    group = GROUP if config.hot_store.kind == "redis" else None
    try:
        await in_thread("hot-store", Filler(cluster_of(config), filled, lifetimes(config), group).run)
    finally:
        if store is None:
            filled.close()
