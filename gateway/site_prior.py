"""What this site's customers were found to like -> what is believed of the next one before they did anything.

A bar by the sea and a taqueria have other strangers. So the prior is learned from the profiles here, and from this
gateway's own evidence alone: no Internet is needed, and a customer of another store says nothing of this one. Of each
customer with enough evidence the mean of what they like is taken; the prior's mean and variance are those of these
means, less the noise that each one's own evidence has, and drawn towards the brand's prior by as many customers as
that is worth. gateway.toml may set either by hand.

Picks alone go by it. What the cloud makes of a profile (`heat.features`), and the digests, which have no prior at all,
are the same whatever site a customer came from.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from math import isqrt

import msgspec

from gateway.store import Store
from heat.reading import PRECISION_UNIT, Prior
from heat.scale import milli_octaves

log = logging.getLogger("gateway.site_prior")

LEAST_EVIDENCE = 5
"""Pieces of evidence of a customer who counts."""
LEAST_CUSTOMERS = 20
"""Customers, without whom it is the brand's prior. That counts as many."""
NARROWEST_MO, WIDEST_MO = 1000, 4000
"""mo; customers of no site are so alike, or so different, that a stranger's own doses should count no more or less."""
LEARN_S = 6 * 3600.0
"""s between two looks at all profiles: half a second of a core for 100,000 customers."""
META = "site_prior"

_CUSTOMERS = """
SELECT sum(w), sum(wq) FROM buckets
WHERE origin = ? AND kind IN ('stated', 'poured', 'just_right') AND subject NOT GLOB 's-*'
GROUP BY subject HAVING sum(n) >= ?
"""


class SitePrior(msgspec.Struct, frozen=True):
    """What was learned, as `meta` keeps it."""

    mean_mo: int
    sd_mo: int
    customers: int


def learn(customers: Iterable[tuple[int, int]], brand: Prior) -> SitePrior | None:
    """The prior of a site with these customers, each with sum w and sum w*q; None where they are too few."""
    likings = [(wq // w, PRECISION_UNIT // w) for w, wq in customers if w > 0]
    n = len(likings)
    if n < LEAST_CUSTOMERS:
        return None
    mean = sum(liked for liked, _ in likings) // n
    # what evidence itself is unsure by is no difference between customers
    spread = sum((liked - mean) ** 2 for liked, _ in likings) // (n - 1) - sum(noise for _, noise in likings) // n
    spread = max(spread, NARROWEST_MO**2)
    drawn = (n * mean + LEAST_CUSTOMERS * brand.mean_mo) // (n + LEAST_CUSTOMERS)
    apart = n * LEAST_CUSTOMERS * (mean - brand.mean_mo) ** 2 // (n + LEAST_CUSTOMERS) ** 2
    variance = (n * spread + LEAST_CUSTOMERS * brand.sd_mo**2) // (n + LEAST_CUSTOMERS) + apart
    return SitePrior(drawn, min(max(isqrt(variance), NARROWEST_MO), WIDEST_MO), n)


class SitePriors:
    """The prior that picks go by: by hand (`mean_shu`, `sd_octaves`), or learned here, or the brand's."""

    def __init__(self, store: Store, mean_shu: int | None, sd_octaves: float | None) -> None:
        self._store = store
        self._mean_mo = None if mean_shu is None else milli_octaves(mean_shu)
        self._sd_mo = None if sd_octaves is None else round(1000 * sd_octaves)
        with closing(store.reader()) as reader:
            row = reader.execute("SELECT value FROM meta WHERE key = ?", (META,)).fetchone()
        self.learned = _read(row[0]) if row else None
        """What was learned here, if anything."""

    @property
    def current(self) -> Prior:
        """What is believed of a stranger."""
        base = Prior() if self.learned is None else Prior(self.learned.mean_mo, self.learned.sd_mo)
        return Prior(
            base.mean_mo if self._mean_mo is None else self._mean_mo, base.sd_mo if self._sd_mo is None else self._sd_mo
        )

    async def look(self) -> None:
        """Learn from the profiles as they are. Raises StoreError if what is new can't be kept."""
        learned = await asyncio.to_thread(self._learn)
        if learned == self.learned:
            return
        text = msgspec.json.encode(learned).decode()
        await asyncio.wrap_future(self._store.write(lambda tx: tx.set_meta(META, text), upkeep=True))
        self.learned = learned
        log.info("a stranger is believed to like %d mo, give or take %d", self.current.mean_mo, self.current.sd_mo)

    def _learn(self) -> SitePrior | None:
        # in a thread, with a connection of its own: customers ask meanwhile
        with closing(self._store.reader()) as reader:
            return learn(_customers(reader, self._store.settings.gateway_id), Prior())


def _customers(reader: sqlite3.Connection, origin: str) -> Iterable[tuple[int, int]]:
    return reader.execute(_CUSTOMERS, (origin, LEAST_EVIDENCE))


def _read(text: str) -> SitePrior | None:
    try:
        return msgspec.json.decode(text, type=SitePrior | None)
    except msgspec.DecodeError:
        return None  # it is learned again
