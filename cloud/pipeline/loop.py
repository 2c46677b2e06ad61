"""The pipeline's loop: partitions come and go with the consumer group, records are folded, what changed is published.

One thread does all of it, in this order: read a batch, send its dead letters, commit its state, publish. Profiles are
published when nothing waits to be read, or every few seconds under load; never before a partition has caught up with
what lay there when it came, so that nobody is told of the past.

Several processes share the partitions of the events. Each has its own directory of states: a partition that moves is
caught up with from the file that its new owner has, however old, or rebuilt.
"""

from __future__ import annotations

import fcntl
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from cloud.config import CloudConfig
from cloud.kafka import BEGINNING, Consumer, Place, Producer
from cloud.librdkafka import cluster_of
from cloud.pipeline import metrics
from cloud.pipeline.dead_letters import GROUP, DeadLetters
from cloud.pipeline.partition import Partition, Settings
from cloud.pipeline.verdict import judge
from cloud.threads import in_thread
from cloud_sync.published import ClockTick, read_published
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS
from heat.errors import ConfigError, PicanteError

log = logging.getLogger("cloud.pipeline")

POLL_S = 0.05
"""s that are waited for the first record of a batch; the loop looks at all else so often, and ends so soon."""
BUSY_PUBLISH_S = 5.0
"""s between publications while there is always more to read: one profile for many of its events."""
BUSY_PUBLISH_SHARE = 0.2
"""Of the time in which is published then, at most: a profile of years is told whole, in a ms, and folding an event of
it takes a fiftieth of that."""
COMMIT_S = 5.0
"""s between the positions that the group is told, once all below them is published: see `PartitionState.seed`."""


async def run(config: CloudConfig) -> None:
    """The part `pipeline` of `picante cloud run`. Raises PicanteErrors; the supervisor runs it again."""
    settings = settings_of(config)
    await in_thread("pipeline", lambda stop: Pipeline(settings).run(stop))


def settings_of(config: CloudConfig) -> Settings:
    """What cloud.toml says of the pipeline."""
    return Settings(
        cluster=cluster_of(config),
        directory=config.path(config.cloud.data_dir) / "pipeline",
        name=config.cloud.name,
        group=config.pipeline.group,
        generation=config.pipeline.generation,
        events=config.pipeline.topic,
        batch=config.pipeline.batch,
        dead_letters_ids=f"{GROUP}-{config.pipeline.group}",
    )


