"""Subjects -> the records that tell of them: profile and features with their version, and tombstones. Pure.

A profile's record names the log that its version counts in (`picante.log`: topic id, partition, partitions): whoever
rebuilds a state from it must not take an offset of another log for one of this.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from cloud.pipeline.state import Log
from cloud.pipeline.subjects import Subject
from cloud_sync.envelope import MAX_ENVELOPE_BYTES
from cloud_sync.published import Profile, Region, Version, features_of, publish, read_published
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import FEATURES, PROFILES
from heat.errors import ConfigError
from heat.events import BucketRow, FlavourRow
from heat.features import features, next_change_day
from heat.identity import SAFE_INTEGER, is_session
from heat.tally import Tally

LOG = "picante.log"
AT_ONCE = 200
"""Profiles of which a rebuild has the sums in memory: a hundred days of a customer take 0.2 MB there."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Makes the records of one partition's subjects."""

    log: Log
    source: str
    """`/cloud/NAME`."""
    profiles: str = PROFILES.name
    features: str = FEATURES.name

    def news(self, subject: Subject, day: int, now_ms: int) -> list[Record]:
        """A subject whose sums changed: profile, and features as of `day`. None of it where no reader would take it.

        That somebody opted out is told in any case, then without sums.
        """
        told = self._profile(subject, now_ms, *subject.tally.rows())
        if told is None and subject.consent is not None and subject.consent[1]:
            told = self._profile(subject, now_ms, (), ())
        return [told, self.read_on(subject, day, now_ms)] if told is not None else []

    def _profile(
        self, subject: Subject, now_ms: int, buckets: tuple[BucketRow, ...], flavours: tuple[FlavourRow, ...]
    ) -> Record | None:
        if not tellable(buckets):
            return None
        profile = Profile(
            version=Version(self.log.generation, subject.version),
            regions=tuple(Region(*region) for region in sorted(subject.regions.items())),
            buckets=buckets,
            flavours=flavours,
            opted_out=subject.consent is not None and subject.consent[1],
            consent_ms=None if subject.consent is None else subject.consent[0],
        )
        id_ = f"{subject.name}:{self.log.generation}:{subject.version}"
        record = publish(subject.name, profile, self.source, id_, now_ms)
        headers = (*record.headers, (LOG, log_header(self.log)))
        told = replace(record, topic=self.profiles, headers=headers)
        if len(told.value or b"") > MAX_ENVELOPE_BYTES:
            return None  # 9,000 buckets
        return told

    def read_on(self, subject: Subject, day: int, now_ms: int) -> Record:
        """The features of a subject as of a day."""
        version = Version(self.log.generation, subject.version, day)
        seen = features_of(features(subject.tally.profile(), day), version)
        id_ = f"{subject.name}:{self.log.generation}:{subject.version}:{day}"
        return replace(publish(subject.name, seen, self.source, id_, now_ms), topic=self.features)

    def gone(self, name: str) -> list[Record]:
        """A subject that is forgotten."""
        return [Record(topic, name.encode(), None, ()) for topic in (self.profiles, self.features)]


def tellable(buckets: Iterable[BucketRow]) -> bool:
    """Whether any reader can hold the sums: 56,000 sure verdicts on pure capsaicin in one day are too many.

    No count is above the weights, whose sum is above that of each part of them, nor a sum of heats above both others.
    """
    w = 0
    for row in buckets:
        w += row.w
        if row.wqq > SAFE_INTEGER:
            return False
    return w <= SAFE_INTEGER


def next_day(subject: Subject, day: int) -> int | None:
    """The day on which features as of `day` are to be looked at again. Sessions don't live that long."""
    return None if is_session(subject.name) else next_change_day(subject.tally.profile(), day)


def log_header(log: Log) -> bytes:
    """How a profile's record names the log of its version."""
    return f"{log.topic_id or ''}/{log.partition}/{log.partitions}".encode()


def checkpoint(log: Log, profiles_id: str | None) -> str:
    """What a position of the group is committed with: the log and the topic of profiles of which it is true."""
    return f"{log.generation}/{log_header(log).decode()}/{profiles_id or ''}"


def known(log: Log, batches: Iterable[Sequence[Consumed]]) -> Iterator[list[Subject]]:
    """The subjects of a log's partition as profiles' records have them, some at a time. Without sums: a tombstone.

    Raises:
        ConfigError: they were made from another log under this generation, or a higher one is published.
    """
    for batch in batches:
        for first in range(0, len(batch), AT_ONCE):
            found: dict[str, Subject] = {}
            for record in batch[first : first + AT_ONCE]:
                subject = _known_one(log, record)
                if subject is not None:
                    found[subject.name] = subject
            yield list(found.values())


def _known_one(log: Log, record: Consumed) -> Subject | None:
    name = (record.key or b"").decode(errors="replace")
    header = dict(record.headers).get(LOG)
    if record.value is None:
        return Subject(name)  # it was forgotten after it was said
    if is_session(name):
        return Subject(name, 0)  # whatever its sums: one of today is folded again
    profile = read_published(record.value)
    if not isinstance(profile, Profile) or header is None or profile.version.generation < log.generation:
        return None
    if profile.version.generation > log.generation:
        raise ConfigError(
            f"{record.topic} has profiles of generation {profile.version.generation}, and this is {log.generation}",
            hint="Set pipeline.generation in cloud.toml to theirs, or to a higher one",
        )
    if header != log_header(log):
        raise ConfigError(
            f"{record.topic} has profiles of generation {log.generation} that were folded from another topic"
            f" ({header.decode(errors='replace')}, not {log_header(log).decode()})",
            hint="The events' topic was made anew or split: raise pipeline.generation in cloud.toml to begin anew",
        )
    tally = Tally()
    tally.add_rows(profile.buckets, profile.flavours)
    regions = {region.region: region.last_day for region in profile.regions}
    consent = None if profile.consent_ms is None else (profile.consent_ms, profile.opted_out)
    return Subject(name, profile.version.offset, profile.version.offset, 0, tally, regions, consent=consent)
