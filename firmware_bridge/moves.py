"""The states of a link session, and what moves it from one to another: the table that `docs/protocol.md` draws."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where a link session stands."""

    OPENING = "opening"
    PROVING = "proving"
    OPEN = "open"
    CLOSED = "closed"


class Cue(enum.Enum):
    """What moves a session, and what it answers. A stranger is another dispenser than the one that has the link."""

    HELLO = "HELLO / WELCOME"
    BAD_HELLO = "bad HELLO / REJECT"
    KEYLESS_HELLO = "HELLO without a key / PROVISION"
    READY = "READY"
    BAD_READY = "wrong READY / REJECT"
    STRANGER = "HELLO or wrong READY of a stranger"
    UNPROVED = "6 s without READY"
    SILENT = "6 s of silence"
    CLOSE = "line lost, newer READY elsewhere / REJECT"


MOVES: dict[tuple[State, Cue], State] = {
    (State.OPENING, Cue.HELLO): State.PROVING,
    (State.OPENING, Cue.BAD_HELLO): State.OPENING,
    (State.OPENING, Cue.KEYLESS_HELLO): State.OPENING,
    (State.PROVING, Cue.HELLO): State.PROVING,
    (State.PROVING, Cue.BAD_HELLO): State.OPENING,
    (State.PROVING, Cue.KEYLESS_HELLO): State.OPENING,
    (State.PROVING, Cue.READY): State.OPEN,
    (State.PROVING, Cue.BAD_READY): State.OPENING,
    (State.PROVING, Cue.UNPROVED): State.OPENING,
    (State.OPEN, Cue.HELLO): State.PROVING,
    (State.OPEN, Cue.BAD_HELLO): State.OPENING,
    (State.OPEN, Cue.KEYLESS_HELLO): State.OPENING,
    (State.OPEN, Cue.STRANGER): State.OPEN,
    (State.OPEN, Cue.READY): State.OPEN,
    (State.OPEN, Cue.SILENT): State.CLOSED,
    (State.OPENING, Cue.CLOSE): State.CLOSED,
    (State.PROVING, Cue.CLOSE): State.CLOSED,
    (State.OPEN, Cue.CLOSE): State.CLOSED,
}
