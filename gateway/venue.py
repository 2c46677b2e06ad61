"""What a store is like, beside its sauces: its limit of heat, and what its clocks show."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.clock import Now


@dataclass(frozen=True, slots=True)
class Venue:
    """A store, as picks need it."""

    limit_shu: int | None = None
    """SHU; nothing hotter is picked unasked, or poured unconfirmed."""
    timezone: ZoneInfo | None = None

    def hour(self, now: Now) -> int | None:
        """The hour on the store's clocks, 0..23; None while nobody knows the time, or the time zone."""
        if self.timezone is None or not now.known:
            return None
        return datetime.fromtimestamp(now.wall_ms / 1000, self.timezone).hour
