"""When stored events happened: their stamps, and how they get another day once that is known better.

While wall time is unknown an event's day is `-(boot number)`: it counts for the picks at once and waits in the outbox;
`settle` then moves its integer sums to the right day. When the clock was set, and the setting is believed, `redate`
moves what this boot has stored by the old one, as far as it can't be on its way to Kafka: an event has one day, in the
cloud as here.

A claim carries the sums of events that were dated before it, perhaps by another clock: the days of its sums are moved
with theirs, whether or not its own time was known. So it is with what takes a pour back.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway import consents, doses, letters, pours, voids
from gateway.clock import DAY_MS, STEP_MS, Now, Unknown
from gateway.packed import pack, unpack
from gateway.sessions import holds_own_sums
from gateway.transaction import Transaction
from heat.events import AnyData, ConsentChanged, Poured, PourVoided, SequenceGap, SessionClaimed, Stamp, read_data
from heat.profile import Profile, contribution

SETTLE_ROWS = 1_000
"""Events that get their day in one transaction: some 50 ms in which nothing else is committed."""
ELSEWHERE_MS = -(2**53)
"""`Stamp.boot_ms` of what is dated by an earlier boot of the gateway: this boot's clock has no part in it."""
CLAIM_ROWS = 5_000
"""Rows before a claim in which its session's events are looked for: about a millisecond."""
NEWEST_OF = 100
"""Rows of which the latest time counts as the newest: an event may come hours after others that happened later."""

_NEWEST = """
SELECT ifnull(max(time_ms), 0) FROM
(SELECT time_ms FROM events WHERE clock <> 'unknown' AND day >= 0 ORDER BY position DESC LIMIT ?)
"""
_MISDATED = f"""
SELECT position, source, generation, sequence, type, subject, day, CAST(data AS BLOB), boot_ms, time_ms, clock
FROM events
WHERE position > ? AND day >= 0 AND boot_ms > ?
AND (abs(time_ms - boot_ms - ?) > ? OR type IN ('{SessionClaimed.type}', '{PourVoided.type}'))
ORDER BY position LIMIT ?
"""  # noqa: S608 -- made of constants; values are bound
"""A claim, or what takes a pour back, may be dated rightly and carry sums that are not."""
_OF_SESSION = """
SELECT type, CAST(data AS BLOB), day FROM events
WHERE position < ? AND position > ? AND subject = ? AND type IS NOT NULL
"""
_FIRST = """
SELECT max((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'boot_after'),
           (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed'),
           (SELECT ifnull(max(redeliver_through), 0) FROM epochs))
"""


@dataclass(frozen=True, slots=True)
class Boot:
    """This kernel boot, as the store knows it."""

    number: int
    """1, 2, ... in this database."""
    offset_ms: int | None
    """Wall time less uptime, by which this boot's events are dated; None while none are."""
    newest_ms: int
    """Time of the newest event, 0 if there is none."""
    unknown: Unknown | None
    """How long the time was unknown before this start; None if it was known."""


def register_boot(tx: Transaction, boot_id: str, boot_ms: int) -> Boot:
    """This kernel boot, with a number if it is new. In a new one, sessions count from its beginning."""
    after = tx.connection.execute("SELECT ifnull(max(position), 0) FROM events").fetchone()[0]
    if tx.connection.execute("INSERT OR IGNORE INTO boots (boot_id) VALUES (?)", (boot_id,)).rowcount:
        tx.connection.execute("UPDATE sessions SET seen_ms = ?", (boot_ms,))
        tx.set_meta("boot_after", str(after))
        tx.connection.execute("DELETE FROM meta WHERE key = 'boot_offset'")
        if (unknown := _unknown(tx)) is not None:
            note_unknown(tx, unknown.in_new_boot(boot_ms))
    tx.connection.execute("INSERT OR IGNORE INTO meta VALUES ('boot_after', ?)", (str(after),))
    number = int(tx.connection.execute("SELECT boot FROM boots WHERE boot_id = ?", (boot_id,)).fetchone()[0])
    offset = tx.connection.execute("SELECT value FROM meta WHERE key = 'boot_offset'").fetchone()
    newest = tx.connection.execute(_NEWEST, (NEWEST_OF,)).fetchone()[0]
    return Boot(number, int(offset[0]) if offset else None, newest, _unknown(tx))


