"""The prior of this site (`heat.site_prior`): learned from the profiles here, kept, or set by hand in gateway.toml.

It is learned from this gateway's own evidence alone: no Internet is needed, and a customer of another store says
nothing of this one.

Picks alone go by it. What the cloud makes of a profile (`heat.features`), and the digests, which have no prior at all,
are the same whatever site a customer came from.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
from collections.abc import Iterable
from contextlib import closing

import msgspec

from gateway.store import Store
from heat.reading import Prior
from heat.scale import milli_octaves
from heat.site_prior import LEAST_EVIDENCE, LIKED, SitePrior, learn

log = logging.getLogger("gateway.site_prior")

LEARN_S = 6 * 3600.0
"""s between two looks at all profiles: half a second of a core for 100,000 customers."""
META = "site_prior"

_CUSTOMERS = f"""
SELECT sum(w), sum(wq) FROM buckets
WHERE origin = ? AND kind IN ({", ".join("?" * len(LIKED))}) AND subject NOT GLOB 's-*'
GROUP BY subject HAVING sum(n) >= ?
"""  # noqa: S608 -- marks


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
    return reader.execute(_CUSTOMERS, (origin, *LIKED, LEAST_EVIDENCE))


def _read(text: str) -> SitePrior | None:
    try:
        return msgspec.json.decode(text, type=SitePrior | None)
    except msgspec.DecodeError:
        return None  # it is learned again
