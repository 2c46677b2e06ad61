"""What an event or a published value says, in half a line for a person. Pure; `--json` is for machines."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from cloud_sync.envelope import EPOCH
from cloud_sync.published import (
    AnyPublished,
    ClockTick,
    Context,
    Heartbeat,
    Profile,
    Release,
    ServedPicks,
    Trend,
)
from heat.events import (
    AnyData,
    ConsentChanged,
    Impression,
    Poured,
    PourVoided,
    Rated,
    Refilled,
    Sampled,
    SequenceGap,
    SessionClaimed,
    Stated,
)
from heat.scale import Heat

KEPT_CHARS = 160
"""Characters of a value that nobody has words for."""


def event_words(data: AnyData) -> str:
    """What happened, with what the door found odd about it."""
    flags = f"  [{', '.join(data.flags)}]" if data.flags else ""
    return _event(data) + flags


def _event(data: AnyData) -> str:  # noqa: C901 -- an arm a type
    match data:
        case Poured():
            return f"{_ml(data.volume_ul)} of {data.sauce} ({_heat(data.heat)}) from nozzle {data.nozzle}"
        case PourVoided():
            return f"{data.voided} was no customer's ({data.reason}): {_ml(data.volume_ul)} of {data.sauce} taken back"
        case Rated():
            return f"{data.sauce} ({_heat(data.heat)}): {data.verdict.replace('_', ' ')}"
        case Stated():
            return f"likes it {data.said!r}: {_heat(data.heat)}"
        case Refilled():
            return f"{_ml(data.volume_ul)} of {data.sauce} on nozzle {data.nozzle}"
        case Impression():
            shown = ", ".join(f"{one.sauce} {one.propensity:.2f}" for one in data.picks)
            return f"{data.dispenser} showed {shown or 'nothing'}, {data.latency_us / 1000:.1f} ms"
        case SessionClaimed():
            return f"{data.session} was theirs: {sum(row.n for row in data.buckets)} pieces of evidence"
        case ConsentChanged():
            return "wants not to be known" if data.consent == "none" else "wants to be known again"
        case SequenceGap():
            return f"{data.dispenser} lost {data.first} to {data.last} of generation {data.generation:08x}"
        case Sampled():
            return f"{data.dispenser}: {len(data.sensors)} sensors in {data.seconds} s"


def published_words(data: AnyPublished) -> str:
    """What a published value says of its key."""
    match data:
        case Profile():
            n = sum(row.n for row in data.buckets)
            return f"{n} pieces of evidence in {len(data.buckets)} buckets, up to offset {data.version.offset}"
        case ServedPicks():
            return ", ".join(f"{one.sauce} {one.score:.2f}" for one in data.picks) or "nothing"
        case ClockTick():
            return f"{_day(data.day)} has begun"
        case Context():
            warm = "" if data.centi_celsius is None else f", {data.centi_celsius / 100:.1f} °C"
            return f"{data.store} at {_hour(data.hour)}: {data.weather or 'weather unknown'}{warm}"
        case Trend():
            many = f"{data.pours} pours of {data.customers} customers"
            return f"{data.region} at {_hour(data.hour)}: {many}, {data.mean_mo} mo"
        case Heartbeat():
            mend = f", to mend: {', '.join(data.repairs)}" if data.repairs else ""
            state = f"{data.backlog} waiting, clock {data.clock}, disk {data.disk_percent} %"
            return f"{data.store}, {data.software}, {state}{mend}"
        case Release():
            return f"{data.kind} {data.number} for {data.target}, {len(data.content)} bytes, {data.sha256[:12]}"
        case _:
            return clipped(data)


def clipped(data: object) -> str:
    """A value as JSON, or the beginning of it."""
    text = msgspec.json.encode(data).decode()
    return text if len(text) <= KEPT_CHARS else f"{text[: KEPT_CHARS - 1]}…"


def _ml(volume_ul: int) -> str:
    return f"{volume_ul / 1000:.1f} ml"


def _heat(heat: Heat) -> str:
    return f"{heat.shu:,} SHU"


def _day(day: int) -> str:
    return f"{EPOCH + timedelta(days=day):%Y-%m-%d}" if abs(day) < 700_000 else f"day {day}"


def _hour(hour: int) -> str:
    return f"{EPOCH + timedelta(hours=hour):%Y-%m-%d %H}h" if hour < 24 * 700_000 else f"hour {hour}"
