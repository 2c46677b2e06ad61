"""Where the uplink goes on after a start: what Kafka remembers, set against what the database holds. Pure.

Kafka's position is the offset that was committed in the same transaction as the rows, with a note on who wrote it. So
it is never wrong about the rows of *its* history; the question is whether this database is still that history:

    Kafka's note                         the database                        so
    ------------                         ------------                        --
    none                                 never sent anything                 first start: from 0
    none                                 confirmed up to c                   Kafka forgot: from c, marked redelivered
    from an instance never recorded      -                                   a clone, or an older database: stop
    no note of ours, let pass            -                                   moved by hand: from p or c, marked
    from a later epoch                   -                                   restored: from c, marked
    at p, before c                       -                                   Kafka's went back: from p, marked
    at p, row p has the noted id         -                                   go on from p
    at p, row p is gone                  p is confirmed, so it was pruned    go on from p
    at p, row p is another or missing    -                                   restored: from c, marked

One history can't be told from a first start: a backup from before the very first transaction, restored after Kafka
forgot its position. What is sent again then carries no mark; the cloud folds it by its identity all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal, assert_never

import msgspec
from msgspec import Meta


class Note(msgspec.Struct, frozen=True, kw_only=True):
    """The metadata of a committed position: which history it belongs to."""

    epoch: Annotated[int, Meta(ge=0)]
    instance: str
    last: str
    """The event id of the row at the position."""


@dataclass(frozen=True, slots=True)
class KafkaPosition:
    """A position that Kafka keeps. `note` is None where somebody else wrote it (a tool that moves offsets)."""

    offset: int
    note: Note | None

    @property
    def instance(self) -> str:
        """Who wrote it; empty where that is not known."""
        return self.note.instance if self.note else ""


@dataclass(frozen=True, slots=True)
class DatabaseSide:
    """What the database says, asked with Kafka's position in hand."""

    confirmed: int
    epoch: int
    has_sent: bool
    """Whether a transaction was ever begun with its rows; Kafka may hold some though nothing is confirmed."""
    knows_instance: bool
    id_at_offset: str | None


@dataclass(frozen=True, slots=True)
class GoOn:
    """Send what is above `position`."""

    position: int


@dataclass(frozen=True, slots=True)
class GoOnMarked:
    """Begin an epoch, and send what is above `position`, marked redelivered."""

    position: int
    why: Literal["forgotten", "restored", "moved_back"]


@dataclass(frozen=True, slots=True)
class Foreign:
    """Stop: the position was written by a gateway that this database knows nothing of."""

    instance: str


Decision = GoOn | GoOnMarked | Foreign


def decide(kafka: KafkaPosition | None, database: DatabaseSide) -> Decision:
    """Where to go on."""
    if kafka is None:
        return GoOnMarked(database.confirmed, "forgotten") if database.has_sent else GoOn(0)
    if not database.knows_instance:
        return Foreign(kafka.instance)
    if kafka.note is None:
        return GoOnMarked(min(kafka.offset, database.confirmed), "moved_back")
    if kafka.note.epoch > database.epoch:
        return GoOnMarked(database.confirmed, "restored")
    if database.id_at_offset is None:
        same_history = kafka.offset <= database.confirmed
    else:
        same_history = database.id_at_offset == kafka.note.last
    if not same_history:
        return GoOnMarked(database.confirmed, "restored")
    if kafka.offset < database.confirmed:
        return GoOnMarked(kafka.offset, "moved_back")
    return GoOn(kafka.offset)


_WHY = {
    "forgotten": "Kafka has forgotten the position",
    "restored": "the database is not the one that Kafka knows",
    "moved_back": "Kafka's position was moved back",
}


def explain(decision: Decision) -> str:
    """A decision as one line for the log."""
    match decision:
        case GoOn(position):
            return f"going on from position {position}"
        case GoOnMarked(position, why):
            return f"{_WHY[why]}: going on from position {position}, marking as redelivered what comes again"
        case Foreign(instance):
            return f"Kafka's position was written by {instance or 'someone else'}, unknown to this database"
        case _ as never:
            assert_never(never)


def encode_note(note: Note) -> str:
    """A note as the metadata of an offset."""
    return msgspec.json.encode(note).decode()


def decode_note(metadata: str) -> Note | None:
    """The note in an offset's metadata, or None if it isn't one of ours."""
    try:
        return msgspec.json.decode(metadata, type=Note)
    except msgspec.DecodeError:
        return None
