"""Two shops, lived through two real gateways: what their stores hold, what their uplinks would send, what is true.

Customers come to both shops, show their card early, late or never; a twentieth of visits comes in a month late, from
a dispenser whose cable was out; the first shop does not know the time for a while, and dates what it has once it does.
Technicians take some pours back.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cloud_sync.envelope import encode
from cloud_sync.outbox import StoredEvent
from cloud_sync.record import Record
from firmware_bridge.bodies import EventBody, PouredBody, RatedBody, StatedBody
from gateway import voids
from gateway.clock import Clock
from gateway.dating import register_boot, settle, stamp
from gateway.door import Door
from gateway.ingest import Ingest
from gateway.outbox import StoreOutbox
from gateway.picks import Recommender
from gateway.rankers import Rankers
from gateway.store import Settings, Store, open_store
from gateway.transaction import read_profile
from heat.catalog import default_catalog
from heat.identity import is_session
from heat.scale import default_words
from models.ranker import RuleRanker
from tests.flow import truth
from tests.gateway.conftest import KEY, NOON_MS, Counter, HandClock, Screen, ask
from tests.waiting import wait_until_async

SHOPS = {"gw-1": "plaza", "gw-2": "harbour"}
DISPENSERS = 4
"""In each shop."""
DAY_MS = 86_400_000
MONTH_MS = 30 * DAY_MS
AHEAD_MS = 10**11
"""ms that the dispensers run longer than the gateway."""
LATE = 0.05
"""Share of visits that come in a month late."""
TIMELESS = 0.04
"""Share of the first shop's visits at its beginning, in which nobody knows the time."""
SAUCES = list(truth.SAUCES)
WORDS = [category["word"] for category in truth.WORDS["categories"]]


@dataclass
class Shop:
    """One gateway's part of the history."""

    gateway: str
    records: list[Record] = field(default_factory=list)
    """What its uplink would send, in order."""
    digests: dict[str, str] = field(default_factory=dict)
    """By customer, of its own origin, as its database has them."""
    journal: list[dict[str, Any]] = field(default_factory=list)
    """What its dispensers made, in the form of the simulator's journal."""
    owners: dict[str, str] = field(default_factory=dict)
    """Who claimed a session."""
    voided: set[str] = field(default_factory=set)
    """Ids of pours that a technician took back."""
    days: dict[str, int] = field(default_factory=dict)
    """The UTC day of each deed, by its event's id: as the wall's clock had it, which the gateway may not have known."""


