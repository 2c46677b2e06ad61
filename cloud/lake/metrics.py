"""What the lake's writer counts. docs/cloud.md says what each of them means."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Summary

from cloud.metrics import REGISTRY

ROWS = Counter("picante_cloud_lake_rows", "Rows that were new to a table.", ["table"], registry=REGISTRY)
COMMIT_S = Summary("picante_cloud_lake_commit_seconds", "To commit a batch to all tables.", registry=REGISTRY)
NEWEST = Gauge(
    "picante_cloud_lake_newest_seconds", "Unix time at which Kafka took the newest record committed.", registry=REGISTRY
)
GONE = Counter("picante_cloud_lake_gone", "Offsets that Kafka deleted before the lake had them.", registry=REGISTRY)
