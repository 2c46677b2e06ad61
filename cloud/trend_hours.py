"""Events -> what regions poured by the hour, kept until the hour is closed. A function of the log.

An event belongs to the hour in which it happened, and is in time if the broker stamped it before the hour had been over
for so long as we wait. The watermark is how far the broker's stamps have come in all partitions; an hour that it has
passed is closed, and never opened again: what comes later is counted as late, and changes no trend. So two trends are
never two views of one hour, whose difference could be a customer.

An hour of a region is told from ten customers on. A customer is a pseudonym, however often they pour. A session may be
anybody's second visit: it counts as a visit, and makes no hour tellable; one that was claimed is its customer's visit.
Who opted out, or is nobody, is not in it, and neither is what happened at a time that is not known.

    places  how far each partition of the events was read, and the stamp of its last record
    seen    identities of the open hours' events
    tastes  what each subject poured in an open hour of a region: pours, and the sum of their milli-octaves
    claims  whose sessions are whose
    closed  the first hour that is not closed
    counts  what became of the records, by a word for each
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path
from types import TracebackType
from typing import Self

from cloud.state_file import open_state, transaction
from cloud_sync.envelope import verdict
from cloud_sync.published import Trend
from cloud_sync.record import Consumed
from cloud_sync.topics import HOUR_MS
from heat.events import Poured, SessionClaimed
from heat.identity import is_session
from heat.quality import Refusal
from heat.scale import BANDS, band

AHEAD_MS = 5 * 60 * 1000
"""ms that an event may be ahead of its receipt: gateways' clocks are good to a second, brokers' should be."""
LEAST_CUSTOMERS = 10

_SCHEMA = """
CREATE TABLE places (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL, stamped_ms INTEGER NOT NULL);
CREATE TABLE seen (source TEXT NOT NULL, generation INTEGER NOT NULL, sequence INTEGER NOT NULL, hour INTEGER NOT NULL,
    PRIMARY KEY (source, generation, sequence)) WITHOUT ROWID;
CREATE INDEX seen_by_hour ON seen (hour);
CREATE TABLE tastes (hour INTEGER NOT NULL, region TEXT NOT NULL, subject TEXT NOT NULL, n INTEGER NOT NULL,
    q INTEGER NOT NULL, PRIMARY KEY (hour, region, subject)) WITHOUT ROWID;
