"""picante.profiles.v1 -> picante.picks.v1: what the brand would pour for a customer, out of all its sauces.

The ranker is the gateways', on a menu of the whole catalogue and without dial or mood; what lies above a customer's
tolerance is not among the picks, however few are left. They are published at least once, and have the version of the
profile that they are made of. Other sauces or another ranker have a group of their own, which begins with all profiles
that there are: so everybody's picks are made anew, and these replace the earlier ones.
"""

from __future__ import annotations

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace

import msgspec

from cloud.config import CloudConfig
from cloud.kafka import BEGINNING, Consumer, Place, Producer
from cloud.librdkafka import Cluster, PositionLost, cluster_of
from cloud.threads import in_thread
from cloud_sync.published import Profile, ServedPick, ServedPicks, publish, read_published
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import DAY_MS, PICKS, PROFILES
from heat.catalog import Catalog, default_catalog, parse_catalog
from heat.errors import ConfigError, DataError
from heat.profile import profile_of_rows
from heat.reading import read
from models.bundle import pretrained
from models.explore import suggest
from models.features import Context, Menu
from models.ranker import Ranker, open_ranker
from models.rules import NO_NEEDS, Rules, allowed

log = logging.getLogger("cloud.recommender")


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True)
class Shelf:
    """What may be picked, and by what."""

    catalog: Catalog
    ranker: Ranker
    picks: int
    """At most, for each customer."""

    @property
    def group(self) -> str:
        """The consumer group that has read profiles for this shelf."""
        sauces = msgspec.json.encode(tuple(self.catalog.values())).decode()
        told = f"{self.ranker.name}\n{self.picks}\n{sauces}"
        return f"picante-recommender-{hashlib.sha256(told.encode()).hexdigest()[:12]}"


class Recommender:
    """Reads profiles and publishes picks."""

    def __init__(
        self,
        cluster: Cluster,
        name: str,
        shelf: Shelf,
        now_ms: Callable[[], int] = _now_ms,
        profiles: str = PROFILES.name,
        picks: str = PICKS.name,
    ) -> None:
        """`name`: the installation's; the topics, if they are not the contract's."""
        self._cluster, self._source, self._shelf, self._now_ms = cluster, f"/cloud/{name}", shelf, now_ms
        self._profiles, self._picks = profiles, picks
        self._menu = Menu(allowed(shelf.catalog.values(), Rules(), NO_NEEDS))
        self._consumer: Consumer | None = None
        self._places: set[Place] = set()

    def run(self, stop: threading.Event) -> None:
        """Publish until told to stop. Raises SinkUnavailable, SinkRefused."""
        with Producer(self._cluster) as producer, Consumer(self._cluster, self._shelf.group) as consumer:
            self._consumer = consumer
            consumer.subscribe(self._profiles, self)
            while not stop.is_set():
                try:
                    records = consumer.poll()
                except PositionLost:
                    consumer.assign(dict.fromkeys(self._places, BEGINNING))
                    continue
                if records:
                    for record in self.answers(records):
                        producer.send(record)
                    producer.flush()
                    consumer.commit({Place(r.topic, r.partition): r.offset + 1 for r in records})

    def assigned(self, places: Collection[Place]) -> Mapping[Place, int]:
        """See `cloud.kafka.Assignments`."""
        assert self._consumer is not None
        self._places = set(places)
        kept = self._consumer.committed(places)
        return {place: BEGINNING if offset is None else offset for place, offset in kept.items()}

    def revoked(self, places: Collection[Place]) -> None:
        """See `cloud.kafka.Assignments`."""
        self._places -= set(places)

    def answers(self, records: Iterable[Consumed]) -> list[Record]:
        """The picks of the customers whose profiles these are: of each customer's the last.

        There is a tombstone for one, and for who opted out.
        """
        last: dict[str, Profile | None] = {}
        for record in records:
            profile = None if record.value is None else read_published(record.value)
            if record.key is None or not (profile is None or isinstance(profile, Profile)):
                log.warning("no profile", extra={"partition": record.partition, "offset": record.offset})
                continue
            last[record.key.decode(errors="replace")] = profile
        now_ms = self._now_ms()
        return [self._answer(subject, profile, now_ms) for subject, profile in last.items()]

    def _answer(self, subject: str, profile: Profile | None, now_ms: int) -> Record:
        if profile is None or profile.opted_out:
            return Record(self._picks, subject.encode(), None, ())
        id_ = f"{subject}:{profile.version.generation}:{profile.version.offset}"
        picks = self.picks(profile, now_ms // DAY_MS)
        return replace(publish(subject, picks, self._source, id_, now_ms), topic=self._picks)

    def picks(self, profile: Profile, today: int) -> ServedPicks:
        """The picks for whoever has this profile, on a UTC day."""
        reading, context = read(profile_of_rows(profile.buckets, profile.flavours), today), Context()
        slate = suggest(self._shelf.ranker, reading, self._menu, context, slots=self._shelf.picks)
        picks = tuple(
            ServedPick(
                sauce=pick.sauce.id,
                milli_octaves=pick.sauce.heat.milli_octaves,
                score=pick.score if math.isfinite(pick.score) else 0.0,
                why=pick.why,
            )
            for pick in slate.picks
            if pick.fits
        )
        ranker = self._shelf.ranker.name
        return ServedPicks(version=profile.version, ranker=ranker, picks=picks, last_day=profile.last_day)


def shelf_of(config: CloudConfig) -> Shelf:
    """What `[recommender]` of cloud.toml names. Raises ConfigError."""
    section = config.recommender
    try:
        file = None if section.catalog is None else config.path(section.catalog)
        catalog = default_catalog() if file is None else parse_catalog(file.read_bytes())
    except OSError as error:
        hint = "recommender.catalog in the configuration names this file"
        raise ConfigError(f"{error.filename}: {error.strerror}", hint=hint) from error
    except DataError as error:
        raise ConfigError(str(error)) from error
    ranker, trouble = open_ranker(pretrained() if section.bundle is None else config.path(section.bundle))
    if trouble is not None:
        log.warning("the rule ranks: %s", trouble)
    return Shelf(catalog, ranker, section.picks)


async def run(config: CloudConfig) -> None:
    """The part of `picante cloud run`."""
    await in_thread("recommender", Recommender(cluster_of(config), config.cloud.name, shelf_of(config)).run)
