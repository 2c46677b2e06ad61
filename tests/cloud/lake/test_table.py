"""Each row once, whoever is killed, wakes up late or comes at the same time; tables widen, shrink and stay small."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import date
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import DeltaTable
from deltalake.exceptions import CommitFailedError

from cloud.lake import table as table_module
from cloud.lake.columns import EVENT_TABLE, PARTED_BY, RAW, TableKind
from cloud.lake.lake import Lake
from cloud.lake.table import LakeTable, Span
from cloud_sync.topics import EVENTS
from heat.errors import ConfigError, SinkUnavailable
from tests.cloud.lake.records import DAY_MS, RECEIVED_MS, consumed, foreign, offsets, opened, put

AT = (EVENTS.name, 0)


def with_column(name: str, kind: pa.DataType) -> TableKind:
    return replace(EVENT_TABLE, columns=EVENT_TABLE.columns.append(pa.field(name, kind)))


def test_a_batch_is_in_every_table_that_keeps_it_and_the_position_is_behind_it(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    assert put(lake, [consumed(0), foreign(1, b"{"), consumed(5)]) == {"raw": 3, "events": 2, "samples": 0}
    again = opened(tmp_path)
    assert (again.position(*AT), again.position(EVENTS.name, 1)) == (6, 0)
    assert (offsets(again, "raw"), offsets(again)) == ([0, 1, 5], [0, 5])


def test_a_batch_without_an_event_moves_the_events_position_too(tmp_path: Path) -> None:
    put(opened(tmp_path), [foreign(0, b"{"), foreign(1, None)])
    assert opened(tmp_path).position(*AT) == 2


def test_a_batch_that_comes_again_in_other_pieces_adds_what_is_new(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    put(lake, map(consumed, range(10)))
    other = [consumed(offset, partition=1) for offset in range(4)]
    assert put(lake, [*map(consumed, range(5, 15)), *other], start=0)["raw"] == 9
    assert put(lake, [*map(consumed, range(5, 15)), *other], start=0)["raw"] == 0
    assert offsets(lake) == sorted([*range(15), *range(4)])


def test_a_partition_that_is_ahead_does_not_go_back_with_one_that_is_behind(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    put(lake, map(consumed, range(10)))
    put(lake, [consumed(3), consumed(0, partition=1)], start=0)
    assert [lake.position(EVENTS.name, partition) for partition in (0, 1)] == [10, 1]
    assert offsets(lake) == [0, *range(10)]


def test_a_table_that_was_left_behind_by_a_kill_catches_up(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    put(lake, [consumed(0)])
    batch = lake.batch()
    batch.add(consumed(1), 1)
    lake.tables["raw"].append(batch.rows()["raw"], batch.spans)  # and here it is killed
    again = opened(tmp_path)
    assert again.position(*AT) == 1
    assert put(again, [consumed(1), consumed(2)]) == {"raw": 1, "events": 2, "samples": 0}
    assert offsets(again, "raw") == offsets(again) == [0, 1, 2]


def test_a_writer_that_wakes_up_late_adds_nothing_twice(tmp_path: Path) -> None:
    late, early = opened(tmp_path), opened(tmp_path)
    put(early, map(consumed, range(3)))
    assert late.position(*AT) == 0  # it has not looked since
    assert put(late, map(consumed, range(5)))["events"] == 2
    assert offsets(early) == [0, 1, 2, 3, 4]


def test_of_two_that_commit_one_batch_at_once_one_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = opened(tmp_path), opened(tmp_path)
    commit = LakeTable._commit

    def overtaken(table: LakeTable, *rest: object) -> None:
        monkeypatch.setattr(LakeTable, "_commit", commit)
        put(second, map(consumed, range(3)))  # after the look at the position, before the commit
        commit(table, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LakeTable, "_commit", overtaken)
    assert put(first, map(consumed, range(4))) == {"raw": 1, "events": 1, "samples": 0}
    assert offsets(first, "raw") == offsets(first) == [0, 1, 2, 3]


def test_writers_of_different_partitions_do_not_stop_each_other(tmp_path: Path) -> None:
    writers = [opened(tmp_path) for _ in range(3)]

    def write(number: int) -> None:
        for offset in range(8):
            put(writers[number], [consumed(offset, partition=number)])

    threads = [threading.Thread(target=write, args=(number,)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lake = opened(tmp_path)
    assert offsets(lake) == offsets(lake, "raw") == sorted(list(range(8)) * 3)
    assert [lake.position(EVENTS.name, number) for number in range(3)] == [8, 8, 8]


def test_a_table_that_went_back_is_told_of_rather_than_left_with_a_hole(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    put(lake, [consumed(0)])
    with pytest.raises(SinkUnavailable, match="went back from offset 7"):
        put(lake, [consumed(7)], start=7)


def test_a_commit_that_fails_for_ever_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lake = opened(tmp_path)

    def fails(*_: object) -> None:
        raise CommitFailedError("no luck")

    monkeypatch.setattr(LakeTable, "_commit", fails)
    with pytest.raises(SinkUnavailable, match="10 commits failed: no luck"):
        put(lake, [consumed(0)])


def test_old_rows_stay_readable_when_a_field_is_new(tmp_path: Path) -> None:
    put(opened(tmp_path), [consumed(0)])
    newer = opened(tmp_path, (RAW, with_column("smokiness", pa.int64())))
    put(newer, [consumed(1)])
    rows = newer.tables["events"].delta.to_pyarrow_table().sort_by("offset")
    assert rows["smokiness"].to_pylist() == [None, None]
    assert rows["sauce"].to_pylist() == ["smoky-chipotle"] * 2


def test_a_writer_of_an_older_version_goes_on_beside_a_newer_one(tmp_path: Path) -> None:
    older = opened(tmp_path)
    put(older, [consumed(0)])
    put(opened(tmp_path, (RAW, with_column("smokiness", pa.int64()))), [consumed(1)])
    put(older, [consumed(2)])
    assert offsets(older) == [0, 1, 2]


def test_two_newer_versions_may_widen_a_table_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(opened(tmp_path), [consumed(0)])
    kinds = (RAW, with_column("smokiness", pa.int64()))
    same = table_module._same

    def overtaken(*types: pa.DataType) -> bool:
        monkeypatch.setattr(table_module, "_same", same)
        opened(tmp_path, kinds)
        return same(*types)

    monkeypatch.setattr(table_module, "_same", overtaken)
    lake = opened(tmp_path, kinds)
    put(lake, [consumed(1)])
    assert offsets(lake) == [0, 1]


def test_two_versions_that_widen_a_table_at_once_both_have_their_columns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(opened(tmp_path), [consumed(0)])
    same = table_module._same

    def overtaken(*types: pa.DataType) -> bool:
        monkeypatch.setattr(table_module, "_same", same)
        opened(tmp_path, (RAW, with_column("smokiness", pa.int64())))
        return same(*types)

    monkeypatch.setattr(table_module, "_same", overtaken)
    lake = opened(tmp_path, (RAW, with_column("crunch", pa.int64())))
    assert {"smokiness", "crunch"} <= set(lake.tables["events"].delta.to_pyarrow_dataset().schema.names)


def test_a_field_that_changes_its_type_is_refused(tmp_path: Path) -> None:
    opened(tmp_path, (RAW, with_column("smokiness", pa.int64())))
    with pytest.raises(ConfigError, match="column smokiness holds int64, and would hold string"):
        opened(tmp_path, (RAW, with_column("smokiness", pa.string())))


def test_compaction_melts_files_and_keeps_rows_and_positions(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    for offset in range(6):
        put(lake, [consumed(offset)])
    table = lake.tables["events"]
    assert len(table.delta.file_uris()) == 6
    table.compact()
    assert len(table.delta.file_uris()) == 1
    assert (offsets(lake), opened(tmp_path).position(*AT)) == (list(range(6)), 6)


def test_vacuum_takes_what_no_version_needs_and_what_a_killed_writer_left(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    for offset in range(3):
        put(lake, [consumed(offset)])
    table = lake.tables["events"]
    table.compact()
    left = next(tmp_path.glob("events/*/*")) / "part-of-a-killed-writer.parquet"
    left.write_bytes(b"PAR1")
    assert table.vacuum(1) == []  # it might be a commit on its way
    assert len(table.vacuum(0, dry_run=True)) == 4
    assert left.exists()
    assert len(table.vacuum(0)) == 4
    assert not left.exists()
    assert (offsets(lake), opened(tmp_path).position(*AT)) == ([0, 1, 2], 3)


def test_old_days_go_and_the_position_stays(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    for offset, age in enumerate((400, 31, 30, 0)):
        put(lake, [consumed(offset, timestamp_ms=RECEIVED_MS - age * DAY_MS)])
    table, today = lake.tables["events"], date(2026, 11, 25)
    assert table.expire(today, 0) == 0
    assert table.expire(today, 30) == 2
    assert (offsets(lake), offsets(lake, "raw")) == ([2, 3], [0, 1, 2, 3])
    assert opened(tmp_path).position(*AT) == 4


def test_the_log_is_checkpointed_and_keeps_positions(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    for offset in range(55):
        lake.tables["raw"].append(RAW.columns.empty_table(), {AT: Span(0, offset)})
    log = tmp_path / "raw" / "_delta_log"
    [checkpoint] = log.glob("*.checkpoint.parquet")
    for commit in log.glob("*.json"):
        if commit.name < checkpoint.name:
            commit.unlink()
    assert LakeTable(str(tmp_path), RAW).read()
    assert opened(tmp_path).tables["raw"].position(*AT) == 55


def test_a_table_is_one_that_athena_reads(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    for table in lake.tables.values():
        protocol = table.delta.protocol()
        assert (protocol.min_reader_version, protocol.reader_features) == (1, None)
        assert tuple(table.delta.metadata().partition_columns) == PARTED_BY


@pytest.mark.parametrize("path", ["file", "file/lake"])
def test_a_folder_that_can_not_be_is_named(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SinkUnavailable, match=f"{path}/raw"):
        Lake(str(tmp_path / path)).open()


def test_a_lake_that_is_none_is_seen_as_none(tmp_path: Path) -> None:
    assert not LakeTable(str(tmp_path), RAW).read()
    assert not DeltaTable.is_deltatable(str(tmp_path / "raw"))


def test_a_span_is_where_reading_began_and_ended() -> None:
    batch = Lake("nowhere").batch()
    for offset in (3, 9):
        batch.add(consumed(offset), 1)
    assert batch.spans == {AT: Span(1, 9)}