CREATE TABLE claims (session TEXT PRIMARY KEY, subject TEXT NOT NULL, hour INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE closed (one INTEGER PRIMARY KEY CHECK (one = 1), below INTEGER NOT NULL, topic_id TEXT);
CREATE TABLE counts (what TEXT PRIMARY KEY, n INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO closed VALUES (1, 0, NULL);
"""
_POURS = """
SELECT tastes.hour, region, COALESCE(claims.subject, tastes.subject) AS visitor, SUM(n), SUM(q)
FROM tastes LEFT JOIN claims ON claims.session = tastes.subject
WHERE tastes.hour < ? GROUP BY tastes.hour, region, visitor ORDER BY tastes.hour, region
"""


class TrendHours:
    """The open hours, in a file that can be had again from the log. Hours are counted since 1970."""

    def __init__(self, path: Path, wait_ms: int) -> None:
        """`wait_ms`: how long after its end an hour's events may come. Raises ConfigError, StoreError."""
        self._connection = open_state(path, _SCHEMA)
        self._wait_ms = wait_ms

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._connection.close()

    # -- how far we are ---------------------------------------------------------------------------------------------

    def begin(self, topic_id: str | None) -> None:
        """The log that is read from now on; what was read of another one of its name is forgotten."""
        (known,) = self._connection.execute("SELECT topic_id FROM closed").fetchone()
        if known != topic_id:
            self.forget()
            with transaction(self._connection) as db:
                db.execute("UPDATE closed SET topic_id = ?", (topic_id,))

    def forget(self) -> None:
        """Begin anew with the log; hours that are closed remain so."""
        with transaction(self._connection) as db:
            for table in ("places", "seen", "tastes", "claims"):
                db.execute(f"DELETE FROM {table}")  # noqa: S608 -- one of ours

    def positions(self) -> dict[int, int]:
        """By partition of the events, the offset of the next record."""
        return dict(self._connection.execute("SELECT partition, next FROM places"))

    def stamps(self) -> dict[int, int]:
        """By partition, when the broker stamped its last record that was read, Unix ms."""
        return dict(self._connection.execute("SELECT partition, stamped_ms FROM places"))

    @property
    def closed(self) -> int:
        """The first hour that is not closed."""
        return int(self._connection.execute("SELECT below FROM closed").fetchone()[0])

    def counts(self) -> dict[str, int]:
        """What became of the records so far."""
        return dict(self._connection.execute("SELECT what, n FROM counts ORDER BY what"))

    # -- events in, trends out --------------------------------------------------------------------------------------

    def fold(self, records: Iterable[Consumed]) -> Counter[str]:
        """Records of the events' topic, each partition's in order, and the positions after them: all or nothing.

        Returns what became of them, in a word for each.
        """
        counts: Counter[str] = Counter()
        last: dict[int, Consumed] = {}
        with transaction(self._connection) as db:
            closed = self.closed
            for record in records:
                counts[self._fold(db, record, closed)] += 1
                last[record.partition] = record
            places = [(number, record.offset + 1, record.timestamp_ms) for number, record in last.items()]
            db.executemany("INSERT OR REPLACE INTO places VALUES (?, ?, ?)", places)
            _count(db, counts)
        return counts

    def _fold(self, db: sqlite3.Connection, record: Consumed, closed: int) -> str:
        """What became of the record, in a word."""
        event = Refusal("malformed", "no value") if record.value is None else verdict(record.key, record.value)
        if isinstance(event, Refusal):
            return "refused"
        data, subject = event.data, event.subject
        if not isinstance(data, Poured | SessionClaimed):
            return "other"
        if subject is None:
            return "nobody"
        hour = event.time_ms // HOUR_MS
        if event.clock != "known" or event.time_ms > record.timestamp_ms + AHEAD_MS:
            return "undated"
        if hour < closed or record.timestamp_ms >= (hour + 1) * HOUR_MS + self._wait_ms:
            return "late"
        if not db.execute("INSERT OR IGNORE INTO seen VALUES (?, ?, ?, ?)", (*event.id, hour)).rowcount:
            return "duplicate"
        if isinstance(data, SessionClaimed):
            db.execute("INSERT OR REPLACE INTO claims VALUES (?, ?, ?)", (data.session, subject, hour))
            return "claimed"
        db.execute(
            "INSERT INTO tastes VALUES (?, ?, ?, 1, ?) ON CONFLICT DO UPDATE SET n = n + 1, q = q + excluded.q",
            (hour, data.region, subject, data.heat.milli_octaves),
        )
        return "poured"

    def passed(self, watermark_ms: int) -> int:
        """The first hour that is not over for so long as we wait, when the broker's stamps have come so far.

        None after that of the latest event's receipt: a stamp that is wrong closes an hour too early, and not a year.
        """
        latest = max(self.stamps().values(), default=0) // HOUR_MS
        return max(self.closed, min((watermark_ms - self._wait_ms) // HOUR_MS, latest + 1))

    def trends(self, below: int) -> list[Trend]:
        """What is to be told of the open hours before `below`, in their order."""
        return [trend for trend in self._hours(below) if isinstance(trend, Trend)]

    def close(self, below: int) -> Counter[str]:
        """The hours before `below` are told, and over. Returns how many were `told` and `withheld`, by region."""
        with transaction(self._connection) as db:
            counts = Counter("withheld" if trend is None else "told" for trend in self._hours(below))
            _count(db, counts)
            db.execute("UPDATE closed SET below = MAX(below, ?)", (below,))
            db.execute("DELETE FROM seen WHERE hour < ?", (below,))
            db.execute("DELETE FROM tastes WHERE hour < ?", (below,))
            db.execute("DELETE FROM claims WHERE hour < ?", (below - 1,))  # a visit may last beyond its hour
        return counts

    def _hours(self, below: int) -> Iterator[Trend | None]:
        """For each region and hour, its trend, or None where too few would be told of."""
        rows = self._connection.execute(_POURS, (below,)).fetchall()
        for (hour, region), group in groupby(rows, lambda row: (row[0], row[1])):
            yield trend_of(region, hour, [(visitor, n, q) for _, _, visitor, n, q in group])


def trend_of(region: str, hour: int, visits: list[tuple[str, int, int]]) -> Trend | None:
    """The trend of one hour from its visits: subject, pours, sum of milli-octaves. None if customers are too few."""
    customers = sum(not is_session(subject) for subject, _, _ in visits)
    if customers < LEAST_CUSTOMERS:
        return None
    means = [q // n for _, n, q in visits]
    in_bands = Counter(band(mean) for mean in means)
    return Trend(
        region=region,
        hour=hour,
        customers=customers,
        visits=len(visits),
        pours=sum(n for _, n, _ in visits),
        mean_mo=sum(means) // len(means),
        bands=tuple(in_bands[number] for number in range(BANDS)),
    )


def _count(db: sqlite3.Connection, counts: Counter[str]) -> None:
    db.executemany("INSERT INTO counts VALUES (?, ?) ON CONFLICT DO UPDATE SET n = n + excluded.n", counts.items())
