"""What is left in the bottles, between two HELLOs."""

from __future__ import annotations

import msgspec

from firmware_bridge.bodies import PouredBody, RefilledBody
from firmware_bridge.messages import Hello, NozzleInfo
from gateway.ingest import Ingest
from gateway.menus import Menus
from heat.catalog import default_catalog
from models.rules import NO_NEEDS
from tests.gateway.conftest import Counter

NOZZLES = (NozzleInfo(1, "table-red", 20), NozzleInfo(2, "ketchup", 0), NozzleInfo(3, "miso-piri", 0))


def poured(ml: int, nozzle: int = 1) -> PouredBody:
    return PouredBody(nozzle=nozzle, sauce="table-red", volume_ul=ml * 1000, duration_ms=900)


def greet(counter: Counter) -> Hello:
    hello = msgspec.structs.replace(counter.hello, nozzles=NOZZLES, uptime_ms=counter.uptime_ms)
    counter.ingest.note_hello(hello, "usb-1", None, lambda: None)
    return hello


def levels(ingest: Ingest, hello: Hello) -> list[int]:
    return [nozzle.level_ml for nozzle in ingest.bottles.now(hello).nozzles]


def offered(ingest: Ingest, hello: Hello) -> tuple[str, ...]:
    return Menus(default_catalog()).offer(ingest.bottles.now(hello).nozzles, NO_NEEDS, None).menu.ids


async def test_pours_empty_a_bottle_and_a_refill_fills_it(counter: Counter) -> None:
    hello = greet(counter)
    counter.uptime_ms += 1000
    for _ in range(2):
        counter.send(poured(5))
    await counter.settled(2)
    assert levels(counter.ingest, hello) == [10, 0, 0]
    counter.send(poured(6))
    counter.send(RefilledBody(nozzle=3, sauce="miso-piri", volume_ul=750_000))
    counter.send(poured(6, nozzle=9))
    await counter.settled(5)
    assert levels(counter.ingest, hello) == [0, 0, 750], "4 ml are no dose"
    assert offered(counter.ingest, hello) == ("miso-piri",)
    counter.uptime_ms += 1000
    assert levels(counter.ingest, greet(counter)) == [20, 0, 0], "the dispenser has looked"


async def test_what_its_hello_has_counted_is_not_counted_again(counter: Counter) -> None:
    hello = greet(counter)
    counter.send(poured(18), age_ms=1)
    counter.send(poured(18), boot=counter.boot - 1, age_ms=-5000)
    counter.uptime_ms += 1000
    once = counter.send(poured(5))
    await counter.settled(3)
    counter.send(poured(5), sequence=once)
    await counter.settled(4)
    assert levels(counter.ingest, hello) == [15, 0, 0]
