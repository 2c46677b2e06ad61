"""The file that remembers under which ids this gateway has written to Kafka."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from gateway.instances import KEPT, Instances
from gateway.outbox import StoreOutbox
from gateway.store import Settings, open_store
from heat.errors import StoreError


def test_the_newest_are_kept(tmp_path: Path) -> None:
    file = Instances(tmp_path)
    assert file.load() == []
    for number in range(KEPT + 3):
        assert file.add(f"id-{number}")[-1] == f"id-{number}"
    assert file.load() == Instances(tmp_path).load() == [f"id-{number}" for number in range(3, KEPT + 3)]


def test_an_id_is_there_once_and_moves_to_the_end(tmp_path: Path) -> None:
    file = Instances(tmp_path)
    for instance in ("a", "b", "a"):
        file.add(instance)
    assert file.load() == ["b", "a"]


def test_older_ones_come_before_all_and_are_the_first_to_go(tmp_path: Path) -> None:
    file = Instances(tmp_path)
    file.add("b")
    assert file.add("b", older=["a", "b"]) == file.load() == ["a", "b"]
    for number in range(KEPT - 2):
        file.add(f"id-{number}")
    assert file.add("last", older=["z", "a"])[:2] == ["b", "id-0"]


def test_whoever_is_cut_off_while_it_is_written_finds_the_old_or_the_new(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All of the new file is on disk before it takes the place of the old one, and then its name is."""
    file = Instances(tmp_path)
    file.add("a")
    steps: list[tuple[str, list[str], str]] = []
    fsync, rename = os.fsync, Path.rename

    def recording_fsync(descriptor: int) -> None:
        path = Path(f"/proc/self/fd/{descriptor}").readlink()
        steps.append((path.name, file.load(), path.read_text() if path.is_file() else ""))
        fsync(descriptor)

    def recording_rename(path: Path, to: Path) -> Path:
        steps.append((f"{path.name} -> {to.name}", file.load(), ""))
        return rename(path, to)

    monkeypatch.setattr(os, "fsync", recording_fsync)
    monkeypatch.setattr(Path, "rename", recording_rename)
    file.add("b")
    assert steps == [
        ("instances.new", ["a"], "a\nb\n"),
        ("instances.new -> instances", ["a"], ""),
        (tmp_path.name, ["a", "b"], ""),
    ]


def test_rubbish_in_it_hides_nothing(tmp_path: Path) -> None:
    file = Instances(tmp_path)
    file.add("a")
    with (tmp_path / "instances").open("ab") as raw:
        raw.write(b"\xff\x00\n")
    file.add("b")
    assert {"a", "b"} <= set(file.load())


def test_an_unreadable_file_is_not_taken_for_an_empty_one(tmp_path: Path) -> None:
    (tmp_path / "instances").mkdir()
    with pytest.raises(StoreError, match="instances"):
        Instances(tmp_path).load()
    with pytest.raises(StoreError, match="instances"):
        Instances(tmp_path).add("a")


async def test_the_database_keeps_no_more_than_the_file(tmp_path: Path) -> None:
    with closing(open_store(Settings(tmp_path, "gw-1", ballast_bytes=0))) as store:
        outbox = StoreOutbox(store)
        await outbox.register_instance("first")
        for number in range(KEPT):
            Instances(tmp_path).add(f"id-{number}")
        await outbox.register_instance("last")
        with closing(store.reader()) as reader:
            assert reader.execute("SELECT instance FROM instances").fetchall() == [("last",)]
