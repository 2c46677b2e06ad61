"""Taking back a pour that no customer made: one event of the gateway's own, and all that the pour taught goes.

What the pour added is taken from whoever holds it by now: the session, the customer who claimed it, or nobody, where
the session has ended or the customer opted out. The void's identity is made of the pour's, so a gateway that was
restored from a backup, and is told again, says the same thing again, and every reader counts it once.
"""

from __future__ import annotations

import sqlite3
from typing import Literal, NamedTuple

import msgspec

from gateway import pours, sessions, site_pours
from gateway.packed import pack, unpack
from gateway.transaction import Transaction
from heat.events import Consent, Event, Poured, PourVoided, Stamp, VoidReason, read_data
from heat.identity import EventId, is_session, keyed_event_id
from heat.profile import Profile, contribution, negative

MAX_AGE_DAYS = 30
"""Days after which a pour stays as it is. The cloud takes no event of a day that is more than 90 days past, so a void
has two months to get there."""

_POUR = """
SELECT source, generation, sequence, type, subject, CAST(day AS INTEGER), CAST(data AS BLOB) FROM events
WHERE position = ?
"""

Refused = Literal["no-such-event", "not-a-pour", "already-voided", "too-old"]


class Voided(NamedTuple):
    """A pour was taken back."""

    position: int
    """Of the event that says so."""
    id: EventId
    data: PourVoided


class _Holder(NamedTuple):
    """Who has a pour's sums."""

    subject: str | None
    consent: Consent


def void(tx: Transaction, position: int, reason: VoidReason, when: Stamp, boot: int) -> Voided | Refused:
    """Take back the pour at a position; or why it can't be, and then nothing is written. In the writer's thread."""
    row = tx.connection.execute(_POUR, (position,)).fetchone()
    if row is None:
        return "no-such-event"
    *identity, type_, subject, day, data = row
    pour = read_data(type_, unpack(data)) if type_ is not None else None
    if not isinstance(pour, Poured):
        return "not-a-pour"
    if is_voided(tx.connection, position):
        return "already-voided"
    if day >= 0 and when.day - day > MAX_AGE_DAYS:
        return "too-old"
    holder = _holder(tx, subject, position)
    taken = PourVoided(
        store=pour.store, region=pour.region, channel="gateway", consent=holder.consent,
        voided=str(EventId(*identity)), day=day, sauce=pour.sauce, heat=pour.heat, flavours=pour.flavours, w=pour.w,
        nozzle=pour.nozzle, volume_ul=pour.volume_ul, reason=reason,
    )  # fmt: skip
    if day < 0:  # the pour waits for its day, and this with it
        when = Stamp(when.time_ms, when.boot_ms, -boot, "unknown")
    own = keyed_event_id(tx.gateway_id, f"void {taken.voided}")
    said = tx.append(Event(own, holder.subject, when, taken))
    tx.connection.execute("INSERT INTO voids VALUES (?, ?)", (position, said))
    tx.connection.execute("DELETE FROM voids WHERE position < (SELECT min(position) FROM events)")
    if subject is not None:
        site_pours.take_back(tx, pour.sauce)
    if holder.subject is not None:
        tx.fold(holder.subject, _added(tx, taken), -1)
        pours.take_back(tx, holder.subject, pour.sauce, day)
        tx.connection.execute("DELETE FROM doses WHERE position = ?", (position,))
        # whether this was the last pour is not known, and no last pour is better than a wrong one
        tx.connection.execute("DELETE FROM latest WHERE subject = ? AND sauce = ?", (holder.subject, pour.sauce))
    return Voided(said, own, taken)


def is_voided(connection: sqlite3.Connection, position: int) -> bool:
    """Whether the event at a position was taken back."""
    return connection.execute("SELECT 1 FROM voids WHERE position = ?", (position,)).fetchone() is not None


def voided_among(connection: sqlite3.Connection, first: int, last: int) -> frozenset[int]:
    """The positions of `first..last` whose events were taken back."""
    rows = connection.execute("SELECT position FROM voids WHERE position BETWEEN ? AND ?", (first, last))
    return frozenset(position for (position,) in rows)


def follow(tx: Transaction, position: int, subject: str | None, data: PourVoided) -> bytes | None:
    """The pour may have got another day: take it back from that one. Returns the void as it is stored then."""
    row = tx.connection.execute(
        "SELECT CAST(day AS INTEGER) FROM events WHERE position = (SELECT position FROM voids WHERE void = ?)",
        (position,),
    ).fetchone()
    if row is None or row[0] == data.day:
        return None
    moved = msgspec.structs.replace(data, day=row[0])
    if subject is not None and sessions.holds_own_sums(tx, subject, position):
        tx.fold(subject, _added(tx, data))
        tx.fold(subject, _added(tx, moved), -1)
    return pack(msgspec.json.encode(moved))


def _added(tx: Transaction, data: PourVoided) -> Profile:
    """What the pour had added."""
    return negative(contribution(data, tx.gateway_id, data.day))


def _holder(tx: Transaction, subject: str | None, position: int) -> _Holder:
    if subject is None:
        return _Holder(None, "none")
    if sessions.holds_own_sums(tx, subject, position):
        return _Holder(subject, "session" if is_session(subject) else "profile")
    if is_session(subject):
        claim = sessions.claim_of(tx, subject, position)
        if claim is not None and sessions.holds_own_sums(tx, claim.customer, claim.position):
            return _Holder(claim.customer, "profile")
    return _Holder(None, "none")
