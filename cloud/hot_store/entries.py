"""What a hot store keeps, and what its filler and its readers ask of one. `memory` and `redis_store` are such stores.

An entry is the value of one record: a subject's profile, features or picks, the CloudEvent as it came. It is replaced
by none of a lower version. A store keeps the filler's positions, too: with the entries they are lost, set back and
copied, so whatever happened to a store, what it lacks begins at the position that it has.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple, Protocol, get_args

from cloud_sync.published import Version
from heat.errors import SyncError

Kind = Literal["profile", "features", "picks"]
KINDS: tuple[Kind, ...] = get_args(Kind)

FORGOTTEN_MS = 60 * 60 * 1000
"""ms that a store remembers that a subject is to be forgotten: until then, an older record that another process had
in its hands, or that is read again, does not bring the subject back."""


class Key(NamedTuple):
    """Where an entry is."""

    kind: Kind
    subject: str


class Put(NamedTuple):
    """An entry that came."""

    key: Key
    offset: int
    """Of its record, in the partition that all records of this key are in."""
    version: Version
    value: bytes
    expires_ms: int
    """Unix time, ms, from which on it is not there any more."""
    topic_id: str = ""
    """Of its record's topic: offsets of one that was made anew say nothing about those of the earlier one."""


class Forget(NamedTuple):
    """A tombstone that came."""

    key: Key
    offset: int
    topic_id: str = ""


Change = Put | Forget


class Move(NamedTuple):
    """A position, from where it was left to where it is now: offsets of the next record, or below 0 before the first.

    None: there was none.
    """

    was: int | None
    now: int


class PositionMoved(SyncError):
    """A store's position is not where it was left: it was emptied, set back, or is filled by another process, too."""

    def __init__(self) -> None:
        super().__init__("the hot store's position is not where it was left", hint="It is filled from what it has")


class Filled(Protocol):
    """A store as its filler sees it. All raise SinkUnavailable or SinkRefused where it can't be reached."""

    def positions(self, names: Collection[str]) -> dict[str, int]:
        """The positions that it has, of these."""

    def put(self, changes: Sequence[Change], moves: Mapping[str, Move]) -> int:
        """Make these changes, in their order, and then move the positions; returns how many changed something.

        Raises:
            PositionMoved: a position was not where it `was`; none is moved then, and all changes are made: to go on
                from the store's positions makes some of them again, to the same end.
        """

    def forget_positions(self, names: Collection[str] | None = None) -> None:
        """Forget these positions, or all: what they are of is read from the beginning."""


class Looked(Protocol):
    """A store as its readers see it."""

    def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        """The values of these entries, None where there is none. Raises as `Filled` does."""


class HotStore(Filled, Looked, Protocol):
    """All that a hot store can do."""

    def clear(self) -> int:
        """Forget all entries and positions; returns how many entries there were."""

    def close(self) -> None:
        """Let go of what it holds."""