def live(directory: Path, events: int, seed: int) -> list[Shop]:
    """Have both shops make so many events in all."""
    return [asyncio.run(_live(directory / name, name, events // len(SHOPS), seed + i)) for i, name in enumerate(SHOPS)]


async def _live(directory: Path, gateway: str, events: int, seed: int) -> Shop:
    chance, shop, hand = random.Random(seed), Shop(gateway), HandClock()
    clock = Clock("system", hand, hand.boot_ns, Path("/nobody/says/so"))
    store = open_store(Settings(directory, gateway))
    boot = store.write(lambda tx: register_boot(tx, "boot-a", 0)).result(20).number
    door = Door(default_catalog(), default_words(), SHOPS[gateway], "south")
    ingest = Ingest(store, clock, door, boot, lambda _stored, _id: None)
    recommender = Recommender(store, clock, door, boot, Rankers(RuleRanker()), (KEY, 1), lambda: None)
    bars = [
        Counter(ingest, f"bar-{gateway}-{number}", generation=seed * 10 + number, uptime_ms=AHEAD_MS + hand.boot_ms)
        for number in range(DISPENSERS)
    ]
    timeless = gateway == "gw-1"
    if timeless:
        hand.wall_ms = 12_345_000
    visit = 0
    try:
        while len(shop.journal) < events:
            visit += 1
            _visit(shop, chance, chance.choice(bars), recommender, visit)
            hand.go_on(chance.randrange(1_000, 100_000))
            for bar in bars:
                bar.uptime_ms = AHEAD_MS + hand.boot_ms
            if timeless and len(shop.journal) > events * TIMELESS:
                timeless = False
                await _all_settled(shop, bars)
                hand.wall_ms = NOON_MS
                _learn_the_time(store, clock, boot)
            if visit % 200 == 0:
                await _all_settled(shop, bars)
                _take_some_back(shop, chance, store, clock, boot)
        await _all_settled(shop, bars)
        store.write(lambda tx: None).result(60)
        shop.records = [encode(row) async for row in _sent(store)]
        shop.digests = dict(_digests(store, gateway))
        shop.days = dict(_days(shop.journal, hand.wall_ms - hand.boot_ms))
    finally:
        recommender.close()
        store.close()
    return shop


def _learn_the_time(store: Store, clock: Clock, boot: int) -> None:
    now, moved = clock.now(), 0
    assert now.known
    while some := store.write(lambda tx: settle(tx, boot, now)).result(60):
        moved += some
    assert moved


def _take_some_back(shop: Shop, chance: random.Random, store: Store, clock: Clock, boot: int) -> None:
    """A technician takes some pours back: of customers and of sessions, that still run, are claimed, or have ended."""
    when = stamp(clock.now(), boot, 0, sure=True)
    newest = store.write(lambda tx: tx.connection.execute("SELECT max(position) FROM events").fetchone()[0]).result(60)
    for position in chance.sample(range(max(1, newest - 3_000), newest + 1), 60):
        done = store.write(lambda tx, at=position: voids.void(tx, at, "leak", when, boot)).result(60)  # type: ignore[misc]
        if isinstance(done, voids.Voided):
            shop.voided.add(done.data.voided)


async def _all_settled(shop: Shop, bars: list[Counter]) -> None:
    await wait_until_async(lambda: sum(len(bar.acked) for bar in bars) == len(shop.journal), 60, "all is on disk")


def _visit(shop: Shop, chance: random.Random, bar: Counter, recommender: Recommender, number: int) -> None:
    """A customer comes, and shows their card before, between or after what they do, or never."""
    age_ms = MONTH_MS - chance.randrange(3_600_000) if chance.random() < LATE else 0
    token = f"card-{chance.randrange(300)}" if chance.random() < 0.7 else None
    deeds = list(_deeds(chance))
    shows_at = chance.randrange(len(deeds) + 1) if token is not None else None
    for place in range(len(deeds) + 1):
        if place == shows_at:
            recommender.answer(Screen(), bar.hello, ask(number, number, token=token), 0)  # type: ignore[arg-type]
            assert token is not None
            shop.owners[_session(bar, number)] = truth.pseudonym(token, KEY)
        if place < len(deeds):
            body = deeds[place]
            happened_ms = bar.uptime_ms - age_ms
            sequence = bar.send(body, session=number, age_ms=age_ms)
            kind = {PouredBody: "poured", RatedBody: "rated", StatedBody: "stated"}[type(body)]
            fields = {name: getattr(body, name) for name in body.__struct_fields__ if getattr(body, name) is not None}
            shop.journal.append(
                {
                    "dispenser": bar.name,
                    "generation": bar.generation,
                    "event": sequence,
                    "session": number,
                    "kind": kind,
                    "body": fields,
                    "uptime_ms": happened_ms,
                }
            )


def _days(journal: list[dict[str, Any]], booted_ms: int) -> Iterator[tuple[str, int]]:
    """`booted_ms`: Unix time at which the gateway's uptime began."""
    for line in journal:
        id_ = f"{line['dispenser']}:{line['generation']:08x}:{line['event']}"
        yield id_, (booted_ms + line["uptime_ms"] - AHEAD_MS) // DAY_MS


def _session(bar: Counter, number: int) -> str:
    return truth.session_of({"dispenser": bar.name, "generation": bar.generation, "session": number})


def _deeds(chance: random.Random) -> Iterator[EventBody]:
    if chance.random() < 0.3:
        yield chance.choice(
            [
                StatedBody(word=chance.choice(WORDS)),
                StatedBody(shu=chance.randrange(100_000)),
                StatedBody(dial=chance.randrange(101)),
            ]
        )
    for _ in range(chance.randrange(1, 7)):
        sauce = chance.choice(SAUCES)
        yield PouredBody(nozzle=1, sauce=sauce, volume_ul=chance.randrange(1_000, 9_000), duration_ms=900)
        if chance.random() < 0.5:
            yield RatedBody(sauce=sauce, verdict=chance.choice(["too_hot", "just_right", "more"]))


async def _sent(store: Store) -> Any:
    outbox, after = StoreOutbox(store), 0
    while rows := await outbox.read(after, 2_000):
        for row in rows:
            assert isinstance(row, StoredEvent), row
            yield row
        after = rows[-1].position


def _digests(store: Store, gateway: str) -> Iterator[tuple[str, str]]:
    with closing(store.reader()) as reader:
        for (subject,) in reader.execute("SELECT DISTINCT subject FROM buckets").fetchall():
            if not is_session(subject):
                yield subject, read_profile(reader, subject).digest(gateway)
