"""The lake as a part of `picante cloud run`: it writes, it is maintained, it ends soon, and says what is wrong."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Awaitable, Callable
from datetime import date
from pathlib import Path

import pytest

from cloud.config import CloudConfig, load_cloud_config
from cloud.lake import part
from cloud.lake.columns import RAW
from cloud.lake.maintenance import Retention, keep_small, maintain
from cloud.lake.table import LakeTable
from heat.errors import ConfigError, SinkUnavailable
from tests.cloud.lake.records import DAY_MS, RECEIVED_MS, consumed, offsets, opened, put
from tests.cloud.lake.writing import places, send_pours
from tests.servers import KafkaServer, ServerElsewhere, free_port
from tests.waiting import wait_until, wait_until_async

Kafka = KafkaServer | ServerElsewhere
MakeTopic = Callable[..., Awaitable[str]]


def configured(directory: Path, bootstrap: str, lake: str = "") -> CloudConfig:
    path = directory / "cloud.toml"
    path.write_text(f'[kafka]\nbootstrap = "{bootstrap}"\n[lake]\ncommit_seconds = 1\n{lake}')
    return load_cloud_config(path)


def lake_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("lake")]


async def test_it_writes_where_the_configuration_says_and_ends_when_told(
    kafka: Kafka, topic: MakeTopic, tmp_path: Path
) -> None:
    names = [await topic(), await topic()]
    for name in names:
        send_pours(kafka.bootstrap, name, 9)
    running = asyncio.create_task(part.run(configured(tmp_path, kafka.bootstrap, 'path = "here"\n'), names))
    await wait_until_async(lambda: len(places(tmp_path / "here")) >= 18, 20, "18 rows of two topics")
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    wait_until(lambda: not lake_threads(), 5, "its threads have ended")


async def test_what_fails_is_raised_as_it_is(tmp_path: Path) -> None:
    with pytest.raises(SinkUnavailable, match="Kafka can't be used"):
        await part.run(configured(tmp_path, f"127.0.0.1:{free_port()}"))
    (tmp_path / "lake-storage.toml").touch(0o644)
    with pytest.raises(ConfigError, match="others may read it"):
        await part.run(configured(tmp_path, "127.0.0.1:1", 'storage_options = "lake-storage.toml"\n'))


def test_maintenance_waits_for_its_turn_and_says_what_it_did(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    lake = opened(tmp_path)
    for offset in range(4):
        put(lake, [consumed(offset)])
    stop, turn = threading.Event(), threading.Event()
    tables = [LakeTable(str(tmp_path), RAW)]
    caplog.set_level(logging.INFO, "cloud.lake")
    work = threading.Thread(target=keep_small, args=(tables, Retention(), 0.01, turn.is_set, stop))
    work.start()
    try:
        put(lake, [consumed(4)])
        assert not caplog.records
        turn.set()
        wait_until(lambda: caplog.records, 20, "a maintenance")
    finally:
        stop.set()
        work.join()
    assert (caplog.records[0].table, caplog.records[0].files_melted) == ("raw", 5)  # type: ignore[attr-defined]
    assert offsets(lake, "raw") == [0, 1, 2, 3, 4]


def test_raw_and_typed_rows_have_retentions_of_their_own(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    for offset, age in enumerate((40, 20, 0)):
        put(lake, [consumed(offset, timestamp_ms=RECEIVED_MS - age * DAY_MS)])
    retention, today = Retention(raw_days=30, event_days=10), date(2026, 11, 25)
    assert {name: maintain(table, retention, today).rows_dropped for name, table in lake.tables.items()} == {
        "raw": 1, "events": 2, "samples": 0,
    }  # fmt: skip
    assert (offsets(lake, "raw"), offsets(lake)) == ([1, 2], [2])
    put(lake, [consumed(3)])
    assert offsets(lake) == [2, 3]


def test_a_query_that_runs_while_files_are_melted_and_removed_is_answered(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    for offset in range(3):
        put(lake, [consumed(offset)])
    seen = opened(tmp_path).tables["raw"].delta.to_pyarrow_dataset()
    maintain(lake.tables["raw"], Retention(vacuum_hours=1), date(2026, 11, 25))
    assert seen.to_table(columns=["offset"]).num_rows == 3
