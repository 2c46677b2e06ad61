"""Who we have been to Kafka: a file beside the database, so that it outlives a database that was lost or put back.

Each process that sends has an instance id (`cloud_sync.uplink`), a line here, newest last. Where Kafka's position was
written by one of them, it was this gateway; by any other, it was another gateway of the same name. The file belongs to
the card, not to the database: a backup need not have it, and a quarantine leaves it where it is. Where it was lost, the
ids of the database fill it again.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from cloud_sync.durable import sync_directory
from heat.errors import StoreError

KEPT = 256
"""Ids. Kafka's position has the last that sent; the others are there for what may have been lost on the way."""


class Instances:
    """The file. Its methods block."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "instances"

    def load(self) -> list[str]:
        """All ids, newest last; none where there is no file yet.

        Raises:
            StoreError: it is there and can't be read: taking it for empty would take ourselves for a stranger.
        """
        try:
            return self._path.read_text(errors="replace").split()
        except FileNotFoundError:
            return []
        except OSError as error:
            raise StoreError(f"{self._path}: {error.strerror}", hint="Let the gateway read it") from error

    def add(self, instance: str, older: Iterable[str] = ()) -> list[str]:
        """Put an id at the end, and `older` ones that are missing before all; it is on disk when this returns.

        Returns what the file holds now.

        Raises:
            StoreError: it can't be written.
        """
        known = self.load()
        missing = [other for other in older if other not in known]
        if known[-1:] == [instance] and not missing:
            return known
        kept = [*(other for other in [*missing, *known] if other != instance), instance][-KEPT:]
        new = self._path.with_suffix(".new")
        try:
            with new.open("w") as file:
                file.write("".join(f"{known}\n" for known in kept))
                file.flush()
                os.fsync(file.fileno())
            new.rename(self._path)
            sync_directory(self._path.parent)
        except OSError as error:
            raise StoreError(
                f"{self._path}: {error.strerror}", hint="Free space, or let the gateway write it"
            ) from error
        return kept
