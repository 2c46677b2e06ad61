"""A real store on disk, and deliveries as a link would make them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from firmware_bridge.bodies import EventBody
from firmware_bridge.codec import body_map, encode_body
from firmware_bridge.link import Delivery
from firmware_bridge.messages import Ask, EventMessage, Hello, NozzleInfo, Picks
from gateway.clock import Clock
from gateway.dating import register_boot
from gateway.door import Door
from gateway.ingest import Ingest
from gateway.picks import Recommender
from gateway.rankers import Rankers
from gateway.store import Settings, Store, open_store
from heat.catalog import default_catalog
from heat.scale import default_words
from models.bundle import pretrained
from models.ranker import LinearRanker, open_ranker
from tests.waiting import wait_until_async

NOON_MS = 1_790_000_000_000 // 86_400_000 * 86_400_000 + 43_200_000
"""Noon of a day in 2026."""
DAY = NOON_MS // 86_400_000
KEY = bytes(range(32))
"""The brand's, for pseudonyms."""


@dataclass
class HandClock:
    """A wall clock that a test sets, and the kernel's uptime, which goes on as the test says."""

    wall_ms: int = NOON_MS
    boot_ms: int = 5_000_000

    def __call__(self) -> int:
        return self.wall_ms * 1_000_000

    def boot_ns(self) -> int:
        """ns since the kernel booted."""
        return self.boot_ms * 1_000_000

    def go_on(self, ms: int) -> None:
        """Time passes."""
        self.wall_ms += ms
        self.boot_ms += ms


@dataclass
class Counter:
    """A dispenser's link as ingest sees it: deliveries go in, acknowledgements are noted."""

    ingest: Ingest
    name: str = "hot-bar-1"
    generation: int = 7
    boot: int = 3
    uptime_ms: int = 1_000_000
    acked: list[int] = field(default_factory=list)
    retried: list[int] = field(default_factory=list)
    _next: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def hello(self) -> Hello:
        return Hello(
            dispenser=self.name,
            firmware="1.0.0",
            versions=(1,),
            nozzles=tuple(NozzleInfo(i, sauce, 500) for i, sauce in enumerate(default_catalog())),
            generation=self.generation,
            lowest=1,
            next=2**40,
            nonce=bytes(8),
            boot=self.boot,
            uptime_ms=0,
        )

    def send(  # noqa: PLR0913 -- what a test may vary
        self,
        body: EventBody | None = None,
        *,
        session: int = 1,
        age_ms: int = 0,
        sequence: int | None = None,
        kind: int | None = None,
        fields: dict[int, object] | None = None,
        boot: int | None = None,
    ) -> int:
        """Deliver one event; returns its sequence."""
        number = sequence if sequence is not None else next(self._next)
        message = EventMessage(
            generation=self.generation,
            sequence=number,
            boot=self.boot if boot is None else boot,
            uptime_ms=self.uptime_ms - age_ms,
            sent_uptime_ms=self.uptime_ms,
            session=session,
            kind=kind if kind is not None else (body.number if body is not None else 0),
            body=fields if fields is not None else (body_map(body) if body is not None else {}),
        )
        message = EventMessage(
            **{f: getattr(message, f) for f in message.__struct_fields__[:-1]}, raw=encode_body(message)
        )
        self.ingest.deliver(
            Delivery(message, self.hello, lambda: self.acked.append(number), lambda: self.retried.append(number))
        )
        return number

    async def settled(self, count: int) -> None:
        """Wait until the fate of `count` deliveries is known."""
        await wait_until_async(lambda: len(self.acked) + len(self.retried) >= count, 10, f"{count} deliveries settled")


class Screen:
    """A link's way down."""

    def __init__(self) -> None:
        self.shown: list[Picks] = []

    def answer(self, picks: Picks, written: Callable[[], None]) -> None:
        """Show picks."""
        self.shown.append(picks)
        written()


def ask(nonce: int, session: int = 1, **more: object) -> Ask:
    """A question of a session's customer."""
    return Ask(session=session, nonce=nonce.to_bytes(8, "big"), **more)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Store]:
    """A store on disk; its parameter is the quota, bytes."""
    settings = Settings(tmp_path / "data", "gw-1")
    settings.quota_bytes = getattr(request, "param", settings.quota_bytes)
    opened = open_store(settings)
    yield opened
    opened.close()


@pytest.fixture
def hand_clock() -> HandClock:
    """The wall clock of `clock`."""
    return HandClock()


@pytest.fixture
def clock(hand_clock: HandClock) -> Clock:
    """The gateway's clock, its wall time in the test's hand."""
    return Clock("system", hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))


@pytest.fixture
def word(tmp_path: Path) -> Path:
    """The file by which the network vouches for the time."""
    path = tmp_path / "synchronised"
    path.touch()
    return path


@pytest.fixture
def vouched(hand_clock: HandClock, word: Path) -> Clock:
    """A clock that is known as long as `word` is there and new."""
    return Clock("system", hand_clock, hand_clock.boot_ns, word)


@pytest.fixture
def door() -> Door:
    """The door of a shop with the default catalogue."""
    return Door(default_catalog(), default_words(), "plaza", "south")


@pytest.fixture
def boot(store: Store) -> int:
    """This boot's number."""
    return store.write(lambda tx: register_boot(tx, "boot-a", 0)).result(20).number


@pytest.fixture
async def ingest(store: Store, clock: Clock, door: Door, boot: int) -> Ingest:
    """The way in."""
    return Ingest(store, clock, door, boot, lambda _stored, _id: None)


@pytest.fixture
def counter(ingest: Ingest) -> Counter:
    """A dispenser on the counter of the shop."""
    return Counter(ingest)


@pytest.fixture
async def recommender(store: Store, clock: Clock, door: Door, boot: int) -> AsyncIterator[Recommender]:
    """Who answers it."""
    made = recommend(store, clock, door, boot)
    yield made
    made.close()


def recommend(store: Store, clock: Clock, door: Door, boot: int) -> Recommender:
    """Whoever answers in a boot of the gateway."""
    ranker, error = open_ranker(pretrained())
    assert error is None
    # without its deviations: what these tests see does not hang on chance
    greedy = LinearRanker(ranker.name, ranker.weights.tolist())
    return Recommender(store, clock, door, boot, Rankers(greedy), (KEY, 1), lambda: None)


@pytest.fixture
def rows(store: Store) -> Callable[[str], list[tuple[object, ...]]]:
    """Run a query on a fresh read-only connection."""

    def query(sql: str) -> list[tuple[object, ...]]:
        connection = store.reader()
        try:
            return connection.execute(sql).fetchall()
        finally:
            connection.close()

    return query
