"""Where to go on: the table case by case, and then any history of crashes, restores and forgetting."""

from __future__ import annotations

import asyncio
import functools
import itertools
import pickle
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cloud_sync.position import (
    Author,
    DatabaseSide,
    Decision,
    Foreign,
    GoOn,
    GoOnMarked,
    KafkaPosition,
    Note,
    decide,
    decode_note,
    encode_note,
    explain,
)
from tests.cloud_sync.examples import pours
from tests.cloud_sync.sqlite_outbox import SqliteOutbox


def kafka(offset: int = 40, epoch: int = 2, last: str = "id-40") -> KafkaPosition:
    return KafkaPosition(offset, Note(epoch=epoch, instance="ours", last=last))


def database(
    confirmed: int = 40, there: str | None = "id-40", author: Author = "here", sent: bool = True, epoch: int = 2
) -> DatabaseSide:
    return DatabaseSide(confirmed, epoch, has_sent=sent, author=author, id_at_offset=there)


CASES: dict[str, tuple[KafkaPosition | None, DatabaseSide, Decision]] = {
    "first start": (None, database(0, None, sent=False), GoOn(0)),
    "forgotten": (None, database(40), GoOnMarked(40, "forgotten")),
    "forgotten before anything was confirmed": (None, database(0, None), GoOnMarked(0, "forgotten")),
    "clone": (kafka(), database(author="nowhere"), Foreign("ours")),
    "clone of a lost epoch": (kafka(epoch=9), database(author="nowhere"), Foreign("ours")),
    "moved by hand": (KafkaPosition(10, None), database(author="nowhere"), GoOnMarked(10, "moved_back")),
    "moved ahead by hand": (KafkaPosition(90, None), database(author="nowhere"), GoOnMarked(40, "moved_back")),
    "nothing happened": (kafka(), database(), GoOn(40)),
    "crash between commit and confirm": (kafka(), database(30), GoOn(40)),
    "pruned": (kafka(), database(40, None), GoOn(40)),
    "restored, shorter": (kafka(), database(30, None), GoOnMarked(30, "restored", 2)),
    "restored, grown again": (kafka(), database(30, "id-40b"), GoOnMarked(30, "restored", 2)),
    "restored, and the same event at the same place": (
        kafka(),
        database(30, author="beside"),
        GoOnMarked(30, "restored", 2),
    ),
    "recreated": (kafka(epoch=7), database(0, None, "beside", epoch=1), GoOnMarked(0, "restored", 7)),
    "recreated, and Kafka forgot": (None, database(0, None, epoch=1), GoOnMarked(0, "forgotten")),
    "from a later epoch": (kafka(epoch=3), database(), GoOnMarked(40, "restored", 3)),
    "begun anew, killed before anything was sent": (kafka(epoch=1), database(30, None), GoOn(30)),
    "begun anew, and went back": (kafka(10, 1, "id-10"), database(40, "id-10"), GoOnMarked(10, "moved_back", 1)),
    "went back": (kafka(10, last="id-10"), database(40, "id-10"), GoOnMarked(10, "moved_back", 2)),
    "went back, pruned": (kafka(10, last="id-10"), database(40, None), GoOnMarked(10, "moved_back", 2)),
}


@pytest.mark.parametrize(("position", "side", "expected"), CASES.values(), ids=CASES.keys())
def test_where_to_go_on(position: KafkaPosition | None, side: DatabaseSide, expected: Decision) -> None:
    decision = decide(position, side)
    assert decision == expected
    assert explain(decision)


def test_a_note_comes_back_from_the_metadata() -> None:
    note = Note(epoch=3, instance="0f" * 8, last="hot-bar-1:5e3a09c1:42")
    assert decode_note(encode_note(note)) == note
    assert len(encode_note(note)) < 4096, "Kafka's default limit for an offset's metadata"


@pytest.mark.parametrize("metadata", ["", "moved by ops", "{}", '{"epoch":-1,"instance":"a","last":"b"}', "[1]"])
def test_other_metadata_is_no_note(metadata: str) -> None:
    assert decode_note(metadata) is None


@dataclass
class Broker:
    """What Kafka holds: events with their marks, and a position that moves together with them."""

    log: list[tuple[str, bool]]
    position: KafkaPosition | None = None


