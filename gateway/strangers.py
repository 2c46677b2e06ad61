"""Who said HELLO and was not let in for want of a key: what each says of itself, where it is, and since when."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass

from firmware_bridge.messages import Hello, RejectReason

FOR_WANT_OF_A_KEY: tuple[RejectReason, ...] = ("unadopted", "bad_mac")
"""Why a dispenser waits that could be let in."""
KEPT_S = 3_600.0
"""s without a HELLO after which it is not told of any more: somebody took it away."""
NAMESAKE_S = 30.0
"""s for which two lines with one name are taken for two dispensers: each says HELLO every 10 s at least."""
REMEMBERED = 64
"""Dispensers; the newest win. A shop has a few, and whoever makes names up must not fill the memory."""

REMEMBERED_OF_A_LINK = 4
"""Of one link, which has one dispenser, or one after the other on a bench; so a port that makes names up crowds out
nobody who waits elsewhere."""


@dataclass(slots=True)
class Stranger:
    """A dispenser that was turned away."""

    hello: Hello
    link: str
    """The port or topic that it spoke through."""
    reason: RejectReason
    detail: str
    private: bool
    """Whether a key may be told on that link."""
    first_seen: float
    """Unix time, s."""
    last_seen: float
    last_s: float
    """By the monotonic clock."""
    times: int = 1
    elsewhere: tuple[str, float] | None = None
    """Where another one of its name spoke, and when, by the monotonic clock."""

    @property
    def namesake(self) -> str | None:
        """The port or topic where another one of its name waits now."""
        recent = self.elsewhere is not None and time.monotonic() - self.elsewhere[1] < NAMESAKE_S
        return self.elsewhere[0] if self.elsewhere is not None and recent else None

    @property
    def takes_a_key(self) -> bool:
        """Whether it has none, and speaks the version that hands one over."""
        return self.hello.key_id is None and max(self.hello.versions) >= 2


class Strangers:
    """Those that wait, the one that was heard last at the end."""

    def __init__(self) -> None:
        self.dropped = 0
        """How often one had to make way for another."""
        self._waiting: dict[str, Stranger] = {}

    def __iter__(self) -> Iterator[Stranger]:
        return iter(self._waiting.values())

    def __len__(self) -> int:
        return len(self._waiting)

    def get(self, dispenser: str) -> Stranger | None:
        """The one of this name, if it waits."""
        return self._waiting.get(dispenser)

    def note(self, hello: Hello, link: str, private: bool, reason: RejectReason, detail: str) -> Stranger:
        """Somebody was turned away."""
        now, before = time.time(), self._waiting.pop(hello.dispenser, None)
        stranger = Stranger(hello, link, reason, detail, private, now, now, time.monotonic())
        if before is not None:
            stranger.first_seen, stranger.times = before.first_seen, before.times + 1
            if before.link == link:
                stranger.elsewhere = before.elsewhere
            elif before.hello.generation != hello.generation:  # or it is one dispenser that has two lines
                stranger.elsewhere = before.link, before.last_s
        else:
            self._make_way(link)
        self._waiting[hello.dispenser] = stranger
        return stranger

    def _make_way(self, link: str) -> None:
        of_the_link = [name for name, waiting in self._waiting.items() if waiting.link == link]
        if len(of_the_link) >= REMEMBERED_OF_A_LINK:
            oldest = of_the_link[0]
        elif len(self._waiting) >= REMEMBERED:
            oldest = next(iter(self._waiting))
        else:
            return
        del self._waiting[oldest]
        self.dropped += 1

    def look(self) -> None:
        """Forget whom nobody has heard for long."""
        now_s = time.monotonic()
        for name in [name for name, waiting in self._waiting.items() if now_s - waiting.last_s > KEPT_S]:
            del self._waiting[name]

    def drop(self, dispenser: str) -> None:
        """It was let in, or is not asked after any more."""
        self._waiting.pop(dispenser, None)
