"""The outbox -> Kafka, exactly once into the topic. The gateway composes it: `Uplink(outbox, settings).run()`.

One turn: make a batch of rows ready, and only then open a transaction, send all of it, add its position, commit; then
tell the outbox. There is one transaction at a time; while Kafka answers for it, the next batch is made ready, but none
of it is sent. Kafka's position, committed with the rows, says where to go on after a restart, not SQLite's. After any
failure `run()` raises and everything is thrown away; the supervisor runs it again, with backoff.

Between two of these transactions the gateway may tell of itself (`cloud_sync.pulse`), in one of its own without a
position: what is wrong with that record or its topic breaks no transaction of events.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal, NoReturn

from cloud_sync import dead_letter, envelope
from cloud_sync.kafka_client import KafkaSink, Packed
from cloud_sync.outbox import Outbox, Row, StoredRefusal
from cloud_sync.position import Author, DatabaseSide, Foreign, GoOn, GoOnMarked, KafkaPosition, Note, decide, explain
from cloud_sync.pulse import NO_PULSE, Pulse
from cloud_sync.record import Record
from cloud_sync.settings import UplinkSettings
from cloud_sync.topics import DEAD_LETTERS, POSITION
from heat.errors import ForeignInstance, RecordRejected, SinkRefused, SinkUnavailable, SyncError
from heat.quality import Refusal

log = logging.getLogger(__name__)

KEPT_TIMES = 1_000
"""Transactions whose times are kept until somebody reads them: more than a second has."""
State = Literal["connecting", "idle", "draining", "unreachable", "refused", "foreign"]
"""`draining`: at least a whole batch waits. `refused`: Kafka does not let us in, or is not whom we trust; it is tried
again, since files may be mended. `foreign`: stopped, until a person says that nobody else has our name."""


@dataclass(slots=True)
class UplinkStatus:
    """What the uplink does now and has done since the process began. Read it; the uplink writes it."""

    since_s: float
    """When `state` began, by the uplink's clock (monotonic)."""
    position_kept_by: Literal["kafka", "sqlite"]
    """`sqlite`: at least once only."""
    state: State = "connecting"
    position: int = 0
    """Rows up to here are in Kafka."""
    epoch: int = 0
    in_flight: int = 0
    """Rows in the open transaction."""
    transactions: int = 0
    sent: int = 0
    """Records in committed transactions, dead letters included."""
    dead_letters: int = 0
    redelivered: int = 0
    transaction_s: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_TIMES))
    """Seconds that transactions took, from their begin until Kafka had committed them; whoever reads them takes
    them out."""
    sent_s: float | None = None
    """Unix time, s, of the last of them."""
    failures: int = 0
    refusals: int = 0
    """Failures that are mended at the gateway's or the brokers' credentials."""
    last_error: str | None = None
    """It stays after the state got better."""
    foreign_instance: str | None = None


@dataclass(frozen=True, slots=True)
class _Batch:
    """What one transaction carries, ready to be sent."""

    rows: Sequence[Row]
    packed: Sequence[Packed]
    dead_letters: int

    @property
    def position(self) -> int:
        """Kafka's, once this is committed."""
        return self.rows[-1].position


def pause_s(waiting: int, limit: int, since_last_s: float, interval_s: float) -> float:
    """Seconds to gather on before the next transaction; 0 where a whole batch waits or the last one is long ago."""
    return 0.0 if waiting >= limit else max(interval_s - since_last_s, 0.0)


def _state_of(error: SyncError) -> State:
    match error:
        case ForeignInstance():
            return "foreign"
        case SinkRefused():
            return "refused"
        case _:
            return "unreachable"