class History:
    """One gateway, killed, restored, pruned and forgotten at any time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.outbox = SqliteOutbox(directory / "outbox.db")
        self.broker = Broker([])
        self.numbers = itertools.count(1)
        self.kept: set[str] = set()
        self.kept_in_backup: set[str] = set()
        self.lost: list[tuple[str, bytes]] = []
        self.repeated: set[str] = set()
        """Events that came in again: a new row, which no epoch marks."""
        self.position: int | None = None
        self.instance = ""

    async def play(self, steps: list[str]) -> None:
        ways: dict[str, Callable[[], Awaitable[object]]] = {
            "events": self.events,
            "start": self.start,
            "send": self.send,
            "send, killed before confirming": functools.partial(self.send, end="committed"),
            "killed before committing": functools.partial(self.send, end="nothing"),
            "prune": self.prune,
            "forget": self.forget,
            "backup": self.backup,
            "restore": self.restore,
            "recreate": self.recreate,
            "dispensers repeat": self.repeat,
        }
        await self.backup()
        for step in steps:
            await ways[step]()
        await self.start()
        while await self.send():
            pass
        self.outbox.close()

    async def events(self) -> None:
        rows = pours(3, first=next(self.numbers) * 10)
        self.outbox.append(rows)
        self.kept |= {str(row.id) for row in rows}

    async def start(self) -> None:
        outbox, kafka = self.outbox, self.broker.position
        self.instance = f"start-{next(self.numbers)}"
        side = DatabaseSide(
            confirmed=await outbox.confirmed(),
            epoch=await outbox.epoch(),
            has_sent=await outbox.has_sent(),
            author=await outbox.author(kafka.note.instance) if kafka and kafka.note else "nowhere",
            id_at_offset=await outbox.id_at(kafka.offset) if kafka else None,
        )
        decision = decide(kafka, side)
        assert not isinstance(decision, Foreign), "every instance is known here"
        if isinstance(decision, GoOnMarked):
            epoch = await outbox.begin_epoch(decision.position, decision.above_epoch)
            assert kafka is None or kafka.note is None or epoch > kafka.note.epoch
            event(decision.why)
        else:
            await outbox.confirm(decision.position)
        self.position = decision.position

    async def send(self, end: str = "confirmed") -> bool:
        if self.position is None:
            await self.start()
        assert self.position is not None
        rows = await self.outbox.read(self.position, 4)
        if rows:
            await self.outbox.register_instance(self.instance)
            if end != "nothing":
                self.broker.log += [(str(row.id), row.redelivered) for row in rows]
                note = Note(epoch=await self.outbox.epoch(), instance=self.instance, last=str(rows[-1].id))
                self.broker.position = KafkaPosition(rows[-1].position, note)
            self.position = rows[-1].position
            if end == "confirmed":
                await self.outbox.confirm(self.position)
            else:
                self.position = None
        return bool(rows)

    async def prune(self) -> None:
        self.outbox.prune()

    async def forget(self) -> None:
        self.broker.position = self.position = None

    async def backup(self) -> None:
        self.outbox.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.directory / "outbox.db", self.directory / "backup.db")
        self.kept_in_backup = set(self.kept)

    async def restore(self) -> None:
        self.replace(self.directory / "backup.db")
        self.kept = set(self.kept_in_backup)

    async def recreate(self) -> None:
        self.replace(None)
        self.kept = set()

    def replace(self, backup: Path | None) -> None:
        """Lose the database, and what dispensers have freed with it; what stays beside it stays."""
        self.lost = [(id_, row) for id_, row in self.outbox.db.execute("SELECT id, row FROM rows ORDER BY position")]
        self.outbox.close()
        for path in self.directory.glob("outbox.db*"):
            path.unlink()
        if backup is not None:
            shutil.copy(backup, self.directory / "outbox.db")
        self.outbox = SqliteOutbox(self.directory / "outbox.db")
        self.position = None

    async def repeat(self) -> None:
        """Dispensers whose ACK was lost send again what the database has lost, before anything else."""
        there = {id_ for (id_,) in self.outbox.db.execute("SELECT id FROM rows")}
        again = [pickle.loads(row) for id_, row in self.lost[-2:] if id_ not in there]  # noqa: S301
        self.outbox.append(again)
        self.kept |= {str(row.id) for row in again}
        self.repeated |= {str(row.id) for row in again}
        self.lost = []


STEPS = [
    *("events", "events", "events", "send", "send", "send, killed before confirming", "killed before committing"),
    *("start", "prune", "forget", "backup", "restore", "restore", "recreate", "dispensers repeat"),
]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.sampled_from(STEPS), max_size=30))
def test_in_any_history_all_goes_up_and_nothing_twice_unmarked(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        history = History(Path(directory))
        asyncio.run(history.play(steps))
    log = history.broker.log
    missing = history.kept - {id_ for id_, _ in log}
    assert not missing, f"never sent: {missing}"
    seen: set[str] = set()
    for id_, marked in log:
        assert marked or id_ not in seen or id_ in history.repeated, f"{id_} came again without a mark"
        seen.add(id_)
