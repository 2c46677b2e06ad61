"""Events to send: one of every type, and as many pours as a test wants."""

from __future__ import annotations

import msgspec
import msgspec.structs

from cloud_sync.envelope import encode
from cloud_sync.outbox import Row, StoredEvent, StoredRefusal
from heat.events import (
    AnyData,
    BucketRow,
    Consent,
    ConsentChanged,
    FlavourRow,
    Impression,
    Poured,
    PourVoided,
    Rated,
    Refilled,
    Sampled,
    SensorRow,
    SequenceGap,
    SessionClaimed,
    ShownPick,
    Stated,
)
from heat.identity import EventId
from heat.scale import heat_from_shu

GATEWAY = "gw-1"
CUSTOMER = "p1-0123456789abcdef0123456789abcdef"
SESSION = "s-hot-bar-1-5e3a09c1-9"
SUBJECTS: dict[Consent, str | None] = {"profile": CUSTOMER, "session": SESSION, "none": None}
"""Whom an event is about, by what they allowed."""
TIME_MS = 1_763_990_000_123
DAY = 20_416
HEAT = heat_from_shu(2500, source="label")

POURED = Poured(
    store="lyon-2", region="eu", channel="dispenser", consent="profile", flags=("large_pour",), sauce="smoky-chipotle",
    heat=HEAT, flavours=("smoky",), w=16, nozzle=2, volume_ul=61_000, duration_ms=1200, pick_id="gw-1-5e3a09c1-77",
)  # fmt: skip
EVERY_TYPE: tuple[AnyData, ...] = (
    POURED,
    Rated(
        store="lyon-2", region="eu", channel="kiosk", consent="session", sauce="smoky-chipotle", heat=HEAT,
        flavours=("smoky",), w=8, verdict="too_hot", pick_id="gw-1-5e3a09c1-77",
    ),
    Stated(store="osaka-1", region="jp", channel="web", consent="none", heat=HEAT, w=4, said="辛い, but not 辛すぎる"),
    Refilled(
        store="lyon-2", region="eu", channel="dispenser", consent="none", nozzle=0, sauce="verde", volume_ul=500_000
    ),
    Impression(
        store="lyon-2", region="eu", channel="gateway", consent="session", pick_id="gw-1-5e3a09c1-77",
        dispenser="hot-bar-1", candidates=("verde", "smoky-chipotle"), ranker="rule", latency_us=4100,
        picks=(ShownPick(slot=1, nozzle=2, sauce="smoky-chipotle", milli_octaves=7300, score=0.25, propensity=0.9),),
    ),
    SessionClaimed(
        store="lyon-2", region="eu", channel="gateway", consent="profile", session="s-hot-bar-1-5e3a09c1-9",
        buckets=(BucketRow(GATEWAY, DAY, "poured", 1, 16, 116_800, 852_640_000, (0, 0, 0, 1, 0, 0, 0, 0, 0, 0)),),
        flavours=(FlavourRow(GATEWAY, DAY, "poured", "smoky", 1, 16),),
    ),
    SequenceGap(
        store="lyon-2", region="eu", channel="gateway", consent="none", dispenser="hot-bar-1", generation=1, first=3,
        last=9,
    ),
    Sampled(
        store="lyon-2", region="eu", channel="gateway", consent="none", dispenser="hot-bar-1", seconds=3600,
        sensors=(SensorRow("flow", 2, 3600, 6100, 0, 40, 0), SensorRow("level", 2, 3600, 1_800_000, 470, 531, 472)),
    ),
    ConsentChanged(store="lyon-2", region="eu", channel="gateway", consent="none"),
    PourVoided(
        store="lyon-2", region="eu", channel="gateway", consent="profile", voided="hot-bar-1:5e3a09c1:1", day=DAY,
        sauce="smoky-chipotle", heat=HEAT, flavours=("smoky",), w=16, nozzle=2, volume_ul=61_000, reason="cleaning",
    ),
)  # fmt: skip
"""One event of every type, with every consent, channels, regions, flags and pick ids among them."""


def stored(
    data: AnyData = POURED, sequence: int = 1, data_bytes: bytes | None = None, **changes: object
) -> StoredEvent:
    """A stored event at position `sequence`, from the dispenser hot-bar-1 or the gateway, as its channel has it."""
    origin = str(changes.get("origin", GATEWAY))
    if isinstance(data, SessionClaimed):
        buckets = tuple(msgspec.structs.replace(row, origin=origin) for row in data.buckets)
        flavours = tuple(msgspec.structs.replace(row, origin=origin) for row in data.flavours)
        data = msgspec.structs.replace(data, buckets=buckets, flavours=flavours)
    members: dict[str, object] = {
        "position": sequence,
        "id": EventId("hot-bar-1" if data.channel == "dispenser" else origin, 0x5E3A09C1, sequence),
        "type": data.type,
        "subject": SUBJECTS["profile" if isinstance(data, ConsentChanged) else data.consent],
        "time_ms": TIME_MS + sequence,
        "day": DAY,
        "clock": "known",
        "origin": origin,
        "data": msgspec.json.encode(data) if data_bytes is None else data_bytes,
        "redelivered": False,
    }
    return StoredEvent(**{**members, **changes})  # type: ignore[arg-type]


def written(row: StoredEvent) -> bytes:
    """The value of a stored event's record."""
    value = encode(row).value
    assert value is not None
    return value


def refused(sequence: int = 1, body: bytes = b"\xa2\x01\x02\xff\x00", **changes: object) -> StoredRefusal:
    """A stored refusal at position `sequence`."""
    members: dict[str, object] = {
        "position": sequence,
        "id": EventId("hot-bar-1", 0x5E3A09C1, sequence),
        "time_ms": TIME_MS,
        "origin": GATEWAY,
        "reason": "impossible_heat",
        "detail": "17000000 SHU is outside 0..16000000",
        "body": body,
        "redelivered": False,
    }
    return StoredRefusal(**{**members, **changes})  # type: ignore[arg-type]


def pours(count: int, first: int = 1, dispensers: int = 5, origin: str = GATEWAY) -> list[Row]:
    """Pours of several dispensers, in their order; each customer stays with one dispenser."""
    rows: list[Row] = []
    for number in range(first, first + count):
        dispenser = number % dispensers
        rows.append(
            stored(
                sequence=number,
                id=EventId(f"hot-bar-{dispenser}", 0x5E3A09C1, number),
                subject=f"p1-{dispenser:016x}{number % 37 * dispensers + dispenser:016x}",
                origin=origin,
            )
        )
    return rows
