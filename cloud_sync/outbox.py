"""What the uplink takes from the edge: the seam between a store of events and Kafka.

The outbox is the stored rows above the confirmed position. A row is either an event, bound for the events topic, or a
refusal, bound for the dead letters; both share one sequence of positions, so one position says what Kafka holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cloud_sync.position import Author
from heat.events import ClockState
from heat.identity import EventId
from heat.quality import Reason

FIRST_EPOCH = 1
"""That of a new database: nothing is sent again in it."""


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """One event as the store holds it; `data` is the JSON of its `heat.events` type."""

    position: int
    id: EventId
    type: str
    subject: str | None
    time_ms: int
    """Unix time in ms, as good as `clock` says."""
    day: int
    """UTC day number that its profile bucket has."""
    clock: ClockState
    origin: str
    """The gateway that took it."""
    data: bytes
    redelivered: bool
    """Kafka may hold it already: it comes again after a restore or a forgotten position."""


@dataclass(frozen=True, slots=True)
class StoredRefusal:
    """One event that could not be accepted, with the bytes of its wire body; tokens travel in no event."""

    position: int
    id: EventId
    time_ms: int
    origin: str
    reason: Reason
    detail: str
    body: bytes
    redelivered: bool


Row = StoredEvent | StoredRefusal


class Outbox(Protocol):
    """The store as the uplink sees it. Every method may be cancelled, and be called again after that."""

    async def read(self, after: int, limit: int) -> list[Row]:
        """At most `limit` rows above position `after`, in order; fewer where later ones must wait (clock unknown)."""

    async def id_at(self, position: int) -> str | None:
        """The event id at a position, or None if there is no row that Kafka may have.

        A row that came in since this process began, and was not read, Kafka can't have: what it has at that position
        belongs to a database that was lost.
        """

    async def confirmed(self) -> int:
        """The position that the store knows to be in Kafka; 0 at first."""

    async def confirm(self, position: int) -> None:
        """Rows up to `position` are in Kafka; they may be pruned from now on."""

    async def epoch(self) -> int:
        """The epoch of this database: how often it had to begin anew."""

    async def begin_epoch(self, redeliver_after: int, above: int) -> int:
        """Begin the next epoch, later than `above`: rows above `redeliver_after` are sent, marked redelivered.

        Where such an epoch was begun already and nothing was confirmed since, it goes on: another process may have
        sent in it what Kafka forgot, so the rows that came in meanwhile are marked, too.
        """

    async def register_instance(self, instance: str) -> None:
        """Record this process's instance id durably, in the database and beside it, before Kafka ever sees it."""

    async def adopt_instance(self, instance: str) -> None:
        """Record another process's instance id beside the database: it was this gateway, with another database."""

    async def author(self, instance: str) -> Author:
        """Where an instance id is recorded."""

    async def has_sent(self) -> bool:
        """Whether any instance id is recorded: Kafka may hold something of ours."""

    async def wait(self, after: int) -> None:
        """Return as soon as there may be a row above `after`."""
