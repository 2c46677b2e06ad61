"""What the downlink needs of the gateway: a memory in which records and the position after them change together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from cloud_sync.kafka_reader import Arrived
from cloud_sync.resume import Mark, Place


class Inbox(Protocol):
    """The gateway's side."""

    def scope(self, topic: str) -> str:
        """What it picks out of a topic; a change has the topic read anew."""

    def now_ms(self) -> int | None:
        """Unix time, ms; None while nobody knows it."""

    async def mark(self, place: Place) -> Mark | None:
        """How far a partition was read; None if it never was."""

    async def take(self, place: Place, records: Sequence[Arrived], mark: Mark) -> int:
        """Make of the records what they say, and keep the mark, all or nothing; the same ones may come again.

        Where `mark.whole`, what the snapshot has not named is removed with it, and the snapshot is over. Returns how
        many records made no sense, and were passed over.

        Raises:
            StoreError: nothing was done; it may come again.
        """
