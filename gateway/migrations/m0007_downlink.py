"""What comes down from Kafka: profiles of customers of other stores, releases, and how far each partition was read."""

from __future__ import annotations

from sqlite_utils import Database

SCHEMA = """
-- Customers of whom the cloud told: which version of the buckets of other origins is here. Sums are in `buckets`.
CREATE TABLE regulars (
    subject TEXT PRIMARY KEY,
    partition INTEGER NOT NULL,
    generation INTEGER NOT NULL,
    version INTEGER NOT NULL,
    last_day INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    snapshot INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX regulars_by_day ON regulars(last_day, subject, bytes);

-- A partition that is read down. `witness` is the last record that was read; another one there is another log.
-- Until `until` (not NULL) the snapshot of this number goes on: what it has not named by then is removed.
CREATE TABLE downlink (
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    cluster TEXT NOT NULL,
    scope TEXT NOT NULL,
    next INTEGER NOT NULL,
    witness INTEGER NOT NULL,
    witness_ms INTEGER NOT NULL,
    read_ms INTEGER,
    snapshot INTEGER NOT NULL,
    until INTEGER,
    PRIMARY KEY (topic, partition)
) WITHOUT ROWID;

-- Releases that are meant for this gateway, as the topic has them. `refused` says why one is not to be applied.
CREATE TABLE releases (
    kind TEXT NOT NULL,
    target TEXT NOT NULL,
    number INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    content BLOB NOT NULL,
    partition INTEGER NOT NULL,
    snapshot INTEGER NOT NULL,
    refused TEXT,
    PRIMARY KEY (kind, target)
) WITHOUT ROWID;

-- What this gateway runs of each kind, and what it ran before: to go back to while `starts` (not NULL) is counted.
CREATE TABLE applied (
    kind TEXT NOT NULL,
    place TEXT NOT NULL,
    target TEXT NOT NULL,
    number INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    content BLOB NOT NULL,
    since_ms INTEGER NOT NULL,
    starts INTEGER,
    PRIMARY KEY (kind, place)
) WITHOUT ROWID;
"""


def apply(db: Database) -> None:
    """Create the tables."""
    for statement in SCHEMA.split(";\n"):
        if statement.strip():
            db.execute(statement)
