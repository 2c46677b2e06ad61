"""Compacted topics -> the gateway: profiles of the region's customers, and releases. `Downlink(inbox, settings).run()`.

Each partition is read from where the gateway's own memory says, without a consumer group, and each turn's records
change that memory in the transaction that moves the position. `resume` decides where to go on, and when a partition has
to be read anew. Nothing here touches the outbox. After any failure `run()` raises; the supervisor runs it again, with
backoff.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Literal, NoReturn

from cloud_sync.inbox import Inbox
from cloud_sync.kafka_reader import READ_RECORDS, KafkaReader, Stretch
from cloud_sync.resume import Anew, Log, Mark, Place, anew, decide, is_another_log, is_too_old
from cloud_sync.settings import ConnectionSettings
from cloud_sync.topics import PROFILES, RELEASES
from heat.errors import SinkRefused, SyncError

log = logging.getLogger(__name__)

TURN_S = 1.0
"""s between two turns while little comes: each is a transaction of the store, and an SD card's fsync."""
LOOK_S = 30.0
"""s between two looks at the topics: whether the broker answers, and how far they have grown."""
ABSENT_S = 60.0
"""s after which a topic that is not there, or has got more partitions, is looked for again."""
READ_MS = 3_600_000
"""ms after which it is kept again that everything was read; the tombstones stay for 120 days."""
State = Literal["connecting", "absent", "catching_up", "following", "unreachable", "refused"]
"""`absent`: Kafka has none of the topics. `catching_up`: a snapshot, or what came while we were away, is being read."""


@dataclass(slots=True)
class DownlinkStatus:
    """What the downlink does now and has done since the process began. Read it; the downlink writes it."""

    since_s: float
    """When `state` began, by the downlink's clock (monotonic)."""
    state: State = "connecting"
    records: int = 0
    """Records that were read."""
    passed_over: int = 0
    """Of those, what made no sense."""
    snapshots: int = 0
    """Partitions that were read anew, whole."""
    behind: int = 0
    """Offsets between what was read and the ends of the topics, at the last look."""
    failures: int = 0
    last_error: str | None = None
    """It stays after the state got better."""


