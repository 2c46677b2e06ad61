"""The cloud half's benchmark runs to its end, on sizes that measure nothing: its figures are for people."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import cloud_half
from tests.benchmarks.test_road import figures
from tests.servers import KafkaServer, ServerElsewhere

TINY = cloud_half.Sizes(rounds=1, events=500, customers=10, asked=8, steps=(100, 200))


def test_all_parts(kafka: KafkaServer | ServerElsewhere, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = [line for part in cloud_half.PARTS.values() for line in part(tmp_path, kafka, TINY)]
    got = figures(lines, capsys)
    assert set(got) >= {
        "events/s folded, by the CPU that it takes",
        "bytes of state an identity",
        "rows/s into the lake, each in two tables",
        "an event sent to its profile in Redis, p50",
        "MB resident at most, the pipeline, no events",
        "200 events; ratio to 100",
    }
