"""Where the uplink goes on after a start: what Kafka remembers, set against what the database holds. Pure.

Kafka's position is the offset that was committed in the same transaction as the rows, with a note on who wrote it. So
it is never wrong about the rows of *its* history; the question is whether this database is still that history:

    Kafka's position                     the database                        so
    ----------------                     ------------                        --
    none                                 never sent anything                 first start: from 0
    none                                 confirmed up to c                   Kafka forgot: from c, marked redelivered
    without a note of ours               -                                   moved by a tool: from p or c, marked
    from an instance known nowhere       -                                   another gateway of our name: stop
    from one that is known beside it     -                                   restored or recreated: from c, marked
    from a later epoch                   -                                   restored: from c, marked
    from an earlier epoch                begun anew, and not sent since      from c
    at p, before c                       -                                   Kafka's went back: from p, marked
    at p, row p has the noted id         -                                   go on from p
    at p, row p is gone                  p is confirmed, so it was pruned    go on from p
    at p, row p is another or missing    -                                   restored: from c, marked

Instances are recorded in the database and beside it (`Outbox.register_instance`): what is known beside it alone was
this gateway, with another database. An epoch is always later than Kafka's, so that two restores of one backup differ.
An earlier epoch of such a database proves nothing, since the count of epochs began anew with it: it is marked again,
and its epoch goes on (`Outbox.begin_epoch`).
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


Author = Literal["here", "beside", "nowhere"]
"""In the database, only beside it, or in neither."""


@dataclass(frozen=True, slots=True)
class DatabaseSide:
    """What the database says, asked with Kafka's position in hand."""

    confirmed: int
    epoch: int
    has_sent: bool
    """Whether a transaction was ever begun with its rows; Kafka may hold some though nothing is confirmed."""
    author: Author
    """Where the instance that wrote Kafka's position is recorded."""
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
    above_epoch: int = 0
    """Kafka's epoch: the next one must be later."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """Stop: the position was written by a gateway that we know nothing of."""

    instance: str


Decision = GoOn | GoOnMarked | Foreign


def decide(kafka: KafkaPosition | None, database: DatabaseSide) -> Decision:
    """Where to go on."""
    if kafka is None:
        return GoOnMarked(database.confirmed, "forgotten") if database.has_sent else GoOn(0)
    note = kafka.note
    if note is None:
        return GoOnMarked(min(kafka.offset, database.confirmed), "moved_back")
    if database.author == "nowhere":
        return Foreign(note.instance)
    if not _same_history(kafka.offset, note, database):
        return GoOnMarked(database.confirmed, "restored", note.epoch)
    if kafka.offset < database.confirmed:
        return GoOnMarked(kafka.offset, "moved_back", note.epoch)
    return GoOn(kafka.offset if note.epoch == database.epoch else database.confirmed)


def _same_history(offset: int, note: Note, database: DatabaseSide) -> bool:
    """Whether the rows up to Kafka's position are those that Kafka has, or an epoch was begun since they aren't."""
    if database.author == "beside" or note.epoch > database.epoch:
        return False
    if note.epoch < database.epoch:
        return True
    if database.id_at_offset is None:
        return offset <= database.confirmed
    return database.id_at_offset == note.last


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
            return f"Kafka's position was written by another gateway of this name (instance {instance})"
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
