"""What was told of the weather, as it lies in Kafka and in the lake."""

from __future__ import annotations

from typing import Any

from cloud_sync.published import Context, publish
from cloud_sync.record import Consumed
from cloud_sync.topics import CONTEXT
from tests.cloud.lake.records import RECEIVED_MS

HOUR_MS = 3_600_000


def told(offset: int, context: Context, value: bytes | None = None) -> Consumed:
    """A record of the topic of contexts."""
    key = f"{context.store}/{context.hour}"
    record = publish(key, context, "/cloud/weather", f"{key}:{offset}", RECEIVED_MS)
    return Consumed(CONTEXT.name, 0, offset, RECEIVED_MS, record.key, value or record.value, record.headers)


def context(time_ms: int, store: str = "lyon-2", **more: Any) -> Context:
    """What it was like at a store in the hour of `time_ms`."""
    return Context(store=store, region="eu", hour=time_ms // HOUR_MS, as_of_ms=time_ms, **more)
