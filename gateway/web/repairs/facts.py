"""What repairs need to know beyond the daemon's own state: disk, power, flash, files. Read in a thread, every 5 s.

The doctor reads the same where no daemon runs.
"""

from __future__ import annotations

import shutil
import time
from collections import deque
from contextlib import closing
from dataclasses import dataclass, field, replace

from gateway import letters
from gateway.autonomy import autonomy
from gateway.backup import restoring
from gateway.backup.restoring import Plan
from gateway.config import Config
from gateway.hardware import Hardware, look
from gateway.named_certificates import Certificate, certificates
from gateway.store import Store

FORECAST_FROM_S = 600.0
"""s of looks from which on it is foretold when the disk will be full."""
FORECAST_OF_S = 6 * 3600.0
"""s that a rate is taken of."""


@dataclass(frozen=True, slots=True)
class Facts:
    """As of the last reading."""

    free_bytes: int
    hardware: Hardware
    certificates: tuple[Certificate, ...] = ()
    restored: Plan | None = None
    """What was put back here, until somebody has seen it."""
    full_in_s: float | None = None
    """s until the disk is full, at the rate of the last hours; None where it does not fill, or nobody knows."""
    letters: int = 0
    """Events that were refused, and at which nobody has looked."""
    room_s: float | None = None
    """s for which events have room if Kafka takes none; None where none come."""


@dataclass(slots=True)
class Disk:
    """How the room on a disk changed. Times are of the monotonic clock, s."""

    looks: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=512))

    def note(self, now_s: float, free_bytes: int) -> None:
        """Note a look, one a minute at most."""
        if not self.looks or now_s - self.looks[-1][0] >= 60:
            self.looks.append((now_s, free_bytes))
        while now_s - self.looks[0][0] > FORECAST_OF_S:
            self.looks.popleft()

    def full_in_s(self, now_s: float, free_bytes: int) -> float | None:
        """s until nothing is left, at the rate since the oldest look."""
        if not self.looks or now_s - self.looks[0][0] < FORECAST_FROM_S:
            return None
        since_s, before = self.looks[0]
        taken = before - free_bytes
        return None if taken <= 0 else free_bytes * (now_s - since_s) / taken


class Reader:
    """Reads the facts about one gateway."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._disk = Disk()

    def read(self, store: Store, now_ms: int) -> Facts:
        """As of now, which is `now_ms` of Unix time. It may wait for the disk. Raises OSError, sqlite3.Error."""
        facts = self.read_files()
        with closing(store.reader()) as reader:
            room = autonomy(reader, now_ms, store.settings.quota_bytes, facts.free_bytes)
            open_letters = sum(letters.counts(reader).values())
        return replace(facts, room_s=None if room.hours is None else room.hours * 3600, letters=open_letters)

    def read_files(self) -> Facts:
        """The same without the database. Raises OSError where there is no data directory."""
        now_s = time.monotonic()
        data_dir = self._config.path(self._config.gateway.data_dir)
        free = shutil.disk_usage(data_dir).free
        self._disk.note(now_s, free)
        hardware = look(data_dir, self._config.path(self._config.system.root))
        named = tuple(certificates(self._config))
        return Facts(free, hardware, named, restoring.done(data_dir), self._disk.full_in_s(now_s, free))