class Uplink:
    """One gateway's way up."""

    def __init__(
        self,
        outbox: Outbox,
        settings: UplinkSettings,
        clock: Callable[[], float] = time.monotonic,
        pulse: Pulse = NO_PULSE,
    ) -> None:
        self.pulse = pulse
        """What the gateway tells of itself; it may be replaced until `run()` is called."""
        self.instance = secrets.token_hex(8)
        """Names this process in the position's note, and tells us from a clone."""
        self.status = UplinkStatus(clock(), settings.position)
        self._outbox = outbox
        self._settings = settings
        self._clock = clock
        self._had_sent: bool | None = None
        self._limit = settings.batch
        self._rejections: Counter[int] = Counter()
        self._unproved: str | None = None
        """How we go on, once Kafka has proved that it takes what we send: that it lets us in does not say so."""
        self._begun: GoOnMarked | None = None
        """Why the epoch was begun in which nothing has succeeded yet."""
        self._adopted = asyncio.Event()

    async def run(self) -> NoReturn:
        """Send until cancelled.

        Raises:
            SinkUnavailable: run again after a pause.
            ForeignInstance: don't, until `adopt()`.
        """
        try:
            sink, position = await KafkaSink.open(self._settings)
            try:
                await self._send_all(sink, await self._where_to_go_on(position))
            finally:
                self.status.in_flight = 0
                await sink.aclose()
        except SyncError as error:
            self._tell(error)
            raise

    async def adopt(self) -> None:
        """Count the foreign instance as one of ours, and let `run()` go on: no other gateway has our name."""
        if self.status.foreign_instance is not None:
            await self._outbox.adopt_instance(self.status.foreign_instance)
            self.status.foreign_instance = None
            self._enter("connecting")
            self._adopted.set()

    async def wait_for_adoption(self) -> None:
        """Return once `adopt()` was called since this last returned."""
        await self._adopted.wait()
        self._adopted.clear()

    async def _where_to_go_on(self, kafka: KafkaPosition | None) -> int:
        confirmed, epoch = await self._outbox.confirmed(), await self._outbox.epoch()
        if self._settings.position == "sqlite":
            self._connected(confirmed, epoch, f"at least once, from the database's position {confirmed}")
            return confirmed
        if self._had_sent is None:
            self._had_sent = await self._outbox.has_sent()
        # what this process sent without success Kafka can't have had and forgotten: that takes days
        has_sent = self._had_sent or self.status.transactions > 0
        author: Author = await self._outbox.author(kafka.note.instance) if kafka and kafka.note else "nowhere"
        there = await self._outbox.id_at(kafka.offset) if kafka else None
        decision = decide(kafka, DatabaseSide(confirmed, epoch, has_sent, author, there))
        match decision:
            case GoOn():
                await self._outbox.confirm(decision.position)
            case GoOnMarked():
                if decision != self._begun:  # else what was sent in that epoch has failed: nothing new comes again
                    epoch = await self._outbox.begin_epoch(decision.position, decision.above_epoch)
            case Foreign():
                self.status.foreign_instance = decision.instance
                hint = (
                    "If another gateway runs under this name, give it one of its own or stop it for good; then, or if"
                    " there is none (a new card, or an old one restored), run: picante gateway adopt"
                )
                raise ForeignInstance(explain(decision), hint=hint)
        self._begun = decision if isinstance(decision, GoOnMarked) else None
        self._connected(decision.position, epoch, explain(decision))
        return decision.position

    async def _send_all(self, sink: KafkaSink, position: int) -> NoReturn:
        following = asyncio.create_task(self._next(sink, position, float("-inf")), name="uplink-next")
        telling = asyncio.create_task(self.pulse.next(sink.pack), name="uplink-pulse")
        try:
            while True:
                await asyncio.wait({following, telling}, return_when=asyncio.FIRST_COMPLETED)
                if telling.done():
                    await self._tell_of_us(sink, telling.result())
                    telling = asyncio.create_task(self.pulse.next(sink.pack), name="uplink-pulse")
                if not following.done():
                    continue
                batch = following.result()
                if not self.status.transactions:
                    await self._outbox.register_instance(self.instance)
                self._go_on("draining" if len(batch.rows) >= self._limit else "idle")
                following = asyncio.create_task(self._next(sink, batch.position, self._clock()), name="uplink-next")
                await self._commit(sink, batch)
                await self._outbox.confirm(batch.position)
        finally:
            for task in (following, telling):
                task.cancel()
            await asyncio.gather(following, telling, return_exceptions=True)

    async def _tell_of_us(self, sink: KafkaSink, packed: Sequence[Packed]) -> None:
        try:
            await sink.commit(packed)
        except SyncError as error:
            self.pulse.failed(error)
            if isinstance(error, RecordRejected | SinkRefused):  # of this record alone: events may go on
                raise SinkUnavailable(f"a heartbeat failed: {error}", hint="Events go on without them") from error
            raise
        self.pulse.sent()

    async def _next(self, sink: KafkaSink, after: int, began_s: float) -> _Batch:
        rows, letters, epoch = await self._gather(after, began_s), 0, self.status.epoch

        def records() -> Iterator[Record]:
            nonlocal letters
            for row in rows:
                record = self._record(row)
                letters += record.topic == DEAD_LETTERS.name
                yield record.with_header(POSITION, b"%d:%d" % (epoch, row.position))

        packed = await sink.pack(records())
        return _Batch(rows, packed, letters)

    async def _gather(self, after: int, began_s: float) -> list[Row]:
        while True:
            rows = await self._outbox.read(after, self._limit)
            if rows:
                pause = pause_s(len(rows), self._limit, self._clock() - began_s, self._settings.interval_s)
                if not pause:
                    return rows
                await asyncio.sleep(pause)
                continue
            if not self.status.in_flight:
                self._prove()
            self._go_on("idle")
            await self._outbox.wait(after)
            if not await self._outbox.read(after, 1):
                # rows that wait for the time of day may wake us, too; they will not be ready at once
                await asyncio.sleep(self._settings.interval_s)

    async def _commit(self, sink: KafkaSink, batch: _Batch) -> None:
        note = Note(epoch=self.status.epoch, instance=self.instance, last=str(batch.rows[-1].id))
        self.status.in_flight = len(batch.rows)
        began_s = self._clock()
        try:
            await sink.commit(batch.packed, (batch.position, note))
        except RecordRejected as error:
            self._narrow(batch.rows)
            raise SinkUnavailable(str(error), hint="Smaller batches will find the record that is at fault") from error
        self.status.transaction_s.append(self._clock() - began_s)
        self._count(batch)
        self._limit = min(self._limit * 2, self._settings.batch)

    def _record(self, row: Row) -> Record:
        rejections = self._rejections[row.position]
        keep_bytes = 0 if rejections > 1 else dead_letter.KEPT_BYTES
        if isinstance(row, StoredRefusal):
            return dead_letter.from_refusal(row, 0 if rejections else keep_bytes)
        if (fault := envelope.fault(row)) is not None:
            log.warning("a stored event can't be read and becomes a dead letter", extra={"event_id": str(row.id)})
            return dead_letter.from_event(row, fault, 0 if rejections else keep_bytes)
        record = envelope.encode(row)
        if rejections or record.size_bytes > envelope.MAX_ENVELOPE_BYTES:
            log.warning("an event is too large for Kafka and becomes a dead letter", extra={"event_id": str(row.id)})
            fault = Refusal("too_large", f"{len(record.value or b'')} bytes are too large for Kafka")
            return dead_letter.from_event(row, fault, keep_bytes)
        return record

    def _narrow(self, rows: Sequence[Row]) -> None:
        """Halve the batches until the record that Kafka will not take is alone in one; then it is a dead letter."""
        self._limit = max(len(rows) // 2, 1)
        if len(rows) == 1:
            self._rejections[rows[0].position] += 1

    def _count(self, batch: _Batch) -> None:
        status = self.status
        status.in_flight = 0
        status.position = batch.position
        status.transactions += 1
        status.sent += len(batch.rows)
        status.sent_s = time.time()
        status.redelivered += sum(row.redelivered for row in batch.rows)
        status.dead_letters += batch.dead_letters
        self._rejections.clear()
        self._begun = None
        self._prove()

    def _connected(self, position: int, epoch: int, how: str) -> None:
        self.status.position, self.status.epoch = position, epoch
        self._unproved = how

    def _prove(self) -> None:
        """All goes well: a transaction was committed, or there is none to commit."""
        if self._unproved is None:
            return
        if self.status.state not in ("idle", "draining"):
            log.info("Kafka at %s: %s", self._settings.bootstrap, self._unproved)
        self._unproved = None
        self._enter("idle")

    def _go_on(self, state: Literal["idle", "draining"]) -> None:
        if self._unproved is None:
            self._enter(state)

    def _tell(self, error: SyncError) -> None:
        self.status.failures += 1
        self.status.last_error = str(error)
        self.status.refusals += isinstance(error, SinkRefused)
        if self._enter(_state_of(error)):
            log.warning("Uplink: %s", error)

    def _enter(self, state: State) -> bool:
        """Take note of a state; whether it is another one than before."""
        if self.status.state == state:
            return False
        self.status.state, self.status.since_s = state, self._clock()
        return True
