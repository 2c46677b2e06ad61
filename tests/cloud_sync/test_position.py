"""Where to go on: the table case by case, and then any history of crashes, restores and forgetting."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import tempfile
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

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

T = TypeVar("T")


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


class Histories(RuleBasedStateMachine):
    """One gateway, killed, restored, pruned and forgotten at any time.

    It promises that no id is sent unmarked twice, and that whatever the database holds reaches Kafka.
    """

    def __init__(self) -> None:
        super().__init__()
        self.directory = Path(tempfile.mkdtemp())
        self.outbox = SqliteOutbox(self.directory / "outbox.db")
        self.numbers = itertools.count(1)
        self.broker = Broker([])
        self.starts = itertools.count(1)
        self.kept: set[str] = set()
        self.backup: set[str] | None = None
        self.position: int | None = None

    def do(self, work: Coroutine[object, object, T]) -> T:
        return self.loop.run_until_complete(work)

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        if not hasattr(self, "_loop"):
            self._loop = asyncio.new_event_loop()
        return self._loop

    @rule(count=st.integers(1, 5))
    def events_come(self, count: int) -> None:
        rows = pours(count, first=next(self.numbers) * 10)
        self.outbox.append(rows)
        self.kept |= {str(row.id) for row in rows}

    @rule()
    def it_starts(self) -> None:
        self.instance = f"start-{next(self.starts)}"
        self.do(self._start())

    async def _start(self) -> None:
        outbox, kafka = self.outbox, self.broker.position
        await outbox.register_instance(self.instance)
        if kafka is not None:
            await outbox.register_instance(kafka.instance)  # a person has looked: it was this gateway
        side = DatabaseSide(
            confirmed=await outbox.confirmed(),
            epoch=await outbox.epoch(),
            has_sent=await outbox.knows_instance("any"),
            knows_instance=kafka is not None and await outbox.knows_instance(kafka.instance),
            id_at_offset=await outbox.id_at(kafka.offset) if kafka else None,
        )
        decision = decide(kafka, side)
        assert not isinstance(decision, Foreign), "every instance is known here"
        if isinstance(decision, GoOnMarked):
            await outbox.begin_epoch(decision.position)
        else:
            await outbox.confirm(decision.position)
        self.position = decision.position

    @rule(limit=st.integers(1, 7), end=st.sampled_from(["confirmed", "killed after", "killed before"]))
    def it_sends(self, limit: int, end: str) -> None:
        if self.position is None:
            self.it_starts()
        self.do(self._send(limit, end))

    async def _send(self, limit: int, end: str) -> None:
        assert self.position is not None
        rows = await self.outbox.read(self.position, limit)
        if not rows:
            return
        await self.outbox.register_instance("any")
        last, epoch = rows[-1], await self.outbox.epoch()
        if end != "killed before":
            self.broker.log += [(str(row.id), row.redelivered) for row in rows]
            note = Note(epoch=epoch, instance=self.instance, last=str(last.id))
            self.broker.position = KafkaPosition(last.position, note)
        if end == "confirmed":
            await self.outbox.confirm(last.position)
            self.position = last.position
        else:
            self.position = None

    @rule()
    def confirmed_rows_are_pruned(self) -> None:
        self.outbox.prune()

    @rule()
    def kafka_forgets_the_position(self) -> None:
        self.broker.position = None
        self.position = None

    @rule()
    def a_backup_is_made(self) -> None:
        self.outbox.db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        shutil.copy(self.directory / "outbox.db", self.directory / "backup.db")
        self.backup = set(self.kept)

    @rule()
    def the_backup_is_restored(self) -> None:
        if self.backup is not None:
            self.outbox.close()
            for path in self.directory.glob("outbox.db*"):
                path.unlink()
            shutil.copy(self.directory / "backup.db", self.directory / "outbox.db")
            self.outbox = SqliteOutbox(self.directory / "outbox.db")
            self.kept = set(self.backup)
            self.position = None

    @invariant()
    def nothing_goes_up_twice_unmarked(self) -> None:
        unmarked = Counter(id_ for id_, marked in self.broker.log if not marked)
        assert all(count == 1 for count in unmarked.values()), unmarked
        seen: set[str] = set()
        for id_, marked in self.broker.log:
            assert marked or id_ not in seen, f"{id_} came again without a mark"
            seen.add(id_)

    def teardown(self) -> None:
        self.it_starts()
        for _ in range(40):
            self.it_sends(5, "confirmed")
        missing = self.kept - {id_ for id_, _ in self.broker.log}
        self.outbox.close()
        self.loop.close()
        shutil.rmtree(self.directory)
        assert not missing, f"never sent: {missing}"


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestHistories = Histories.TestCase
