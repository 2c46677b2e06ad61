"""The running gateway -> a heartbeat: how it is, for whoever looks after all of them. Asked by `cloud_sync.pulse`."""

from __future__ import annotations

import asyncio
import itertools
import shutil
import sqlite3
import time
from collections.abc import Hashable

from cloud_sync.published import Applied, DigestRow, Heartbeat, Tally, publish
from cloud_sync.record import Record
from cloud_sync.uplink import Uplink
from gateway import seen
from gateway.releases import Releases
from gateway.web.glance import Status
from gateway.web.web import Web
from heat.errors import StoreError

LOOK_S = 5.0
"""s between two looks at what is wrong; the board itself looks no more often."""
RETELL_S = 600.0
"""s after which a customer's digest is told again though nothing has changed: the cloud may have begun anew."""
DETAIL_CHARS = 300
"""Characters of why a release is refused."""


class Heart:
    """Knows what there is to tell. It belongs to the event loop's thread."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._numbers = itertools.count(1)
        self._important: Hashable = None
        self._looked_s = float("-inf")
        self._told: dict[str, tuple[str, float]] = {}
        """By subject: the digest that was told, and when."""

    def important(self) -> Hashable:
        """See `cloud_sync.pulse.Teller`: what is wrong, and whether the time is known."""
        now_s = time.monotonic()
        if now_s - self._looked_s >= LOOK_S:
            try:
                releases = self._web.state.releases.report()
            except sqlite3.Error:
                return self._important  # the store tells of it
            self._looked_s = now_s
            codes = sorted({repair.code for repair in self._web.board.repairs})
            used = [(one.kind, one.target, one.number, one.state) for one in releases]
            self._important = (self._web.state.clock.now().known, *codes, *used)
        return self._important

    async def tell(self) -> Record:
        """See `cloud_sync.pulse.Teller`. Raises StoreError."""
        state = self._web.state
        assert state.uplink is not None, "only an uplink asks"
        try:
            told = await asyncio.to_thread(seen.digests, state.store)
            told = told._replace(rows=self._news(told.rows))
            heartbeat = self._heartbeat(await self._web.status(), state.uplink, told)
        except sqlite3.Error as error:
            raise StoreError(f"the database can't be read: {error}") from error
        name = state.config.gateway.id
        id_ = f"{name}:{state.uplink.instance}:{next(self._numbers)}"
        return publish(name, heartbeat, f"/gateways/{name}", id_, state.clock.now().wall_ms)

    def _news(self, rows: tuple[DigestRow, ...]) -> tuple[DigestRow, ...]:
        """Digests that were not told lately. One that gets lost on its way is told again with the next change."""
        now_s = time.monotonic()
        told = {row.subject: self._told.get(row.subject, ("", 0.0)) for row in rows}
        news = [row for row in rows if told[row.subject][0] != row.digest or now_s - told[row.subject][1] >= RETELL_S]
        self._told = told | {row.subject: (row.digest, now_s) for row in news}
        return tuple(news)

    def _heartbeat(self, status: Status, uplink: Uplink, told: seen.Seen) -> Heartbeat:
        state, gateway, sync = self._web.state, status.gateway, status.sync
        now = state.clock.now()
        known = state.dispensers.known.values()
        return Heartbeat(
            gateway=gateway.id,
            store=gateway.store,
            region=gateway.region,
            software=gateway.version,
            started_ms=int(state.started * 1000),
            backlog=sync.pending,
            oldest_ms=None if sync.oldest_age_s is None else now.wall_ms - sync.oldest_age_s * 1000,
            clock="known" if now.known else "unknown",
            disk_percent=min(gateway.database_bytes * 100 // gateway.quota_bytes, 100),
            repairs=tuple(dict.fromkeys(trouble.code for trouble in status.repairs)),
            digests=told.rows,
            epoch=sync.epoch,
            confirmed=told.confirmed,
            sent_ms=None if uplink.status.sent_s is None else int(uplink.status.sent_s * 1000),
            uplink=uplink.status.state,
            ranker=gateway.ranker,
            catalogue=state.catalog.version,
            words=state.words,
            dispensers=len(known),
            online=sum(dispenser.online for dispenser in known),
            free_mib=shutil.disk_usage(state.store.settings.data_dir).free // 2**20,
            applied=_applied(state.releases),
            since_start=Tally(
                duplicates=status.counts.duplicates,
                refused=status.counts.refused,
                picks=status.counts.picks_shown,
                sent=uplink.status.sent,
                dead_letters=uplink.status.dead_letters,
                redelivered=uplink.status.redelivered,
            ),
        )


def _applied(releases: Releases) -> tuple[Applied, ...]:
    return tuple(
        Applied(
            kind=one.kind,
            target=one.target,
            number=one.number,
            sha256=one.sha256,
            state=one.state,
            detail=one.detail[:DETAIL_CHARS],
        )
        for one in releases.report()
    )
