"""The states that a pipeline keeps, as others read them beside it, while they are written.

with StateReader.open(directory / "picante.events.v1-0.db") as state:
state.digest("p1-...", "gw-1")
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import msgspec

from cloud.pipeline.fold import CONFLICT, DUPLICATE, FOLDED, SESSION_OVER
from cloud.pipeline.state import SCHEMA_VERSION
from cloud.pipeline.subjects import NEVER, Subjects
from heat.errors import StoreError
from heat.profile import Profile

BUSY_MS = 1_000
NO_REFUSAL = {FOLDED, DUPLICATE, CONFLICT, SESSION_OVER}


class StateReader:
    """One file. One thread's own."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        row = connection.execute("SELECT topic, partition, partitions, generation FROM log").fetchone()
        self.topic, self.partition, self.partitions, self.generation = row

    @classmethod
    @contextlib.contextmanager
    def open(cls, path: Path) -> Iterator[StateReader]:
        """The state of a file. Raises StoreError where there is none, or it can't be read now."""
        connection = None
        try:
            connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
            connection.execute(f"PRAGMA busy_timeout={BUSY_MS}")
            if connection.execute("PRAGMA user_version").fetchone() != (SCHEMA_VERSION,):
                raise StoreError(f"{path}: another version of Picante wrote it", hint="Run the pipeline of this one")
            yield cls(connection)
        except (sqlite3.Error, msgspec.DecodeError) as error:
            raise StoreError(
                f"{path} can't be read: {error}", hint="cloud.data_dir is where the pipeline works"
            ) from error
        finally:
            if connection is not None:
                connection.close()

    def position(self) -> int:
        """The offset up to which, exclusively, all is folded."""
        (position,) = self._connection.execute("SELECT position FROM log").fetchone()
        return int(position)

    def counts(self, from_hour: int) -> tuple[int, Counter[tuple[int, str]], Counter[tuple[int, str]]]:
        """The position, and by hour of receipt and origin how many records were taken, and how many of them refused.

        All as of one moment.
        """
        with self._moment():
            position = self.position()
            rows = self._connection.execute(
                "SELECT hour, origin, outcome, n FROM counts WHERE hour >= ?", (from_hour,)
            ).fetchall()
        taken: Counter[tuple[int, str]] = Counter()
        refused: Counter[tuple[int, str]] = Counter()
        for hour, origin, outcome, n in rows:
            taken[hour, origin] += n
            refused[hour, origin] += n if outcome not in NO_REFUSAL else 0
        return position, taken, refused

    def held(self, subject: str, origin: str) -> tuple[int, int, int, str]:
        """The position, the subject's version, and of one origin how many pieces of evidence, and their digest."""
        with self._moment():
            position = self.position()
            found = Subjects(self._connection).load([subject]).get(subject)
        profile = found.tally.profile() if found else Profile()
        n = sum(sums.n for key, sums in profile.buckets.items() if key.origin == origin)
        return position, found.version if found else NEVER, n, profile.digest(origin)

    def outcomes(self, origin: str) -> Counter[str]:
        """What became of an origin's records, in the words of `fold`."""
        rows = self._connection.execute(
            "SELECT outcome, sum(n) FROM counts WHERE origin = ? GROUP BY outcome", (origin,)
        )
        return Counter(dict(rows.fetchall()))

    @contextlib.contextmanager
    def _moment(self) -> Iterator[None]:
        """What is read within is of one moment."""
        self._connection.execute("BEGIN")
        try:
            yield
        finally:
            self._connection.execute("COMMIT")


def state_files(directory: Path, topic: str) -> list[Path]:
    """The files of a pipeline's states, by name; none where there is no pipeline."""
    return sorted(path for path in directory.glob(f"{topic}-*.db") if partition_in(path, topic) >= 0)


def partition_in(path: Path, topic: str) -> int:
    """The partition of which a file is the state, by its name; -1 of another file."""
    number = path.stem.removeprefix(f"{topic}-")
    return int(number) if number.isdigit() else -1
