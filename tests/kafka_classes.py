"""The classes that Kafka loads, archived once: who starts with them needs half the processor, and a run starts forty.

`python -m tests.kafka_classes` makes the archive, beside the jars. One of another Java or of other jars is passed over
by the JVM itself; where there is none, Kafka starts as it always did.
"""

from __future__ import annotations

import contextlib
import tempfile
from pathlib import Path

from tests.servers import KAFKA_READY_S, KafkaServer, ServerUnavailable, class_archive


class Recorded(KafkaServer):
    """One that writes down what it has loaded, when it is stopped."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.archive = directory / "classes.jsa"

    def start(self) -> None:
        """See `KafkaServer.start`."""
        self.prepare()
        self.java = (*self.java, f"-XX:ArchiveClassesAtExit={self.archive}")
        super().start()


def main() -> None:
    """Make it, if it is not there."""
    with contextlib.suppress(ServerUnavailable):
        archive = class_archive()
        if archive.exists():
            return
        # renamed when complete, so beside where it will be
        with tempfile.TemporaryDirectory(dir=archive.parent) as directory, Recorded(Path(directory)) as kafka:
            kafka.stop(KAFKA_READY_S)
            if kafka.archive.exists():  # not with every Java
                kafka.archive.rename(archive)


if __name__ == "__main__":
    main()
