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
    """What moves a session. A stranger is another dispenser than the one that has the link."""

    HELLO = "HELLO, send WELCOME"
    BAD_HELLO = "HELLO without a chance, send REJECT"
    KEYLESS_HELLO = "HELLO of an adopted one without a key, send PROVISION"
    READY = "READY"
    BAD_READY = "wrong READY, send REJECT"
    STRANGER = "a stranger's HELLO, or wrong READY"
    UNPROVED = "6 s without READY"
    SILENT = "6 s of silence"
    CLOSE = "line lost, or a newer READY"


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
