"""What all routes share: the gateway's parts, what is watched of them, and whether the web is closing."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from contextlib import closing
from typing import Annotated

from fastapi import Depends, Request
from prometheus_client import CollectorRegistry

from gateway.access.access import Access
from gateway.backup import wiping
from gateway.config import Config
from gateway.state import GatewayState
from gateway.web.glance import Status
from gateway.web.leaf import Leaf, addresses
from gateway.web.metrics import Figures
from gateway.web.repairs.board import Board
from gateway.web.repairs.metrics import Figures as RepairFigures
from gateway.web.status import snapshot
from gateway.web.traces import Traces
from gateway.web.watch import Watch

FRESH_S = 0.4
"""s for which one snapshot serves all who ask: twenty open pages cost as much as one."""


class Web:
    """One web server's own state; it belongs to the event loop's thread."""

    def __init__(self, state: GatewayState) -> None:
        self.state = state
        self.watch = Watch(state)
        self.board = Board(state, self.watch)
        self.traces = Traces(state.tracer)
        self.registry = CollectorRegistry()
        self.registry.register(Figures(state, self.watch))
        self.registry.register(RepairFigures(self.board))
        self.closing = asyncio.Event()
        """Set when the server ends: event streams end with it."""
        self.leaf: Leaf | None = None
        """The certificate that the page is served with; None where it is served in clear, on this machine alone."""
        self.keeping = asyncio.Lock()
        """Held while a backup is made, sent or checked: one at a time."""
        self.changing = asyncio.Lock()
        """Held from the look at whether something is what was seen until it is changed: of two the later is told."""
        self.streams: Counter[str] = Counter()
        """Event streams that are open: by room, and by whose they are (`seats`)."""
        self._status: Status | None = None
        self._status_s = 0.0

    @property
    def address(self) -> str | None:
        """Where a phone finds the page; None where only this machine has it."""
        if self.leaf is None or not self.leaf.names:
            return None
        return addresses(self.state.config.http.port, self.leaf.names)[0]

    async def pause(self, pause_s: float) -> None:
        """Wait, but not longer than the web is open."""
        try:
            async with asyncio.timeout(pause_s):
                await self.closing.wait()
        except TimeoutError:
            pass

    @property
    def access(self) -> Access:
        """Who may come in."""
        return self.state.access

    @property
    def config(self) -> Config:
        """The configuration as it counts now."""
        return self.state.config

    def at_stake(self) -> int:
        """Events that Kafka has not. Reads: in a thread. Raises sqlite3.Error."""
        with closing(self.state.store.reader()) as reader:
            return wiping.at_stake(reader)

    def restart(self) -> None:
        """Have the daemon start anew."""
        self.state.restart = True
        self.state.stopping.set()

    def hosts(self) -> frozenset[str]:
        """Names and addresses beyond loopback by which a browser may call this server, in lower case."""
        return frozenset() if self.leaf is None else self.leaf.names

    async def status(self) -> Status:
        """The gateway at a glance, at most `FRESH_S` old. Raises sqlite3.Error."""
        await self.board.fresh()
        now_s = time.monotonic()
        if self._status is None or now_s - self._status_s > FRESH_S:
            self._status, self._status_s = snapshot(self.state, self.watch, self.board), now_s
        return self._status


def _web(request: Request) -> Web:
    web: Web = request.app.state.web
    return web


TheWeb = Annotated[Web, Depends(_web)]
"""An endpoint's parameter of this type is the web that it belongs to."""
