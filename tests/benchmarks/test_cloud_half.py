"""The cloud half's benchmark runs to its end, on sizes that measure nothing: its figures are for people."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import cloud_half
from tests.benchmarks.test_road import figures
from tests.servers import KafkaServer

TINY = cloud_half.Sizes(rounds=1, events=500, customers=10, asked=8, steps=(100, 200))


SAID = {
    "fold": {"events/s folded, by the CPU that it takes", "bytes of state an identity"},
    "memory": {"MB resident at most, the pipeline, no events", "200 events; ratio to 100"},
    "lake": {"rows/s into the lake, each in two tables"},
    "latency": {"an event sent to its profile in Redis, p50"},
}
"""Some figures of each part."""


@pytest.fixture(scope="module")
def own_kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka without the events of other tests: the parts take in all that there are."""
    with KafkaServer(tmp_path_factory.mktemp("kafka")) as server:
        yield server


@pytest.mark.parametrize("part", cloud_half.PARTS)
def test_each_part(part: str, own_kafka: KafkaServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = list(cloud_half.PARTS[part](tmp_path, own_kafka, TINY))
    assert set(figures(lines, capsys)) >= SAID[part]
