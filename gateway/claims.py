"""Who stands at a dispenser, on disk: a session is entered, and claimed by whoever shows a loyalty token.

Called by `picks` after an answer, in the writer's thread. A customer who opted out claims nothing: from their token on
the session is nobody's, and what it had learned is forgotten.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from gateway import consents, sessions
from gateway.dating import stamp_claim
from gateway.door import Door
from gateway.transaction import Transaction
from heat.events import Consent, Event, SessionClaimed, Stamp


class Owner(NamedTuple):
    """Whose an event is, and what they allow."""

    subject: str | None
    consent: Consent


@dataclass(frozen=True, slots=True)
class Asked:
    """Where somebody asked: `session` is 0 where the dispenser knows of none; `shown` is a token's pseudonym."""

    dispenser: str
    generation: int
    session: int
    shown: str | None
    when: Stamp


def enter(tx: Transaction, asked: Asked, door: Door, boot: int) -> Owner:
    """Enter the session, claim it for whoever showed a token, and return whose it is."""
    opted_out = asked.shown is not None and consents.opted_out(tx.connection, asked.shown)
    if not asked.session:
        return Owner(None, "none" if opted_out else "session")
    session = sessions.enter(tx, asked.dispenser, asked.generation, asked.session, asked.when.boot_ms)
    if opted_out:
        sessions.opt_out(tx, session)
    elif asked.shown is not None and session.subject != asked.shown:
        _claim(tx, session, asked.shown, asked.when, door, boot)
    return Owner(session.owner, session.consent)


def _claim(tx: Transaction, session: sessions.Session, subject: str, when: Stamp, door: Door, boot: int) -> None:
    sums = sessions.take_sums(tx, session, subject)
    buckets, flavours = sums.rows()
    data = SessionClaimed(
        store=door.store,
        region=door.region,
        channel="gateway",
        consent="profile",
        session=session.name,
        buckets=buckets,
        flavours=flavours,
    )
    tx.append(Event(tx.own_id(), subject, stamp_claim(when, boot, sums), data))
    tx.fold(subject, sums)