class Pipeline:
    """One member of the group. It is run once."""

    def __init__(self, settings: Settings) -> None:
        self.partitions: dict[Place, Partition] = {}
        self.samples: dict[Place, DeadLetters] = {}
        """Of the samples' topic: nothing of it is folded, and what is refused there gets its dead letter, too."""
        self._settings = settings
        self._tick_day = 0
        self._committed_s = time.monotonic()
        self._busy_publish_s = self._committed_s + BUSY_PUBLISH_S
        """When is published, however much there is to read."""
        self._consumer: Consumer | None = None
        self._look: Consumer | None = None

    def run(self, stop: threading.Event) -> None:
        """Work until `stop` is set.

        Raises:
            SinkUnavailable, SinkRefused, StoreError: run another one.
            ConfigError: another process has the directory, or what is published comes from another log.
        """
        settings = self._settings
        with ExitStack() as stack:
            stack.enter_context(_locked(settings.directory))
            self._look = stack.enter_context(Consumer(settings.cluster))
            clock = stack.enter_context(Consumer(settings.cluster))
            producer = stack.enter_context(Producer(settings.cluster))
            self._begin_clock(clock)
            self._consumer = stack.enter_context(Consumer(settings.cluster, settings.group))
            stack.callback(self._close)
            self._consumer.subscribe([settings.events, settings.samples], self)
            while not stop.is_set():
                self._tick(clock.poll(timeout_s=0))
                records = self._consumer.poll(settings.batch, POLL_S)
                polled_s = time.monotonic()
                self._take(records)
                self._publish(producer, polled_s, busy=len(records) >= settings.batch)
                self._commit()

    # -- partitions come and go (within poll) --------------------------------------------------------------------------

    def assigned(self, places: Collection[Place]) -> Mapping[Place, int]:
        """See `cloud.kafka.Assignments`."""
        assert self._look is not None
        settings, begin = self._settings, {}
        for place in places:
            if place.topic == settings.samples:
                ends = self._look.watermarks(place)
                names = f"{settings.dead_letters_group}-samples", f"{settings.dead_letters_ids}-samples"
                letters = DeadLetters.open(settings.cluster, place, ends, settings.dead_letters, names)
                self.samples[place], begin[place] = letters, letters.position
            else:
                partition = Partition.open(settings, place, self._look, self._tick_day)
                self.partitions[place], begin[place] = partition, partition.start
        return begin

    def revoked(self, places: Collection[Place]) -> None:
        """See `cloud.kafka.Assignments`."""
        for place in places:
            if (partition := self.partitions.pop(place, None)) is not None:
                partition.close()
                with suppress(KeyError):
                    metrics.LAG.remove(str(place.partition))
                log.info("a partition was given away", extra={"line": f"{place.topic} {place.partition}"})
            if (letters := self.samples.pop(place, None)) is not None:
                letters.close()

    def _close(self) -> None:
        closing: list[Partition | DeadLetters] = [*self.partitions.values(), *self.samples.values()]
        for part in closing:
            with suppress(PicanteError):
                part.close()
        self.partitions.clear()
        self.samples.clear()

    # -- the steps -----------------------------------------------------------------------------------------------------

    def _take(self, records: Sequence[Consumed]) -> None:
        by_place: defaultdict[Place, list[Consumed]] = defaultdict(list)
        for record in records:
            by_place[Place(record.topic, record.partition)].append(record)
        for place, theirs in by_place.items():
            if (partition := self.partitions.get(place)) is not None:
                with metrics.BATCH_S.time():
                    partition.take(theirs)
            elif (letters := self.samples.get(place)) is not None:
                letters.send((judge(record, samples=True) for record in theirs), theirs[-1].offset + 1)
        assert self._consumer is not None
        for place in self._consumer.ended:
            if (partition := self.partitions.get(place)) is not None and not partition.caught_up:
                partition.caught_up = True
                about = {"line": f"{place.topic} {place.partition}", "position": partition.state.position}
                log.info("a partition has caught up", extra=about)

    def _publish(self, producer: Producer, polled_s: float, *, busy: bool) -> None:
        # one that was frozen may have lost its partitions, and must not tell of the past: the next poll knows
        if time.monotonic() - polled_s >= self._settings.cluster.session_ms / 2000:
            return
        begun_s = time.monotonic()
        if busy and begun_s < self._busy_publish_s:
            return
        for partition in self.partitions.values():
            if not partition.caught_up:
                continue
            while partition.publish(producer) and busy:
                pass  # all of it, since the next occasion is far
            if not busy:
                partition.sweep(producer)
                partition.state.tidy(int(time.time() * 1000) // DAY_MS)
        ended_s = time.monotonic()
        pause_s = (ended_s - begun_s) * (1 / BUSY_PUBLISH_SHARE - 1)
        self._busy_publish_s = ended_s + max(BUSY_PUBLISH_S, pause_s)

    def _begin_clock(self, clock: Consumer) -> None:
        """Know the day before any partition comes: sessions of other days are not folded."""
        topic = self._settings.clock
        places = [Place(topic, partition) for partition in range(clock.partitions(topic))]
        clock.assign(dict.fromkeys(places, BEGINNING))
        while len(clock.ended) < len(places):
            self._tick(clock.poll())

    def _tick(self, records: Sequence[Consumed]) -> None:
        for record in records:
            tick = None if record.value is None else read_published(record.value)
            # a day that is ahead of its own record has not begun
            if isinstance(tick, ClockTick) and self._tick_day < tick.day <= record.timestamp_ms // DAY_MS:
                self._tick_day = tick.day
                for partition in self.partitions.values():
                    partition.state.tick(tick.day)

    def _commit(self) -> None:
        if time.monotonic() - self._committed_s >= COMMIT_S and self.partitions:
            assert self._consumer is not None
            for place, part in self.partitions.items():
                if part.told is not None:
                    self._consumer.commit({place: part.told}, part.checkpoint)
                ended = place in self._consumer.ended
                lag = 0 if ended else self._consumer.watermarks(place, cached=True)[1] - part.state.position
                metrics.LAG.labels(str(place.partition)).set(max(lag, 0))
            self._committed_s = time.monotonic()


@contextmanager
def _locked(directory: Path) -> Iterator[None]:
    """Hold the directory of the states, so that no two processes write one file."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = (directory / "lock").open("w")
    except OSError as error:
        raise ConfigError(f"{directory}: {error.strerror}", hint="cloud.data_dir names it") from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            hint = "Give each process a cloud.data_dir of its own"
            raise ConfigError(f"{directory}: another pipeline works there", hint=hint) from error
        yield
