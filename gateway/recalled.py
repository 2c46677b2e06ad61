"""Who stood at a dispenser before the daemon was started anew, out of the store.

A session's row says when it was last heard of, and whose it is; its events say what was shown, poured and rated. Why a
sauce was picked is in no event: the picks come back without it.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from firmware_bridge.messages import PickInfo
from gateway.packed import unpack
from gateway.visits import Dose, Visit
from heat.catalog import Catalog
from heat.events import Impression, Poured, Rated, read_data
from heat.identity import is_session

LAST_ROWS = 500
"""Rows that are looked through: many times what a shop stores in half a minute."""

_SESSION = """
SELECT session, number, subject, opted_out, seen_ms FROM sessions
WHERE dispenser = ? AND seen_ms <= ? ORDER BY seen_ms DESC, number DESC LIMIT 1
"""
_EVENTS = f"""
SELECT position, source, type, subject, CAST(data AS BLOB) FROM events
WHERE position > (SELECT max(position) FROM events) - {LAST_ROWS} AND boot_ms >= ? AND type IN (?, ?, ?)
AND position NOT IN (SELECT position FROM voids)
ORDER BY position
"""  # noqa: S608 -- made of constants; values are bound


class Looked(NamedTuple):
    """When it is looked for, in ms of the kernel's uptime."""

    now_ms: int
    started_ms: int
    """When this daemon started: what it heard itself it knows."""
    idle_ms: int
    """ms of nothing after which nobody stands there any more."""


def recall(reader: sqlite3.Connection, catalog: Catalog, dispenser: str, looked: Looked) -> tuple[Visit, int] | None:
    """The visit, and for how many ms nothing was heard of it; None if nobody stood there."""
    row = reader.execute(_SESSION, (dispenser, looked.started_ms)).fetchone()
    if row is None or (quiet_ms := looked.now_ms - row[4]) >= looked.idle_ms:
        return None
    name, number, owner, opted_out, seen_ms = row
    visit = Visit(dispenser, int(name.rsplit("-", 2)[1], 16), number, behind=True, opted_out=bool(opted_out))
    if not is_session(owner):
        visit.card = owner
    subjects = {None} if opted_out else {name, owner}
    rows = reader.execute(_EVENTS, (seen_ms - looked.idle_ms, Impression.type, Poured.type, Rated.type))
    for position, source, type_, subject, packed in rows.fetchall():
        if subject not in subjects:
            continue
        match read_data(type_, unpack(packed)):
            case Impression(picks=picks) as shown if shown.dispenser == dispenser:
                visit.picks = tuple(
                    PickInfo.fitted(one.nozzle, one.sauce, _name(catalog, one.sauce), one.milli_octaves, "")
                    for one in picks
                )
            case Poured(sauce=sauce, pick_id=pick_id) if source == dispenser:
                visit.dose = Dose(sauce, position, pick_id)
            case Rated(sauce=sauce, verdict=verdict) if visit.dose is not None and visit.dose.sauce == sauce:
                visit.dose = Dose(sauce, visit.dose.position, visit.dose.pick_id, verdict)
            case _:
                pass
    return visit, quiet_ms


def _name(catalog: Catalog, sauce: str) -> str:
    known = catalog.get(sauce)
    return known.name if known is not None else sauce
