"""How often a customer poured each sauce, each time counting less with its age; and how popular it is. Pure.

A profile (`heat.profile`) knows heats and flavours, but no sauces: what was poured is kept beside it, a count a sauce
and day, and decays by the same table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from heat.catalog import Sauce
from heat.reading import UNIT, DecayTable, default_decay


def decayed(counts: Iterable[tuple[str, int, int]], today: int, decay: DecayTable | None = None) -> dict[str, float]:
    """`(sauce, day, pours)` -> pours by sauce, as they count on the UTC day `today`; none that counts nothing."""
    decay = decay or default_decay()
    sums: dict[str, int] = {}
    for sauce, day, pours in counts:
        if weighed := decay.weight(day, today) * pours:
            sums[sauce] = sums.get(sauce, 0) + weighed
    return {sauce: weighed / UNIT for sauce, weighed in sums.items()}


CATALOG_POURS = 100
"""Pours that the catalogue's popularity counts as, before a site has its own."""


def site_popularity(sauces: Iterable[Sauce], poured: Mapping[str, float]) -> dict[str, float]:
    """How popular each sauce is at a site where this often was poured of each: in pours, the catalogue's among them."""
    return {one.id: CATALOG_POURS * one.popularity / 100 + poured.get(one.id, 0) for one in sauces}
