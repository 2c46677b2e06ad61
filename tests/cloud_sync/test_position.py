"""Where to go on: the table case by case, and then any history of crashes, restores and forgetting."""

from __future__ import annotations

import asyncio
import functools
import itertools
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from cloud_sync.position import (
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


def kafka(offset: int = 40, epoch: int = 1, last: str = "id-40") -> KafkaPosition:
    return KafkaPosition(offset, Note(epoch=epoch, instance="ours", last=last))


def database(confirmed: int = 40, there: str | None = "id-40", knows: bool = True, sent: bool = True) -> DatabaseSide:
    return DatabaseSide(confirmed, epoch=1, has_sent=sent, knows_instance=knows, id_at_offset=there)


CASES: dict[str, tuple[KafkaPosition | None, DatabaseSide, Decision]] = {
    "first start": (None, database(0, None, sent=False), GoOn(0)),
    "forgotten": (None, database(40), GoOnMarked(40, "forgotten")),
    "forgotten before anything was confirmed": (None, database(0, None), GoOnMarked(0, "forgotten")),
    "clone": (kafka(), database(knows=False), Foreign("ours")),
    "someone moved it": (KafkaPosition(40, None), database(knows=False), Foreign("")),
    "moved by hand, and let pass": (KafkaPosition(10, None), database(), GoOnMarked(10, "moved_back")),
    "moved ahead by hand, and let pass": (KafkaPosition(90, None), database(), GoOnMarked(40, "moved_back")),
    "nothing happened": (kafka(), database(), GoOn(40)),
    "crash between commit and confirm": (kafka(), database(30), GoOn(40)),
    "pruned": (kafka(), database(40, None), GoOn(40)),
    "restored, shorter": (kafka(), database(30, None), GoOnMarked(30, "restored")),
    "restored, grown again": (kafka(), database(30, "id-40b"), GoOnMarked(30, "restored")),
    "recreated": (kafka(), database(0, None, sent=False), GoOnMarked(0, "restored")),
    "from a later epoch": (kafka(epoch=2), database(), GoOnMarked(40, "restored")),
    "went back": (kafka(10, last="id-10"), database(40, "id-10"), GoOnMarked(10, "moved_back")),
    "went back, pruned": (kafka(10, last="id-10"), database(40, None), GoOnMarked(10, "moved_back")),
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
        await outbox.register_instance(self.instance)
        if kafka is not None:
            await outbox.register_instance(kafka.instance)  # a person has looked: it was this gateway
        side = DatabaseSide(
            confirmed=await outbox.confirmed(),
            epoch=await outbox.epoch(),
            has_sent=await outbox.knows_instance("any"),
            knows_instance=kafka is not None,
            id_at_offset=await outbox.id_at(kafka.offset) if kafka else None,
        )
        decision = decide(kafka, side)
        assert not isinstance(decision, Foreign), "every instance is known here"
        if isinstance(decision, GoOnMarked):
            await outbox.begin_epoch(decision.position)
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
            await self.outbox.register_instance("any")
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
        if self.kept and not await self.outbox.knows_instance("any"):
            return  # restored after Kafka forgot, it would look like a first start: see `cloud_sync.position`
        self.outbox.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.directory / "outbox.db", self.directory / "backup.db")
        self.kept_in_backup = set(self.kept)

    async def restore(self) -> None:
        self.outbox.close()
        for path in self.directory.glob("outbox.db*"):
            path.unlink()
        shutil.copy(self.directory / "backup.db", self.directory / "outbox.db")
        self.outbox = SqliteOutbox(self.directory / "outbox.db")
        self.kept = set(self.kept_in_backup)
        self.position = None


STEPS = [
    *("events", "events", "events", "send", "send", "send, killed before confirming", "killed before committing"),
    *("start", "prune", "forget", "backup", "restore"),
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
        assert marked or id_ not in seen, f"{id_} came again without a mark"
        seen.add(id_)