def _unknown(tx: Transaction) -> Unknown | None:
    row = tx.connection.execute("SELECT value FROM meta WHERE key = 'unknown'").fetchone()
    return msgspec.json.decode(row[0], type=Unknown) if row else None


def note_unknown(tx: Transaction, unknown: Unknown | None) -> None:
    """Keep how long the time has been unknown, for the next start."""
    if unknown is None:
        tx.connection.execute("DELETE FROM meta WHERE key = 'unknown'")
    else:
        tx.set_meta("unknown", msgspec.json.encode(unknown).decode())


def stamp(now: Now, boot: int, age_ms: int, *, sure: bool) -> Stamp:
    """The stamp of what happened `age_ms` before `now`. `sure` is false where the age itself is only a bound."""
    time_ms, boot_ms = max(now.wall_ms - age_ms, 0), now.boot_ms - age_ms
    if not now.known:
        return Stamp(time_ms, boot_ms, -boot, "unknown")
    return Stamp(time_ms, boot_ms, time_ms // DAY_MS, "known" if sure else "unknown")


def stamp_elsewhere(time_ms: int) -> Stamp:
    """The stamp of what is dated by an earlier boot of this gateway."""
    return Stamp(time_ms, ELSEWHERE_MS, time_ms // DAY_MS, "known")


def stamp_claim(when: Stamp, boot: int, sums: Profile) -> Stamp:
    """The stamp of a claim of these sums: while one of them waits for its day, the claim waits with it."""
    if all(day >= 0 for day in _days(sums)):
        return when
    return Stamp(when.time_ms, when.boot_ms, -boot, "unknown")


def settle(tx: Transaction, boot: int, now: Now) -> int:
    """Give the first events that wait for their day one. Returns how many were moved; 0 once none waits.

    If wall time is known `now`, events of the present boot get their true time. Those of earlier boots, in which time
    never became known, can only be put on today, and keep the mark `unknown`; so do all if wall time is still unknown
    and the wait has been given up.
    """
    tx.tally.write(tx.connection)  # what moves leaves a day that it was on
    rows = tx.connection.execute(
        "SELECT position, source, generation, sequence, type, subject, CAST(boot_ms AS INTEGER), day,"
        " CAST(data AS BLOB) FROM events WHERE day < 0 ORDER BY position LIMIT ?",
        (SETTLE_ROWS,),
    ).fetchall()
    offset_ms = now.wall_ms - now.boot_ms
    for *row, boot_ms, old_day, data in rows:
        ours = old_day == -boot
        time_ms = max(boot_ms + offset_ms, 0) if ours else now.wall_ms
        _date(tx, (*row, old_day, data), time_ms, "estimated" if ours and now.known else "unknown")
    return len(rows)


def redate(tx: Transaction, boot: int, after: int, offset_ms: int) -> int | None:
    """Date the first events above position `after` anew that this boot dated by another offset.

    Returns the position to go on from, or None once all are dated by `offset_ms`, and that is noted.
    """
    tx.tally.write(tx.connection)
    first = max(after, int(tx.connection.execute(_FIRST).fetchone()[0]))
    rows = tx.connection.execute(_MISDATED, (first, ELSEWHERE_MS, offset_ms, STEP_MS, SETTLE_ROWS)).fetchall()
    replayed = letters.replayed_after(tx.connection, first) if rows else ()
    for *row, boot_ms, time_ms, clock in rows:
        if row[0] in replayed:
            continue  # its letter's time is its own
        if abs(time_ms - boot_ms - offset_ms) <= STEP_MS:
            _date(tx, tuple(row), time_ms, clock)
        else:
            _date(tx, tuple(row), max(boot_ms + offset_ms, 0), "unknown" if clock == "unknown" else "estimated")
    if rows:
        return int(rows[-1][0])
    tx.set_meta("boot_offset", str(offset_ms))
    tx.connection.execute(
        "UPDATE dispenser_boots SET started_ms = started_boot_ms + ? WHERE gateway_boot = ?", (offset_ms, boot)
    )
    return None


def _date(tx: Transaction, row: tuple[Any, ...], time_ms: int, state: str) -> None:
    """Give one event its time, and its sums their day.

    `row` is `(position, source, generation, sequence, type, subject, day, data)`.
    """
    position, source, generation, sequence, type_, subject, old_day, text = row
    day = time_ms // DAY_MS
    key = source, generation, old_day
    if type_ is None:
        became = letters.date(tx, position, time_ms, day, state)
        tx.tally.move(key, day, sequence, position, refused=True, replayed=became is not None)
        if became is not None:
            _date_replayed(tx, became, time_ms, state)
    else:
        tx.tally.move(key, day, sequence, position)
    rewritten = None
    doses.move(tx, position, day)
    data = read_data(type_, unpack(text)) if type_ is not None else None
    if isinstance(data, SessionClaimed):
        rewritten = _move_claim(tx, position, subject, data, old_day, day)
    elif isinstance(data, PourVoided):
        rewritten = voids.follow(tx, position, subject, data)
    elif isinstance(data, ConsentChanged) and subject is not None:
        consents.date(tx, subject, time_ms)
    elif isinstance(data, SequenceGap):
        gap = data.dispenser, data.generation, old_day
        tx.date_loss(gap, day, data.first, data.last)
    elif data is not None and day != old_day:
        _move(tx, position, subject, data, old_day, day)
    tx.connection.execute(
        "UPDATE events SET time_ms = ?, day = ?, clock = ?, data = ? WHERE position = ?",
        (time_ms, day, state, rewritten or text, position),
    )


def _date_replayed(tx: Transaction, position: int, time_ms: int, state: str) -> None:
    """Give the event that a letter became the letter's time; one that waits for its day gets it by itself."""
    row = tx.connection.execute(
        "SELECT position, source, generation, sequence, type, subject, day, CAST(data AS BLOB) FROM events"
        " WHERE position = ? AND day >= 0",
        (position,),
    ).fetchone()
    if row is not None:
        _date(tx, row, time_ms, state)


def _move(tx: Transaction, position: int, subject: str | None, data: AnyData, old_day: int, day: int) -> None:
    """Move one event's contribution to another day, where its subject still holds it."""
    before = contribution(data, tx.gateway_id, old_day)
    if subject is None or not before.buckets or not holds_own_sums(tx, subject, position):
        return
    tx.fold(subject, before, -1)
    tx.fold(subject, before.moved(old_day, day))
    if isinstance(data, Poured):
        pours.move(tx, subject, data.sauce, old_day, day)


def _move_claim(
    tx: Transaction, position: int, subject: str | None, data: SessionClaimed, old_day: int, day: int
) -> bytes | None:
    """Give a claim's sums the days that its session's events have by now; the claim as it is stored then."""
    before = contribution(data, tx.gateway_id, old_day)
    if subject is None or not before.buckets:
        return None
    after, poured = Profile(), []
    for type_, text, event_day in tx.connection.execute(_OF_SESSION, (position, position - CLAIM_ROWS, data.session)):
        if (event := read_data(type_, unpack(text))) is not None:
            after.fold(contribution(event, tx.gateway_id, event_day))
            poured += [(event.sauce, event_day)] if isinstance(event, Poured) else []
    if _moved(after, _days(after), day) != _moved(before, _days(before), day):
        # some of the events are gone: the claim's own day is the next best
        after = _moved(before, {old_day} | {waiting for waiting in _days(before) if waiting < 0}, day)
    if holds_own_sums(tx, subject, position):
        tx.fold(subject, before, -1)
        tx.fold(subject, after)
        pours.follow(tx, subject, poured, sorted(_days(before) - _days(after)), day)
    buckets, flavours = after.rows()
    return pack(msgspec.json.encode(msgspec.structs.replace(data, buckets=buckets, flavours=flavours)))


def _days(profile: Profile) -> set[int]:
    return {key.day for key in profile.buckets} | {key.day for key in profile.flavours}


def _moved(profile: Profile, days: Iterable[int], to_day: int) -> Profile:
    for day in days:
        profile = profile.moved(day, to_day)
    return profile
