"""What is released to gateways, read from `picante.releases.v1` and written there, and what they made of it.

All of it blocks: it is for commands.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace

from cloud.kafka import Producer, RawRecord, read_to_end
from cloud.librdkafka import Cluster
from cloud_sync.published import Applied, Heartbeat, Kind, Release, publish, read_published
from cloud_sync.record import Record
from cloud_sync.releases import check_target, key_of, read_release, release
from cloud_sync.topics import GATEWAYS, RELEASES
from heat.errors import DataError

_NUMBER = "picante.number"
"""A header of tombstones: the number of the release that is withdrawn, whose record compaction takes away."""


@dataclass(frozen=True, slots=True)
class Released:
    """A release as the topic has it."""

    key: str
    release: Release | None
    """None: what lies there can't be read; gateways pass it over."""
    time_ms: int
    fault: str = ""


def released(cluster: Cluster, topic: str = RELEASES.name) -> list[Released]:
    """What counts now, by key. Raises SinkUnavailable, SinkRefused."""
    newest: dict[bytes, tuple[bytes | None, int]] = {}
    for batch in read_to_end(cluster, topic):
        newest |= {record.key: (record.value, record.timestamp_ms or 0) for record in batch if record.key is not None}
    return [_read(key, value, time_ms) for key, (value, time_ms) in sorted(newest.items()) if value is not None]


def _read(key: bytes, value: bytes, time_ms: int) -> Released:
    name = key.decode(errors="replace")
    try:
        return Released(name, read_release(name, value), time_ms)
    except DataError as error:
        return Released(name, None, time_ms, str(error))


@dataclass(frozen=True, slots=True)
class Reported:
    """What a gateway made of a release, by its last heartbeat."""

    gateway: str
    applied: Applied


def reported(cluster: Cluster) -> list[Reported]:
    """What all gateways made of what was released to them, by gateway. Raises SinkUnavailable, SinkRefused."""
    newest: dict[bytes, bytes | None] = {}
    for batch in read_to_end(cluster, GATEWAYS.name):
        newest |= {record.key: record.value for record in batch if record.key is not None}
    told = [read_published(value) for _, value in sorted(newest.items()) if value is not None]
    return [Reported(one.gateway, applied) for one in told if isinstance(one, Heartbeat) for applied in one.applied]


def made_of(release: Release, reports: Iterable[Reported]) -> Counter[str]:
    """How many gateways report each state of a release. Its content says which one they mean, not its number."""
    name = release.kind, release.target, release.sha256
    told = [report.applied for report in reports]
    return Counter(one.state for one in told if (one.kind, one.target, one.sha256) == name)


def put(cluster: Cluster, kind: Kind, target: str, content: bytes, source: str, topic: str = RELEASES.name) -> Release:
    """Release content, numbered after what was released before. `source`: `/cloud/NAME`.

    Raises:
        DataError: it is too large, or the target is none.
        SinkUnavailable, SinkRefused, RecordRejected: it was not released.
    """
    key = key_of(kind, check_target(target))
    made = release(kind, target, _last_number(cluster, topic, key) + 1, content)
    record = publish(key, made, source, secrets.token_hex(8), int(time.time() * 1000))
    with Producer(cluster) as producer:
        producer.send(replace(record, topic=topic))
        producer.flush()
    return made


def withdraw(cluster: Cluster, kind: Kind, target: str, topic: str = RELEASES.name) -> None:
    """Have gateways use what they used without it. Raises DataError if there is no such release, else as `put`."""
    key = key_of(kind, check_target(target))
    if all(one.key != key for one in released(cluster, topic)):
        raise DataError(f"there is no release {key}", hint="picante cloud release list shows what there is")
    last = str(_last_number(cluster, topic, key)).encode()
    with Producer(cluster) as producer:
        producer.send(Record(topic, key.encode(), None, ((_NUMBER, last),)))
        producer.flush()


def _last_number(cluster: Cluster, topic: str, key: str) -> int:
    """The highest number that a key had, withdrawn ones among them; 0 if it had none."""
    records = [one for batch in read_to_end(cluster, topic) for one in batch if one.key == key.encode()]
    return max((_number(record) for record in records), default=0)


def _number(record: RawRecord) -> int:
    if record.value is None:
        said = dict(record.headers).get(_NUMBER) or b""
        return int(said) if said.isdigit() else 0
    made = _read(record.key or b"", record.value, 0).release
    return made.number if made is not None else 0
