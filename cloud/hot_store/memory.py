"""A hot store in this process, for one machine: bounded, and filled anew at each start. Any thread may use it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from cloud.hot_store.entries import FORGOTTEN_MS, Change, Key, Move, PositionMoved, Put
from cloud_sync.published import Version

MAX_ENTRIES = 600_000
"""Three for each of 200,000 customers."""
MAX_BYTES = 1_500_000_000
"""Of values: so many with a profile of 4 KiB. One profile may have 900 kB."""
SWEPT_MS = 60_000
"""ms between two looks through a full store for what has expired; one takes 0.1 s."""


class _Entry(NamedTuple):
    version: Version | None
    """None: forgotten."""
    offset: int
    value: bytes | None
    expires_ms: int
    topic_id: str


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryStore:
    """See `entries.HotStore`. Where it is full, what has expired goes first, and then what was written longest ago."""

    def __init__(
        self, max_entries: int = MAX_ENTRIES, now_ms: Callable[[], int] = _now_ms, max_bytes: int = MAX_BYTES
    ) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        """What was written longest ago comes first."""
        self._positions: dict[str, int] = {}
        self._max_entries, self._max_bytes = max_entries, max_bytes
        self._bytes = 0
        self._swept_ms = 0
        self._now_ms = now_ms

    def positions(self, names: Collection[str]) -> dict[str, int]:
        """See `entries.Filled`."""
        with self._lock:
            return {name: self._positions[name] for name in names if name in self._positions}

    def put(self, changes: Sequence[Change], moves: Mapping[str, Move]) -> int:
        """See `entries.Filled`."""
        with self._lock:
            changed = sum([self._change(change) for change in changes])
            self._make_room()
            if any(self._positions.get(name) != move.was for name, move in moves.items()):
                raise PositionMoved
            self._positions.update({name: move.now for name, move in moves.items()})
            return changed

    def _change(self, change: Change) -> bool:
        found = self._alive(change.key)
        if isinstance(change, Put):
            if found is not None and _is_older(change, found):
                return False
            entry = _Entry(change.version, change.offset, change.value, change.expires_ms, change.topic_id)
        else:
            if found is not None and found.topic_id == change.topic_id and found.offset > change.offset:
                return False
            entry = _Entry(None, change.offset, None, self._now_ms() + FORGOTTEN_MS, change.topic_id)
        if found is not None:
            self._drop(change.key)
        self._entries[change.key] = entry  # the last one
        self._bytes += len(entry.value or b"")
        return True

    def _drop(self, key: Key) -> None:
        self._bytes -= len(self._entries.pop(key).value or b"")

    def _full(self) -> bool:
        return len(self._entries) > self._max_entries or self._bytes > self._max_bytes

    def _make_room(self) -> None:
        now_ms = self._now_ms()
        if self._full() and not 0 <= now_ms - self._swept_ms < SWEPT_MS:
            self._swept_ms = now_ms
            for key in [key for key, entry in self._entries.items() if entry.expires_ms <= now_ms]:
                self._drop(key)
        while self._full():
            self._drop(next(iter(self._entries)))

    def _alive(self, key: Key) -> _Entry | None:
        found = self._entries.get(key)
        if found is not None and found.expires_ms <= self._now_ms():
            self._drop(key)
            return None
        return found

    def forget_positions(self, names: Collection[str] | None = None) -> None:
        """See `entries.Filled`."""
        with self._lock:
            for name in list(self._positions) if names is None else names:
                self._positions.pop(name, None)

    def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        """See `entries.Looked`."""
        with self._lock:
            found = [self._alive(key) for key in keys]
        return [None if entry is None else entry.value for entry in found]

    def clear(self) -> int:
        """See `entries.HotStore`."""
        with self._lock:
            entries = sum(entry.version is not None for entry in self._entries.values())
            self._entries.clear()
            self._bytes = 0
            self._positions.clear()
            return entries

    def close(self) -> None:
        """Nothing is held that would not go by itself."""


def _is_older(put: Put, found: _Entry) -> bool:
    if found.version is None:
        return put.topic_id == found.topic_id and put.offset <= found.offset
    return put.version < found.version
