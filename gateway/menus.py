"""What a dispenser could offer a customer now: its nozzles' sauces, as far as rules allow them to be picked.

Empty nozzles, and sauces that the catalogue doesn't know, are no candidates. The menus are kept, since their arrays are
the same at each ASK until a nozzle changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from firmware_bridge.messages import NozzleInfo
from heat.catalog import Catalog
from heat.scale import milli_octaves
from models.features import Menu
from models.rules import Needs, Rules, allowed, confirmed

KEPT = 1_000
"""Menus that are kept: some dozens of dispensers, with the needs of their customers."""


@dataclass(frozen=True, slots=True)
class Offer:
    """The candidates, and the nozzle of each."""

    menu: Menu
    nozzles: dict[str, int]


class Menus:
    """The offers by one catalogue and the store's limit, in SHU."""

    def __init__(self, catalog: Catalog, limit_shu: int | None = None) -> None:
        limit_mo = milli_octaves(limit_shu) if limit_shu is not None else None
        self._catalog = catalog
        self._rules = Rules(limit_mo, frozenset(catalog.allergens))
        self._kept: dict[tuple[tuple[tuple[str, int], ...], Needs, int | None], Offer] = {}

    @property
    def limited(self) -> bool:
        """Whether there is a limit."""
        return self._rules.limit_mo is not None

    def offer(self, nozzles: Sequence[NozzleInfo], needs: Needs, wish_mo: int | None) -> Offer:
        """What may be picked for a customer with these needs, who asked for this heat in mo, if for any."""
        limit_mo = self._rules.limit_mo
        asked_mo = wish_mo if wish_mo is not None and limit_mo is not None and wish_mo > limit_mo else None
        places: dict[str, int] = {}
        for nozzle in nozzles:
            if nozzle.sauce in self._catalog and nozzle.level_ml > 0:
                places.setdefault(nozzle.sauce, nozzle.nozzle)
        key = tuple(places.items()), needs, asked_mo
        if (known := self._kept.get(key)) is not None:
            return known
        menu = Menu(allowed((self._catalog[sauce] for sauce in places), self._rules, needs, asked_mo))
        if len(self._kept) >= KEPT:
            self._kept.clear()
        offer = self._kept[key] = Offer(menu, {sauce: places[sauce] for sauce in menu.ids})
        return offer

    def to_confirm(self, nozzles: Sequence[NozzleInfo]) -> tuple[int, ...]:
        """The nozzles that pour only after a confirmation: above the limit, or as hot as nobody knows."""
        if self._rules.limit_mo is None:
            return ()
        known = self._catalog
        hot = (n.nozzle for n in nozzles if n.sauce not in known or confirmed(known[n.sauce], self._rules))
        return tuple(sorted(hot))
