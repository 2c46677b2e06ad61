"""A hot store in this process, for one machine: bounded, and filled anew at each start. Any thread may use it."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import NamedTuple

from cloud.hot_store.entries import FORGOTTEN_MS, Change, Forget, Key, Move, PositionMoved, Put
from cloud_sync.published import Version

MAX_ENTRIES = 600_000
"""Three for each of 200,000 customers: 1.5 GB with a profile of 4 KiB."""


class _Entry(NamedTuple):
    version: Version | None
    """None: forgotten."""
    offset: int
    value: bytes | None
    expires_ms: int


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


class MemoryStore:
    """See `entries.HotStore`. Beyond `max_entries`, what was written longest ago goes first."""

    def __init__(self, max_entries: int = MAX_ENTRIES, now_ms: Callable[[], int] = _now_ms) -> None:
        self._lock = threading.Lock()
        self._entries: OrderedDict[Key, _Entry] = OrderedDict()
        self._positions: dict[str, int] = {}
        self._max_entries = max_entries
        self._now_ms = now_ms

    def positions(self, names: Collection[str]) -> dict[str, int]:
        """See `entries.Filled`."""
        with self._lock:
            return {name: self._positions[name] for name in names if name in self._positions}

    def put(self, changes: Sequence[Change], moves: Mapping[str, Move]) -> int:
        """See `entries.Filled`."""
        with self._lock:
            changed = sum([self._change(change) for change in changes])
            while len(self._entries) > self._max_entries:
                self._entries.popitem(last=False)
            if any(self._positions.get(name) != move.was for name, move in moves.items()):
                raise PositionMoved
            self._positions.update({name: move.now for name, move in moves.items()})
            return changed

    def _change(self, change: Change) -> bool:
        found = self._alive(change.key)
        match change:
            case Put():
                if found is not None and _is_older(change, found):
                    return False
                self._entries[change.key] = _Entry(change.version, change.offset, change.value, change.expires_ms)
            case Forget():
                if found is not None and found.offset > change.offset:
                    return False
                self._entries[change.key] = _Entry(None, change.offset, None, self._now_ms() + FORGOTTEN_MS)
        self._entries.move_to_end(change.key)
        return True

    def _alive(self, key: Key) -> _Entry | None:
        found = self._entries.get(key)
        if found is not None and found.expires_ms <= self._now_ms():
            del self._entries[key]
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
            self._positions.clear()
            return entries

    def close(self) -> None:
        """Nothing is held that would not go by itself."""


def _is_older(put: Put, found: _Entry) -> bool:
    if found.version is None:
        return put.offset <= found.offset
    return put.version < found.version
