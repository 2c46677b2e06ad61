"""How often a customer poured each sauce, each time counting less with its age. Pure.

A profile (`heat.profile`) knows heats and flavours, but no sauces: what was poured is kept beside it, a count a sauce
and day, and decays by the same table.
"""

from __future__ import annotations

from collections.abc import Iterable

from heat.reading import UNIT, DecayTable, default_decay


def decayed(counts: Iterable[tuple[str, int, int]], today: int, decay: DecayTable | None = None) -> dict[str, float]:
    """`(sauce, day, pours)` -> pours by sauce, as they count on the UTC day `today`; none that counts nothing."""
    decay = decay or default_decay()
    sums: dict[str, int] = {}
    for sauce, day, pours in counts:
        if weighed := decay.weight(day, today) * pours:
            sums[sauce] = sums.get(sauce, 0) + weighed
    return {sauce: weighed / UNIT for sauce, weighed in sums.items()}
