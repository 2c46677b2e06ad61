"""A line to a Kafka broker that goes dead, or is cut in the middle of an exchange.

    with ProxiedKafka(directory) as kafka:
        async with Line(kafka) as line:
            ...  # clients of line.bootstrap come through it, whatever they are told of the cluster
            line.dead_after(PRODUCE)
            line.heal()
            line.cut_after(END_TRANSACTION)

A broker has a listener of its own for what comes through, since it tells clients where to go on.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Protocol, Self

from tests.servers import KafkaServer, free_port

METADATA = 3
PRODUCE, ADD_PARTITIONS, ADD_OFFSETS, END_TRANSACTION, COMMIT_OFFSETS = 0, 24, 25, 26, 28
"""Kafka's numbers for the first request of a client, and for those of a transaction: https://kafka.apache.org/protocol#protocol_api_keys"""


def with_listener(properties: str, front: int, back: int) -> str:
    """A broker's properties with a listener on `back`, whose clients are sent to `front`."""
    for name, port in (("listeners", back), ("advertised.listeners", front)):
        properties = re.sub(rf"^({name}=.*)$", rf"\1,LINE://127.0.0.1:{port}", properties, flags=re.MULTILINE)
    protocols = "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,LINE:PLAINTEXT"
    return f"{properties}\nlistener.security.protocol.map={protocols}\n"


class Proxied(Protocol):
    """A broker with such a listener."""

    front: int
    back: int


class ProxiedKafka(KafkaServer):
    """A single node that aborts what is too old within a moment, and forgets positions within a minute."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.front, self.back = free_port(), free_port()

    def _properties(self) -> str:
        return with_listener(super()._properties(), self.front, self.back) + (
            "transaction.abort.timed.out.transaction.cleanup.interval.ms=100\n"
            "offsets.retention.minutes=1\n"
            "offsets.retention.check.interval.ms=500\n"
        )


class Line:
    """What clients of one broker come through. Faults happen once each; `passed` counts requests by their number."""

    def __init__(self, broker: Proxied) -> None:
        self.bootstrap = f"127.0.0.1:{broker.front}"
        self.passed: Counter[int] = Counter()
        self.cuts = 0
        self._broker = broker
        self._alive = asyncio.Event()
        self._alive.set()
        self._dead_after: int | None = None
        self._cut_after: int | None = None
        self._at_cut: Callable[[], object] = lambda: None
        self._links: set[asyncio.Task[None]] = set()

    def dead_after(self, request: int) -> None:
        """Carry nothing any more, either way, once such a request has passed. Nobody is told."""
        self._dead_after = request

    @property
    def dead(self) -> bool:
        """Whether nothing is carried."""
        return not self._alive.is_set()

    def heal(self) -> None:
        """Carry what was held back, and all that follows."""
        self._alive.set()

    def cut_after(self, request: int | None, at_cut: Callable[[], object] = lambda: None) -> None:
        """Break a connection once such a request has passed, so that its answer is lost; then call `at_cut`."""
        self._cut_after, self._at_cut = request, at_cut

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._broker.front)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for link in self._links:
            link.cancel()
        await asyncio.gather(*self._links, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._links.add(task)
        try:
            await self._carry(reader, writer)
        finally:
            writer.transport.abort()
            self._links.discard(task)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            down, up = await asyncio.open_connection("127.0.0.1", self._broker.back)
            ways = [asyncio.create_task(self._up(reader, up)), asyncio.create_task(self._down(down, writer))]
            try:
                await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for way in ways:
                    way.cancel()
                await asyncio.gather(*ways, return_exceptions=True)
                up.close()

    async def _up(self, client: asyncio.StreamReader, broker: asyncio.StreamWriter) -> None:
        """Carry requests until the client ends, or one is the last: the broker gets that one whole."""
        while True:
            size = await client.readexactly(4)
            request = await client.readexactly(int.from_bytes(size))
            await self._alive.wait()
            broker.write(size + request)
            await broker.drain()
            number = int.from_bytes(request[:2])
            self.passed[number] += 1
            if number == self._dead_after:
                self._dead_after = None
                self._alive.clear()
            if number == self._cut_after:
                self._cut_after = None
                self.cuts += 1
                self._at_cut()
                return

    async def _down(self, broker: asyncio.StreamReader, client: asyncio.StreamWriter) -> None:
        while answer := await broker.read(65_536):
            await self._alive.wait()
            client.write(answer)
            await client.drain()
