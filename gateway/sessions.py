"""Customer sessions in the store: whose events they are, when the last doses were, when they end.

A session is an ephemeral subject. When a loyalty token is shown, one `SessionClaimed` event carries its integer sums to
the pseudonym, and later events of the session belong there. A session ends when its dispenser reports an event of a
newer one (events arrive in sequence, so nothing of the old one can follow), or when nothing was heard of it for long.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway import bottle_pours, doses, letters, pours
from gateway.packed import unpack
from gateway.transaction import Gathered, Transaction, read_profile
from heat.events import Consent, SessionClaimed, read_data
from heat.identity import is_session, session_subject
from heat.profile import Profile

IDLE_MS = 30 * 60 * 1000
"""ms without a message; nobody stands at a dispenser for half an hour."""
CLAIMED_IDLE_MS = 7 * 24 * 60 * 60 * 1000
"""ms; events of a claimed session may wait on a dispenser whose cable is out, and still belong to the customer."""

CLAIM_ROWS = 5_000
"""Rows after a pour in which the claim of its session is looked for: about a millisecond."""
_CLAIMS = f"""
SELECT position, subject, CAST(data AS BLOB) FROM events
WHERE position > ? AND position <= ? AND type = '{SessionClaimed.type}' ORDER BY position
"""  # noqa: S608 -- a constant


class Claim(NamedTuple):
    """A session was claimed."""

    position: int
    """Of the event that says so."""
    customer: str


@dataclass(slots=True)
class Session:
    """One customer session."""

    name: str
    """Its subject as long as nobody claims it."""
    subject: str
    last_dose_ms: int | None
    """Its dispenser's uptime, ms, at the last pour: how long a dose ago was is asked of no clock that can be set."""
    previous_dose_ms: int | None
    opted_out: bool
    """Whether it is that of a customer who wants not to be known: nothing of it is anybody's."""
    seen_ms: int = 0
    """When it was heard of last, by the gateway's boot time."""

    @property
    def owner(self) -> str | None:
        """Whose its events are."""
        return None if self.opted_out else self.subject

    @property
    def consent(self) -> Consent:
        """What its customer allows."""
        return "none" if self.opted_out else "session" if is_session(self.subject) else "profile"

    @property
    def claimed(self) -> bool:
        """Whether a token was shown."""
        return not is_session(self.subject)


def enter(tx: Transaction, dispenser: str, generation: int, number: int, seen_ms: int) -> Session:
    """The session `number` of a dispenser, begun if it is new; `seen_ms` is the gateway's own (boot) time, now."""
    name = session_subject(dispenser, generation, number)
    session: Session | None = tx.memory.get(("session", name)) or _find(tx, name)
    if session is None:
        tx.unsettled.execute(
            "INSERT INTO sessions (session, dispenser, number, subject, seen_ms) VALUES (?, ?, ?, ?, ?)",
            (name, dispenser, number, name, seen_ms),
        )
        session = Session(name, name, None, None, False)
    session.seen_ms = seen_ms
    _keep(tx, session)
    return session


def _find(tx: Transaction, name: str) -> Session | None:
    row = tx.unsettled.execute(
        "SELECT subject, last_dose_ms, previous_dose_ms, opted_out FROM sessions WHERE session = ?", (name,)
    ).fetchone()
    return None if row is None else Session(name, row[0], row[1], row[2], bool(row[3]))


def _keep(tx: Transaction, session: Session) -> None:
    """When it was seen, and its doses, have changed."""
    key = "session", session.name
    tx.memory[key] = session
    tx.at_end(_write, key, session)


def _write(tx: Transaction, kept: Gathered[tuple[str, str], Session]) -> None:
    tx.unsettled.executemany(
        "UPDATE sessions SET seen_ms = ?, last_dose_ms = ?, previous_dose_ms = ? WHERE session = ?",
        ((s.seen_ms, s.last_dose_ms, s.previous_dose_ms, s.name) for *_, s in kept.values()),
    )


def note_dose(tx: Transaction, session: Session, sauce: str, day: int, uptime_ms: int) -> None:
    """A pour happened in this session, on a day as events have it, at an uptime of its dispenser."""
    pours.note(tx, session.subject, sauce, day)
    tx.at_end(_write_latest, session.subject, (sauce, None))
    session.previous_dose_ms, session.last_dose_ms = session.last_dose_ms, uptime_ms
    _keep(tx, session)


def last_pour(tx: Transaction, session: Session) -> str | None:
    """The sauce that was poured last in this session; None where none was."""
    if session.last_dose_ms is None:
        return None
    row = tx.connection.execute("SELECT sauce FROM latest WHERE subject = ?", (session.subject,)).fetchone()
    return row[0] if row is not None else None


def note_verdict(tx: Transaction, session: Session, sauce: str, verdict: str) -> None:
    """The customer said how hot it was."""
    tx.at_end(_write_latest, session.subject, (sauce, verdict))


def _write_latest(tx: Transaction, said: Gathered[str, tuple[str, str | None]]) -> None:
    """The last pours, which have no verdict, and the verdicts on them; one on another sauce says nothing."""
    for subject, items in said.items():
        last = max((at for at, (_, verdict) in enumerate(items) if verdict is None), default=0)
        for sauce, verdict in items[last:]:
            if verdict is None:
                tx.unsettled.execute("INSERT OR REPLACE INTO latest VALUES (?, ?, NULL)", (subject, sauce))
            else:
                tx.unsettled.execute(
                    "UPDATE latest SET verdict = ? WHERE subject = ? AND sauce = ?", (verdict, subject, sauce)
                )