class Downlink:
    """One gateway's way down."""

    def __init__(
        self,
        inbox: Inbox,
        settings: ConnectionSettings,
        topics: tuple[str, ...] = (PROFILES.name, RELEASES.name),
        clock_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.status = DownlinkStatus(clock_s())
        self._inbox = inbox
        self._settings = settings
        self._topics = topics
        self._clock_s = clock_s
        self._marks: dict[Place, Mark] = {}
        self._unproved: set[Place] = set()
        """Partitions whose first record is to be compared with the last one that was read."""

    @property
    def connected(self) -> bool:
        """Whether Kafka answers it."""
        return self.status.state in {"absent", "catching_up", "following"}

    async def run(self) -> NoReturn:
        """Read until cancelled.

        Raises:
            SinkUnavailable, StoreError: run again after a pause.
        """
        try:
            while True:
                async with KafkaReader.open(self._settings, self._topics) as (reader, logs):
                    await self._begin(reader, logs)
                    await self._follow(reader, logs)
        except SyncError as error:
            self._tell(error)
            raise

    async def _begin(self, reader: KafkaReader, logs: Mapping[Place, Log]) -> None:
        """Say where each partition is read on; begin snapshots where that can't be told."""
        self._marks.clear()
        self._unproved.clear()
        for place, there in logs.items():
            mark = await self._inbox.mark(place)
            how = decide(mark, there, self._inbox.scope(place.topic), self._inbox.now_ms())
            if isinstance(how, Anew):
                await self._begin_anew(reader, place, how)
            else:
                self._marks[place] = how.mark
                self._unproved.add(place)
                reader.seek(place, how.offset)

    async def _begin_anew(self, reader: KafkaReader, place: Place, how: Anew) -> None:
        log.info("%s, partition %s is read anew: %s", *place, how.why)
        self._unproved.discard(place)
        await self._take(Stretch(place, (), how.mark.next), how.mark)
        reader.seek(place, how.mark.next)

    async def _follow(self, reader: KafkaReader, logs: Mapping[Place, Log]) -> None:
        """Read on until the topics have to be looked for again."""
        complete = {place.topic for place in logs} == set(self._topics)
        until_s = self._clock_s() + (float("inf") if complete else ABSENT_S)
        looked_s = self._clock_s()
        self._judge(logs)
        while (began_s := self._clock_s()) < until_s:
            found = await reader.read(TURN_S) if logs else []
            for stretch in found:
                await self._go_on(reader, stretch)
            if not found or self._clock_s() - looked_s >= LOOK_S:
                await self._pass_gaps(reader)
            if self._clock_s() - looked_s >= LOOK_S:
                logs = await reader.look(logs)
                looked_s = self._clock_s()
                await self._note_read(reader, logs)
            self._judge(logs)
            if sum(len(stretch.records) for stretch in found) < READ_RECORDS // 2:
                await asyncio.sleep(max(TURN_S - (self._clock_s() - began_s), 0))

    async def _go_on(self, reader: KafkaReader, stretch: Stretch) -> None:
        place, records = stretch.place, stretch.records
        mark = self._marks[place]
        if place in self._unproved and records:
            self._unproved.discard(place)
            if is_another_log(mark, records[0].offset, records[0].timestamp_ms):
                there = (await reader.look([place]))[place]
                why, now_ms = "another log has taken its place", self._inbox.now_ms()
                how = anew(mark, there, self._inbox.scope(place.topic), why, now_ms)
                await self._begin_anew(reader, place, how)
                return
        fresh = [record for record in records if record.offset >= mark.next]
        last = records[-1]
        await self._take(Stretch(place, fresh, stretch.next), mark.after(stretch.next, last.offset, last.timestamp_ms))

    async def _pass_gaps(self, reader: KafkaReader) -> None:
        """Take note of how far a snapshot is where nothing more comes: what its end was may have been compacted."""
        for place, mark in list(self._marks.items()):
            if mark.until is not None and (next_ := await reader.next_offset(place)) > mark.next:
                await self._take(Stretch(place, (), next_), replace(mark, next=next_))

    async def _note_read(self, reader: KafkaReader, logs: Mapping[Place, Log]) -> None:
        """Keep, once an hour, that everything was read; begin anew what was not read for too long."""
        now_ms = self._inbox.now_ms()
        for place, mark in list(self._marks.items()):
            if now_ms is None or mark.until is not None or mark.next < logs[place].end:
                continue
            if is_too_old(mark, now_ms):
                why = "the time is known now, and it was not read for too long"
                await self._begin_anew(reader, place, anew(mark, logs[place], mark.scope, why, now_ms))
            elif abs(now_ms - (mark.read_ms or 0)) > READ_MS:
                await self._take(Stretch(place, (), mark.next), replace(mark, read_ms=now_ms))

    async def _take(self, stretch: Stretch, mark: Mark) -> None:
        """Have it kept."""
        whole = mark.whole
        self.status.passed_over += await self._inbox.take(stretch.place, stretch.records, mark)
        self.status.records += len(stretch.records)
        self.status.snapshots += whole
        self._marks[stretch.place] = replace(mark, until=None) if whole else mark

    def _judge(self, logs: Mapping[Place, Log]) -> None:
        self.status.behind = sum(
            max(there.end - self._marks[place].next, 0) for place, there in logs.items() if place in self._marks
        )
        if not logs:
            self._enter("absent")
        elif self.status.behind or any(mark.until is not None for mark in self._marks.values()):
            self._enter("catching_up")
        else:
            self._enter("following")

    def _tell(self, error: SyncError) -> None:
        self.status.failures += 1
        self.status.last_error = str(error)
        if self._enter("refused" if isinstance(error, SinkRefused) else "unreachable"):
            log.warning("Downlink: %s", error)

    def _enter(self, state: State) -> bool:
        """Take note of a state; whether it is another one than before."""
        if self.status.state == state:
            return False
        self.status.state, self.status.since_s = state, self._clock_s()
        return True
