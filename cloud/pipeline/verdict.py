"""What the pipeline makes of a record before anything is folded: an event, or a reason against it. Pure.

A record's age is judged by the broker's time of receipt, so that every engine, and every later run, comes to the same
verdict on the same record.
"""

from __future__ import annotations

from typing import NamedTuple

from cloud_sync.envelope import Received, verdict
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS
from heat.events import PourVoided
from heat.quality import Refusal

MAX_AGE_DAYS = 90
"""Days from an event's day to its receipt. Identities are remembered for longer, so what comes twice is known."""


class Verdict(NamedTuple):
    """What a record is: an event, an event that came too late, or (without `event`) nothing that can be read."""

    record: Consumed
    event: Received | None
    refusal: Refusal | None
    day: int
    """UTC day of receipt."""


def judge(record: Consumed, *, samples: bool = False) -> Verdict:
    """The verdict on a record of the events' topic, or of the samples': these are in no profile, and never too old."""
    day = record.timestamp_ms // DAY_MS
    if record.value is None:
        return Verdict(record, None, Refusal("malformed", "no value"), day)
    found = verdict(record.key, record.value, samples=samples)
    if isinstance(found, Refusal):
        return Verdict(record, None, found, day)
    # a pour that came too late is in no profile, so neither may be what takes it back
    happened = min(found.day, found.data.day) if isinstance(found.data, PourVoided) else found.day
    if not samples and happened >= 0 and day - happened > MAX_AGE_DAYS:
        return Verdict(record, found, Refusal("too_old", f"{day - happened} days old at receipt"), day)
    return Verdict(record, found, None, day)
