"""The pipeline on topics of a test's own, in a thread or as a process, and what it made of them."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self

from cloud.kafka import Place, Producer, read_to_end
from cloud.librdkafka import Cluster
from cloud.pipeline.loop import Pipeline
from cloud.pipeline.partition import Settings
from cloud_sync.published import ClockTick, Features, Profile, publish, read_published
from cloud_sync.record import Consumed, Record
from heat.profile import profile_of_rows
from tests.servers import create_topic
from tests.waiting import wait_until

ANY_TIME = {"message.timestamp.after.max.ms": str(2**53)}
BROKER_TIME = {"message.timestamp.type": "LogAppendTime"}


@dataclass(frozen=True)
class Stage:
    """A Kafka with topics for one pipeline."""

    settings: Settings

    @classmethod
    async def make(cls, bootstrap: str, directory: Path, partitions: int = 2) -> Self:
        """Fresh topics and groups; states in `directory`."""
        events = await create_topic(bootstrap, partitions, BROKER_TIME)
        profiles = await create_topic(bootstrap, partitions, {"cleanup.policy": "compact"})
        features, letters = await create_topic(bootstrap), await create_topic(bootstrap, 1, BROKER_TIME)
        samples = await create_topic(bootstrap, partitions, BROKER_TIME)
        clock, unique = await create_topic(bootstrap, 1, ANY_TIME), secrets.token_hex(4)
        return cls(
            Settings(
                cluster=Cluster(bootstrap, session_ms=6_000),
                directory=directory,
                group=f"pipeline-{unique}",
                dead_letters_group=f"letters-{unique}",
                dead_letters_ids=f"letters-{unique}",
                events=events,
                samples=samples,
                profiles=profiles,
                features=features,
                dead_letters=letters,
                clock=clock,
            )
        )

    def at(self, directory: Path) -> Stage:
        """The same with states elsewhere."""
        return Stage(replace(self.settings, directory=directory))

    def regrouped(self) -> Stage:
        """The same with another group: the old one waits for a member that was killed, and no state hangs on it."""
        return Stage(replace(self.settings, group=f"pipeline-{secrets.token_hex(4)}"))

    def send(self, pairs: Sequence[tuple[bytes | None, bytes | None]], topic: str | None = None) -> None:
        """Keys and values as they are, to the events unless a topic is named."""
        with Producer(self.settings.cluster) as producer:
            for key, value in pairs:
                producer.send(Record(topic or self.settings.events, key, value, (("h", b"1"), ("h", b"2"))))
            producer.flush()

    def tick(self, day: int, now_ms: int) -> None:
        """A day begins."""
        record = publish(str(day), ClockTick(day=day), "/cloud/test", f"tick-{day}", now_ms)
        with Producer(self.settings.cluster) as producer:
            producer.send(replace(record, topic=self.settings.clock, timestamp_ms=now_ms))
            producer.flush()

    def read(self, topic: str) -> list[Consumed]:
        """All that lies in a topic."""
        return [record for batch in read_to_end(self.settings.cluster, topic) for record in batch]

    def profiles(self) -> dict[str, Profile | None]:
        """The last profile of each key; None: a tombstone."""
        found: dict[str, Profile | None] = {}
        for record in self.read(self.settings.profiles):
            profile = None if record.value is None else read_published(record.value)
            assert profile is None or isinstance(profile, Profile)
            found[(record.key or b"").decode()] = profile
        return found

    def digests(self) -> dict[str, str]:
        """Of the last profile of each key."""
        last = {name: profile for name, profile in self.profiles().items() if profile is not None}
        return {name: profile_of_rows(one.buckets, one.flavours).digest() for name, one in last.items()}

    def features(self) -> dict[str, Features]:
        """The last features of each key."""
        found = {}
        for record in self.read(self.settings.features):
            if record.value is not None and isinstance(seen := read_published(record.value), Features):
                found[(record.key or b"").decode()] = seen
        return found

    def wait_for(self, digests: dict[str, str], deadline_s: float = 20.0) -> None:
        """Until these are published, and no others."""
        wait_until(lambda: self.digests() == digests, deadline_s, "the profiles are published")

    @contextlib.contextmanager
    def running(self) -> Iterator[Pipeline]:
        """A pipeline in a thread; what it raises, this raises at the end."""
        pipeline, stop, raised = Pipeline(self.settings), threading.Event(), []

        def work() -> None:
            try:
                pipeline.run(stop)
            except BaseException as error:  # noqa: BLE001 -- raised again below
                raised.append(error)

        thread = threading.Thread(target=work, name="pipeline")
        thread.start()
        try:
            yield pipeline
        finally:
            stop.set()
            thread.join(30)
            assert not thread.is_alive()
            if raised:
                raise raised[0]


class PipelineProcess:
    """`picante cloud run` with the pipeline alone, on a stage's topics: a real process, to be killed.

    The topics' names are the stage's, so it is started by `python -c`, with the same `Settings`. `fault` is Python that
    runs before it, in the process: what breaks it there.
    """

    def __init__(self, stage: Stage, log: Path, fault: str = "") -> None:
        settings = stage.settings
        options = {name: getattr(settings, name) for name in settings.__slots__ if name not in {"cluster", "directory"}}
        code = (
            "import json, signal, sys, threading\n"
            "from pathlib import Path\n"
            "from cloud.librdkafka import Cluster\n"
            "from cloud.pipeline.loop import Pipeline\n"
            "from cloud.pipeline.partition import Settings\n"
            "from cloud_sync.log import set_up_logging\n"
            "set_up_logging('info')\n"
            "stop = threading.Event()\n"
            "signal.signal(signal.SIGTERM, lambda *_: stop.set())\n"
            f"{fault}\n"
            f"cluster = Cluster({settings.cluster.bootstrap!r}, session_ms={settings.cluster.session_ms})\n"
            f"settings = Settings(cluster=cluster, directory=Path({str(settings.directory)!r}), **{options!r})\n"
            "Pipeline(settings).run(stop)\n"
        )
        self.log = log
        with log.open("ab") as out:
            self._process = subprocess.Popen([sys.executable, "-c", code], stdout=out, stderr=out)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Log lines with this message."""
        lines = [json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{")]
        return [line for line in lines if line["message"] == message]

    def wait_for(self, message: str, count: int = 1, deadline_s: float = 60.0) -> None:
        """Until the log has so many lines with this message."""
        wait_until(lambda: len(self.lines(message)) >= count, deadline_s, f"{count} x {message!r} in {self.log}")

    def wait_until_killed(self, deadline_s: float = 20.0) -> None:
        """Until the fault has killed it."""
        wait_until(lambda: self._process.poll() is not None, deadline_s, "it is killed")
        assert self._process.returncode == -signal.SIGKILL, self.log.read_text()[-2000:]

    def kill(self) -> None:
        """SIGKILL."""
        self._process.kill()
        self._process.wait()

    def stop(self) -> int:
        """SIGTERM; the exit status."""
        self._process.terminate()
        return self._process.wait(20)

    def freeze(self, *, on: bool) -> None:
        """SIGSTOP, or SIGCONT."""
        os.kill(self._process.pid, signal.SIGSTOP if on else signal.SIGCONT)


def place(stage: Stage, partition: int) -> Place:
    """A partition of the stage's events."""
    return Place(stage.settings.events, partition)
