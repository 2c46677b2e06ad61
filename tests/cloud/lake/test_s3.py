"""The lake in an object store: each row once by conditional writes, without a table of locks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud.lake.lake import Lake
from cloud.lake.table import LakeTable
from cloud_sync.topics import EVENTS
from heat.errors import SinkUnavailable
from picante.cli import main
from tests.cloud.lake.records import consumed, offsets, put
from tests.s3 import S3Server
from tests.serving import serving

LAKE = "s3://lake/brand"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    yield from serving(S3Server, tmp_path_factory.mktemp("s3"))


def opened(s3: S3Server, folder: str) -> Lake:
    lake = Lake(f"{LAKE}/{folder}", s3.options)
    lake.open()
    return lake


def test_rows_are_there_once_and_positions_with_them(s3: S3Server) -> None:
    put(opened(s3, "once"), map(consumed, range(5)))
    again = opened(s3, "once")
    assert again.position(EVENTS.name, 0) == 5
    assert put(again, map(consumed, range(3, 8)), start=0)["events"] == 3
    assert offsets(again, "raw") == offsets(again) == list(range(8))


def test_of_two_that_commit_at_once_one_is_turned_away(s3: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = opened(s3, "two"), opened(s3, "two")
    commit = LakeTable._commit

    def overtaken(table: LakeTable, *rest: object) -> None:
        monkeypatch.setattr(LakeTable, "_commit", commit)
        put(second, map(consumed, range(3)))
        put(second, [consumed(0, partition=1)])
        commit(table, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(LakeTable, "_commit", overtaken)
    assert put(first, map(consumed, range(4)))["raw"] == 1
    assert offsets(first) == [0, 0, 1, 2, 3]


def test_files_are_melted_and_removed(s3: S3Server) -> None:
    lake = opened(s3, "small")
    for offset in range(3):
        put(lake, [consumed(offset)])
    table = lake.tables["events"]
    assert table.compact()["numFilesRemoved"] == 3
    assert len(table.vacuum(0)) == 3
    assert (offsets(lake), len(table.delta.file_uris())) == ([0, 1, 2], 1)


def test_the_commands_reach_it_by_the_file_of_options(s3: S3Server, tmp_path: Path) -> None:
    put(opened(s3, "asked"), [consumed(0), consumed(1)])
    options = tmp_path / "lake-storage.toml"
    options.touch(0o600)
    options.write_text("".join(f'{name} = "{value}"\n' for name, value in s3.options.items()))
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'[kafka]\nbootstrap = "127.0.0.1:1"\n[lake]\npath = "{LAKE}/asked"\nstorage_options = "{options.name}"\n'
    )
    arguments = ["lake", "query", "SELECT count(*) AS n FROM events", "--format", "csv", "--config", str(config)]
    assert CliRunner().invoke(main, arguments).output == "n\n2\n"
    assert "s3://lake/brand/asked/raw" in CliRunner().invoke(main, ["lake", "info", "--config", str(config)]).output


def test_a_bucket_that_is_not_there_is_named(s3: S3Server) -> None:
    with pytest.raises(SinkUnavailable, match="s3://none/lake/raw"):
        Lake("s3://none/lake", s3.options).open()


def test_a_store_that_is_away_is_told_soon_and_without_keys(tmp_path: Path) -> None:
    options = tmp_path / "lake-storage.toml"
    options.touch(0o600)
    away = {**S3Server(tmp_path / "s3").options, "AWS_SECRET_ACCESS_KEY": "hidden"}  # it was never started
    options.write_text("".join(f'{name} = "{value}"\n' for name, value in away.items()))
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'[kafka]\nbootstrap = "127.0.0.1:1"\n[lake]\npath = "{LAKE}"\nstorage_options = "{options.name}"\n'
    )
    done = CliRunner().invoke(main, ["lake", "info", "--config", str(config)])
    assert done.exit_code == 1
    assert "s3://lake/brand/raw: " in done.output
    assert "after 3 retries" in done.output
    assert "\x1b" not in done.output
    assert "hidden" not in done.output
