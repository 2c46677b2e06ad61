"""A brand's events as its gateways send them: visits of customers, over the last days, to shops of their own.

A visit is five events: what the screen showed (3 kB, which nobody's sums have), three pours, a rating.
"""

from __future__ import annotations

import secrets
import time
from collections import Counter
from collections.abc import Iterator

import msgspec

from benchmarks.parts.events import KEY, SAUCES, pour, the_door
from cloud_sync import envelope
from cloud_sync.outbox import StoredEvent
from cloud_sync.record import Record
from cloud_sync.topics import DAY_MS
from firmware_bridge.bodies import EventBody, RatedBody
from heat.catalog import default_catalog
from heat.events import Impression, Poured, Rated, ShownPick
from heat.identity import EventId, pseudonym
from heat.profile import Profile
from heat.reading import read
from models import logged
from models.features import Context, Menu

CUSTOMERS = 5_000
SHOPS = 10
DISPENSERS = 4
"""In each shop."""
DAYS = 60
VISIT = 5
"""Events of one visit."""


class Brand:
    """Makes records, one after the other."""

    def __init__(self, customers: int = CUSTOMERS) -> None:
        self.customers = [pseudonym(str(number), KEY, 1) for number in range(customers)]
        self._generation = secrets.randbits(32)
        self._sequences: Counter[str] = Counter()
        self._visits = 0
        self._today = time.time_ns() // 1_000_000 // DAY_MS
        door = the_door()
        bodies: list[EventBody] = [pour(0), pour(1), pour(2), RatedBody(sauce=SAUCES[0], verdict="just_right")]
        said = [door.admit(body, "profile", None) for body in bodies]
        self._said = [(type(data).type, msgspec.json.encode(data)) for data in said if isinstance(data, Poured | Rated)]
        self._shown = msgspec.json.encode(_impression())

    def records(self, count: int) -> Iterator[Record]:
        """So many events, of whole visits, spread over `DAYS` days up to today."""
        visits = count // VISIT
        for number in range(visits):
            yield from self.visit(self._today - DAYS + 1 + number * DAYS // visits)

    def visit(self, day: int | None = None) -> Iterator[Record]:
        """The next customer's visit; today's without a `day`."""
        customer = self._visits % len(self.customers)
        shop = customer % SHOPS
        gateway, dispenser = f"shop-{shop}", f"bar-{shop}-{self._visits // SHOPS % DISPENSERS}"
        self._visits += 1
        when = self._today if day is None else day
        yield self._record(gateway, gateway, Impression.type, self._shown, customer, when)
        for type_, data in self._said:
            yield self._record(dispenser, gateway, type_, data, customer, when)

    def pour(self, customer: int) -> Record:
        """One more pour of a customer, today."""
        shop = customer % SHOPS
        return self._record(f"bar-{shop}-0", f"shop-{shop}", *self._said[0], customer, self._today)

    def _record(self, source: str, origin: str, type_: str, data: bytes, customer: int, day: int) -> Record:
        self._sequences[source] += 1
        sequence = self._sequences[source]
        id_, time_ms = EventId(source, self._generation, sequence), day * DAY_MS + sequence % DAY_MS
        subject = self.customers[customer]
        return envelope.encode(
            StoredEvent(sequence, id_, type_, subject, time_ms, day, "known", origin, data, redelivered=False)
        )


def _impression() -> Impression:
    catalog = default_catalog()
    menu, context = Menu([catalog[sauce] for sauce in SAUCES]), Context()
    return Impression(
        store="bench",
        region="bench",
        channel="gateway",
        consent="profile",
        pick_id="1-1",
        dispenser="bar",
        picks=tuple(
            ShownPick(
                slot=n, nozzle=n, sauce=sauce.id, milli_octaves=sauce.heat.milli_octaves, score=0.5, propensity=0.9
            )
            for n, sauce in enumerate(menu.sauces[:3], 1)
        ),
        candidates=menu.ids,
        ranker="rule",
        latency_us=2_000,
        catalog=catalog.version,
        offered=logged.offered(menu, context),
        known=logged.known(read(Profile(), 20_000), menu, context),
    )
