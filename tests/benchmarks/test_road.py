"""The road's benchmark runs to its end, on sizes that measure nothing: its figures are for people."""

from __future__ import annotations

import pathlib
import re
from collections.abc import Iterable

import pytest

from benchmarks import road
from benchmarks.parts.table import HEAD, Line, show
from tests.servers import KafkaServer, ServerElsewhere

TINY = road.Sizes(rounds=1, ingested=400, one_by_one=20, asked=5, warm_up=0, backlog=2_500, idle_s=0)
NUMBER = re.compile(r"[\d,]*\d(\.\d+)?( ms| \d+)?")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    return tmp_path_factory.mktemp("road")


def figures(lines: Iterable[Line], capsys: pytest.CaptureFixture[str]) -> dict[str, str]:
    """What was got, by the line's beginning; every line with a goal must have a figure that fits its column."""
    table = list(lines)
    show(table)
    width = len(HEAD.strip("\n"))
    for line, printed in zip(table, capsys.readouterr().out.splitlines(), strict=True):
        assert len(printed) <= width, printed
        if line.goal and line.got:
            assert NUMBER.fullmatch(line.got), line
            assert line.met is not None, line
    return {line.what.strip(): line.got for line in table if line.got}


def test_the_way_in(directory: pathlib.Path, capsys: pytest.CaptureFixture[str]) -> None:
    got = figures(road.ingest(directory, TINY), capsys)
    assert set(got) >= {
        "events/s, PTYs to durable commit and ACK, one core",
        "bytes written an event, group commit",
        "ASK in to PICKS out at 50 events/s, p50",
    }


@pytest.mark.timeout(400)  # a dozen starts, of which nothing is loaded before
def test_starts_memory_and_drain(
    directory: pathlib.Path, kafka: KafkaServer | ServerElsewhere, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = [*road.starts(directory, TINY), *road.memory(directory, kafka, TINY), *road.drains(directory, kafka, TINY)]
    got = figures(lines, capsys)
    assert float(got["MB resident, idle"]) > 20
    assert "events/s, drain of 2,500 into Kafka" in got
