"""Plausibility at the door: what is impossible is refused, what is merely odd is flagged and kept.

Every rule is a function of the event alone (and, for the dose weight, of the time since the previous dose), so edge
and cloud judge alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "unknown_type",
    "malformed",
    "impossible_heat",
    "impossible_volume",
    "unknown_sauce",
    "unknown_word",
    "too_large",
    "contradictory",
    "impossible_sums",
    "wrong_key",
    "too_old",
    "damaged",
    "internal_error",
]
"""Why an event was refused: the reason code of its dead letter."""

LARGE_POUR_UL = 60_000
"""µl; four tablespoons of hot sauce at once is more likely a stuck valve than a meal."""
MAX_POUR_UL = 2_000_000
"""µl; no bottle on a dispenser holds more."""
SHORT_POUR_MS = 50
"""ms; a valve can't open and close faster."""
BLUNT_MS = 15 * 60 * 1000
"""ms; capsaicin (de)sensitises for about 15 minutes, so a rating after an earlier dose says less."""
BLUNTED_PERCENT = 50


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an event can't be let in; `detail` says what was wrong, without repeating personal data."""

    reason: Reason
    detail: str


def refuse_volume(volume_ul: int) -> Refusal | None:
    """A refusal if no dispenser can have poured this much."""
    if 1 <= volume_ul <= MAX_POUR_UL:
        return None
    return Refusal("impossible_volume", f"volume {volume_ul} µl is outside 1..{MAX_POUR_UL}")


def pour_flags(volume_ul: int, duration_ms: int) -> tuple[str, ...]:
    """What is odd about a pour."""
    flags = []
    if volume_ul > LARGE_POUR_UL:
        flags.append("large_pour")
    if duration_ms < SHORT_POUR_MS:
        flags.append("short_pour")
    return tuple(flags)


def dose_percent(since_previous_dose_ms: int | None) -> int:
    """How much a rating counts, in percent, given the time since the dose before the rated one (None: no such dose)."""
    if since_previous_dose_ms is not None and since_previous_dose_ms < BLUNT_MS:
        return BLUNTED_PERCENT
    return 100
