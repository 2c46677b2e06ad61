"""The pipeline's figures: what became of the records, how far it is behind, what was published."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

from cloud.metrics import REGISTRY

RECORDS = Counter(
    "picante_cloud_records", "Records of the events' topic, by what became of them.", ["outcome"], registry=REGISTRY
)
LAG = Gauge(
    "picante_cloud_lag",
    "Offsets between the state and the end of a partition of ours.",
    ["partition"],
    registry=REGISTRY,
)
PUBLISHED = Counter("picante_cloud_published", "Records that tell of subjects.", ["what"], registry=REGISTRY)
UNTOLD = Counter(
    "picante_cloud_profiles_untold", "Times that a profile was too large for any reader.", registry=REGISTRY
)
IRREVERSIBLE = Counter(
    "picante_cloud_conflicts_irreversible",
    "Conflicts whose earlier content should have been taken back, and is not in Kafka any more.",
    registry=REGISTRY,
)
REBUILDS = Counter("picante_cloud_rebuilds", "States that were rebuilt from what is published.", registry=REGISTRY)
BATCH_S = Histogram(
    "picante_cloud_batch_seconds", "From a batch that was read to its state's commit.", registry=REGISTRY
)
