"""The cloud half's benchmark runs to its end, on sizes that measure nothing: its figures are for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cloud_half
from tests.benchmarks.test_road import figures
from tests.servers import KafkaServer, ServerElsewhere

TINY = cloud_half.Sizes(rounds=1, events=500, customers=10, asked=8, steps=(100, 200))


SAID = {
    "fold": {"events/s folded, by the CPU that it takes", "bytes of state an identity"},
    "memory": {"MB resident at most, the pipeline, no events", "200 events; ratio to 100"},
    "lake": {"rows/s into the lake, each in two tables"},
    "latency": {"an event sent to its profile in Redis, p50"},
}
"""Some figures of each part."""


@pytest.mark.parametrize("part", cloud_half.PARTS)
def test_each_part(
    part: str, kafka: KafkaServer | ServerElsewhere, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = list(cloud_half.PARTS[part](tmp_path, kafka, TINY))
    assert set(figures(lines, capsys)) >= SAID[part]
