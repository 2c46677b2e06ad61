"""What the cloud holds after all, place by place, against what is true."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from deltalake import DeltaTable

from cloud.hot_store.entries import Key
from cloud.hot_store.redis_store import RedisStore
from cloud.librdkafka import Cluster
from cloud.pipeline.partition import Settings
from cloud.pipeline.subjects import Subjects
from cloud_sync.dead_letter import read
from cloud_sync.published import Profile, read_published
from cloud_sync.record import Consumed
from cloud_sync.topics import DEAD_LETTERS, EVENTS
from heat.identity import is_session
from heat.profile import profile_of_rows
from tests.cloud.pipelines import Stage
from tests.cluster import KafkaCluster
from tests.faults.cloud.stream import NUMBER, Sent, Stream


@dataclass(frozen=True, slots=True)
class Difference:
    """What a place lacks, and what it has too much: another value, or one twice, is in `extra`."""

    lost: tuple[Hashable, ...]
    extra: tuple[Hashable, ...]

    @classmethod
    def between(cls, expected: Iterable[Hashable], found: Iterable[Hashable]) -> Difference:
        """How often each occurs counts, and nothing else."""
        wanted, there = Counter(expected), Counter(found)
        return cls(tuple((wanted - there).elements()), tuple((there - wanted).elements()))

    def __bool__(self) -> bool:
        return bool(self.lost or self.extra)


@dataclass(slots=True)
class Verdict:
    """By place: what differs. `good` when nothing does, anywhere."""

    places: dict[str, Difference] = field(default_factory=dict)

    @property
    def good(self) -> bool:
        """Whether there are places, and all hold what they should."""
        return bool(self.places) and not any(self.places.values())

    @property
    def lost(self) -> int:
        """How much lacks, in all places."""
        return sum(len(one.lost) for one in self.places.values())

    @property
    def doubled(self) -> int:
        """How much is too much, in all places."""
        return sum(len(one.extra) for one in self.places.values())

    def __str__(self) -> str:
        return "\n".join(
            f"{place}: {len(one.lost)} lost, such as {one.lost[:2]}; {len(one.extra)} too much, such as {one.extra[:2]}"
            for place, one in self.places.items()
            if one
        )


def judge(stream: Stream, cluster: KafkaCluster, states: Sequence[Path], redis_url: str, lake: Path) -> Verdict:
    """Compare all places; nothing runs any more that would change them."""
    stage = Stage(Settings(Cluster(cluster.bootstrap), lake.parent))
    log, letters = stage.read(EVENTS.name), stage.read(DEAD_LETTERS.name)
    truth = [stream.sent[number(record)] for record in log]
    digests = stream.digests()
    places = {
        "topic": Difference.between(range(len(stream.sent)), {number(record) for record in log}),
        "states": Difference.between(digests.items(), _in_states(states)),
        "counts": Difference.between(_counted(stream, truth), _counts(states)),
        "profiles topic": Difference.between(digests.items(), stage.digests().items()),
        "hot store": Difference.between(digests.items(), in_redis(redis_url, digests)),
        "dead letters": Difference.between(_refused(log, truth), map(_as_was, letters)),
        "lake raw": Difference.between(map(_bytes_of, [*log, *letters]), _raw(lake)),
        "lake events": Difference.between(_readable(log, truth), _event_rows(lake)),
    }
    return Verdict(places)


def number(record: Consumed) -> int:
    """Which one of the stream it is."""
    return int(dict(record.headers)[NUMBER] or b"")


# -- the pipeline ------------------------------------------------------------------------------------------------------


def _in_states(states: Sequence[Path]) -> list[tuple[str, str]]:
    found = []
    for path in states:
        with closing(sqlite3.connect(path)) as state:
            names = [name for (name,) in state.execute("SELECT name FROM subjects") if not is_session(name)]
            subjects = Subjects(state).load(names)
            found += [(name, subject.tally.profile().digest()) for name, subject in subjects.items()]
    return found


def _counted(stream: Stream, truth: Sequence[Sent]) -> list[tuple[str, int]]:
    """How many records there were of each outcome; doubles and contradictions depend on who came first."""
    reasons = Counter(sent.reason for sent in truth)
    accepted, identities = reasons.pop(None), len(stream.counted())
    named = [(reason, n) for reason, n in reasons.items() if reason is not None]
    return [("folded", identities), ("again", accepted - identities), *named]


def _counts(states: Sequence[Path]) -> list[tuple[str, int]]:
    counts: Counter[str] = Counter()
    for path in states:
        with closing(sqlite3.connect(path)) as state:
            for outcome, n in state.execute("SELECT outcome, n FROM counts"):
                counts["again" if outcome in {"duplicate", "conflict"} else outcome] += n
    return list(counts.items())


def in_redis(url: str, digests: Iterable[str]) -> list[tuple[str, str]]:
    """Subject and digest of those of these that the hot store has."""
    found, names = [], list(digests)
    with closing(RedisStore(url)) as store:
        for name, value in zip(names, store.get_many([Key("profile", name) for name in names]), strict=True):
            profile = None if value is None else read_published(value)
            if isinstance(profile, Profile):
                found.append((name, profile_of_rows(profile.buckets, profile.flavours).digest()))
    return found


# -- dead letters and lake ---------------------------------------------------------------------------------------------


def _refused(log: Sequence[Consumed], truth: Sequence[Sent]) -> list[Hashable]:
    return [
        (record.partition, record.offset, record.key, record.value, record.headers, record.timestamp_ms, sent.reason)
        for record, sent in zip(log, truth, strict=True)
        if sent.reason is not None
    ]


def _as_was(letter: Consumed) -> Hashable:
    """What a dead letter says of the record that it was, in the form of `_refused`."""
    said = read(letter)
    where = (said.source.partition, said.source.offset) if said.source else (None, None)
    return (*where, letter.key, letter.value, said.headers, said.timestamp_ms, said.reason)


def _bytes_of(record: Consumed) -> Hashable:
    return record.topic, record.partition, record.offset, _sha(record.key), _sha(record.value)


def _raw(lake: Path) -> list[Hashable]:
    columns = ["topic", "partition", "offset", "key", "value"]
    rows = DeltaTable(str(lake / "raw")).to_pyarrow_table(columns=columns).to_pylist()
    return [(row["topic"], row["partition"], row["offset"], _sha(row["key"]), _sha(row["value"])) for row in rows]


def _readable(log: Sequence[Consumed], truth: Sequence[Sent]) -> list[Hashable]:
    """Where the events lie, those that came too late among them."""
    return [
        (record.partition, record.offset, sent.event.identity)
        for record, sent in zip(log, truth, strict=True)
        if sent.event is not None
    ]


def _event_rows(lake: Path) -> list[Hashable]:
    rows = DeltaTable(str(lake / "events")).to_pyarrow_table(columns=["partition", "offset", "id"]).to_pylist()
    return [(row["partition"], row["offset"], row["id"]) for row in rows]


def _sha(value: bytes | None) -> bytes | None:
    return None if value is None else hashlib.sha256(value).digest()
