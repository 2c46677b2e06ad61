"""The topics between edge and cloud: names, partitions, settings, and the names of record headers.

Whoever needs a topic names it from here; `cloud_sync.kafka_client` and `deploy/` create them with these settings.
"""

from __future__ import annotations

from dataclasses import dataclass

HOUR_MS = 60 * 60 * 1000
"""ms"""
DAY_MS = 24 * HOUR_MS
"""ms"""
REMEMBERED_DAYS = 120
"""Days that the cloud remembers event identities, and that compacted topics keep the tombstones of what was erased."""
BATCH_BYTES = 1_048_588
"""bytes that a batch of records may have, as brokers have it by default."""


@dataclass(frozen=True, slots=True)
class Topic:
    """One topic. `retention_days` is None where records stay until a newer one with the same key replaces them."""

    name: str
    partitions: int
    retention_days: int | None
    broker_time: bool = False
    """The broker stamps the records: a gateway's clock may be wrong, and retention would believe it."""
    max_bytes: int = BATCH_BYTES
    """bytes of a batch, compressed."""
    segment_hours: int | None = None
    """Hours after which a segment is closed, where only compaction of closed ones keeps a topic small."""
    keyed: bool = True
    """Readers count on it that a key stays in its partition; then partitions can't be added."""

    @property
    def settings(self) -> dict[str, str]:
        """The topic's configuration, as Kafka names it."""
        chosen = {"message.timestamp.type": "LogAppendTime" if self.broker_time else "CreateTime"}
        chosen["max.message.bytes"] = str(self.max_bytes)
        chosen["unclean.leader.election.enable"] = "false"  # a broker that lacks records would lead, and they were gone
        if self.segment_hours is not None:
            chosen["segment.ms"] = str(self.segment_hours * DAY_MS // 24)
        if self.retention_days is None:
            chosen["cleanup.policy"] = "compact"
            chosen["delete.retention.ms"] = str(REMEMBERED_DAYS * DAY_MS)
            chosen["max.compaction.lag.ms"] = str(DAY_MS)  # what was erased is off the disk in two days, however quiet
        else:
            chosen["cleanup.policy"] = "delete"
            chosen["retention.ms"] = str(self.retention_days * DAY_MS)
            chosen["retention.bytes"] = "-1"  # by age alone
        return chosen


EVENTS = Topic("picante.events.v1", 4, REMEMBERED_DAYS, broker_time=True)
SAMPLES = Topic("picante.samples.v1", 4, 7, broker_time=True)
DEAD_LETTERS = Topic("picante.dlq.v1", 1, REMEMBERED_DAYS, broker_time=True, max_bytes=2 * BATCH_BYTES, keyed=False)
"""Whatever fits into another topic fits into this one, with its reason beside it."""
REPLAYS = Topic("picante.replays.v1", 1, REMEMBERED_DAYS, broker_time=True)
"""Which dead letters were sent again, so that none is sent twice."""
OUTBOX = Topic("picante.outbox.v1", 1, 1)
"""It stays empty: the uplinks' positions are offsets of consumer groups on its one partition."""
PROFILES = Topic("picante.profiles.v1", 4, None)
FEATURES = Topic("picante.features.v1", 4, None)
PICKS = Topic("picante.picks.v1", 4, None)
CLOCK = Topic("picante.clock.v1", 1, 7, broker_time=True)
"""Its empty records ask the broker for the time."""
CONTEXT = Topic("picante.context.v1", 1, 7)
TRENDS = Topic("picante.trends.v1", 1, REMEMBERED_DAYS)
GATEWAYS = Topic("picante.gateways.v1", 1, None, broker_time=True, segment_hours=1)
"""Who has fallen silent is told by the broker's clock. A gateway writes 2,880 heartbeats a day."""
RELEASES = Topic("picante.releases.v1", 1, None)
ERASURES = Topic("picante.erasures.v1", 1, REMEMBERED_DAYS)

ALL = (
    *(EVENTS, SAMPLES, DEAD_LETTERS, REPLAYS, OUTBOX, PROFILES, FEATURES, PICKS),
    *(CLOCK, CONTEXT, TRENDS, GATEWAYS, RELEASES, ERASURES),
)

CONTENT_TYPE = "content-type"
"""Header: the media type of the record's value."""
CLOUDEVENT = b"application/cloudevents+json; charset=utf-8"
CBOR = b"application/cbor"
JSON = b"application/json"

CONNECT = "__connect.errors."
"""Prefix of the dead letters' headers: Kafka Connect's own, so that its tools find their way."""
REASON = "picante.reason"
EVENT_ID = "picante.event.id"
ORIGIN = "picante.origin"
TIME = "picante.time"
TIMESTAMP = "picante.timestamp"
"""Header of a dead letter that was a record: its Kafka timestamp, Unix ms. The dead letter's own is the broker's."""
REDELIVERED = "picante.redelivered"
REPLAYED = "picante.replayed"
"""Header of a record that was sent again out of the dead letters: the letter's id."""
FULL_SIZE = "picante.full.size"
"""Header of a dead letter that is cut short, because nothing of its size fits into Kafka: bytes that there were."""
HEADERS_LOST = "picante.headers.lost"
"""Header in the place of all that a record had, where the client could read none: why."""


POSITION = "picante.position"
"""Header of all that an outbox sent: `EPOCH:POSITION` of its row. Positions count rows, so a reader sees what lacks."""


def row_of(header: bytes | None) -> tuple[int, int] | None:
    """The epoch and the position that the header `POSITION` names; None where it names none."""
    epoch, _, position = (header or b"").partition(b":")
    return (int(epoch), int(position)) if epoch.isdigit() and position.isdigit() else None


def outbox_group(gateway: str) -> str:
    """The consumer group whose offset on `OUTBOX` is a gateway's position."""
    return f"picante-outbox-{gateway}"