def note_stated(tx: Transaction, session: Session, milli_octaves: int) -> None:
    """The customer said how hot they like it."""
    tx.unsettled.execute("INSERT OR REPLACE INTO stated VALUES (?, ?)", (session.name, milli_octaves))


def take_sums(tx: Transaction, session: Session, subject: str) -> Profile:
    """Hand the session to a pseudonym: its sums so far, which it no longer holds itself."""
    sums = Profile() if session.claimed else read_profile(tx.connection, session.name)
    if not session.claimed:
        tx.connection.execute(
            "INSERT OR REPLACE INTO latest SELECT ?, sauce, verdict FROM latest WHERE subject = ?",
            (subject, session.name),
        )
        pours.hand_over(tx, session.name, subject)
        doses.hand_over(tx, session.name, subject)
        letters.claim(tx.connection, session.name, subject)
        bottle_pours.hand_over(tx, session.name, subject)
    tx.forget(session.name)
    tx.connection.execute("UPDATE sessions SET subject = ?, opted_out = 0 WHERE session = ?", (subject, session.name))
    session.subject, session.opted_out = subject, False
    return sums


def opt_out(tx: Transaction, session: Session) -> None:
    """The session is that of a customer who wants not to be known: what it taught is forgotten, and it learns no more.

    The row stays as long as one that is claimed, since its dispenser may hold events of it.
    """
    if not session.opted_out:
        _forget(tx, session.name)
        letters.disown(tx.connection, session.name)
        bottle_pours.forget(tx, session.name)
        tx.connection.execute("UPDATE sessions SET subject = session, opted_out = 1 WHERE session = ?", (session.name,))
        session.subject, session.opted_out = session.name, True


def opt_out_all(tx: Transaction, subject: str) -> None:
    """The same for all sessions that a customer claimed."""
    for (name,) in tx.connection.execute("SELECT session FROM sessions WHERE subject = ?", (subject,)).fetchall():
        opt_out(tx, Session(name, subject, None, None, False))


def holds_own_sums(tx: Transaction, subject: str, position: int) -> bool:
    """Whether the sums of the event at a position are still its subject's.

    A claim took them away, or the end of a session, or a customer who opted out.
    """
    if not is_session(subject):
        row = tx.connection.execute("SELECT forgotten FROM consents WHERE subject = ?", (subject,)).fetchone()
        return row is None or position > row[0]
    row = tx.connection.execute("SELECT subject, opted_out FROM sessions WHERE session = ?", (subject,)).fetchone()
    return row is not None and tuple(row) == (subject, 0)


def owner_of(tx: Transaction, subject: str | None, position: int) -> str | None:
    """Whose the event at a position is by now: its session's customer, its session, or nobody who wants to be known."""
    if subject is not None and is_session(subject):
        row = tx.connection.execute("SELECT subject, opted_out FROM sessions WHERE session = ?", (subject,)).fetchone()
        if row is not None:
            return None if row[1] else str(row[0])
        if (claim := claim_of(tx, subject, position)) is None:
            return subject
        subject, position = claim.customer, claim.position
    return subject if subject is None or is_session(subject) or holds_own_sums(tx, subject, position) else None


def claim_of(tx: Transaction, session: str, position: int) -> Claim | None:
    """Who claimed a session after the event at a position, where the session may have ended since."""
    for at, customer, data in tx.connection.execute(_CLAIMS, (position, position + CLAIM_ROWS)).fetchall():
        claim = read_data(SessionClaimed.type, unpack(data))
        if isinstance(claim, SessionClaimed) and claim.session == session and customer is not None:
            return Claim(at, customer)
    return None


def end_older(tx: Transaction, dispenser: str, current: Session, number: int) -> None:
    """Forget the sessions that a dispenser had before the one it now reports."""
    if tx.memory.get(("current", dispenser)) == current.name:
        return
    tx.memory["current", dispenser] = current.name
    rows = tx.unsettled.execute(
        "SELECT session FROM sessions WHERE dispenser = ? AND session <> ? AND number <= ?",
        (dispenser, current.name, number),
    ).fetchall()
    for (name,) in rows:
        _end(tx, name)


IDLE = "seen_ms < :now - CASE WHEN subject = session AND NOT opted_out THEN :idle ELSE :claimed_idle END"
"""Whether a row of `sessions` has been idle for too long."""


def idle_terms(now_ms: int) -> dict[str, int]:
    """The values that `IDLE` asks for; `now_ms` is the gateway's boot time."""
    return {"now": now_ms, "idle": IDLE_MS, "claimed_idle": CLAIMED_IDLE_MS}


def end_idle(tx: Transaction, now_ms: int) -> int:
    """Forget sessions of which nothing has been heard for long. Returns how many."""
    rows = tx.connection.execute(
        f"SELECT session FROM sessions WHERE {IDLE}",  # noqa: S608 -- a constant
        idle_terms(now_ms),
    ).fetchall()
    for (name,) in rows:
        _end(tx, name)
    return len(rows)


def _end(tx: Transaction, name: str) -> None:
    _forget(tx, name)
    tx.drop(("session", name))
    tx.unsettled.execute("DELETE FROM sessions WHERE session = ?", (name,))


def _forget(tx: Transaction, name: str) -> None:
    tx.forget(name)
    tx.unsettled.execute("DELETE FROM stated WHERE session = ?", (name,))
