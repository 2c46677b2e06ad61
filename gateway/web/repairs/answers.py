"""Repairs as the API tells them, in the reader's language."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from gateway.web.answers import Answer, example
from gateway.web.language import Language, Text
from gateway.web.repairs.repair import Fix, Repair


class FixView(Answer):
    """What mends it, or leads to where it is mended."""

    name: Annotated[str, example("adopt")]
    label: Annotated[str, example("Adopt it")]
    method: Annotated[Literal["GET", "POST"], example("POST")]
    path: Annotated[str, example("/api/v1/repairs/dispenser_unadopted.hot-bar-1/fix/adopt")]
    hold: bool
    """It can't be taken back: people hold the button for a second, or type a word."""


class SnoozeView(Answer):
    """Who lets it be, and until when."""

    until: datetime
    by: Annotated[str, example("maria")]


class RepairView(Answer):
    """Something that somebody should do something about."""

    key: Annotated[str, example("dispenser_offline.hot-bar-1")]
    """It stays the same as long as this lasts, and over a restart."""
    code: Annotated[str, example("dispenser_offline")]
    subject: Annotated[str, example("hot-bar-1")]
    """What it is about; empty where there is one alone."""
    urgent: bool
    """False: it will do until there is time."""
    what: Annotated[str, example("hot-bar-1 is offline")]
    cost: Annotated[str, example("It shows no picks; its events are kept on it until its memory is full")]
    """What it costs while it lasts."""
    steps: Annotated[list[str], example(["Check its power", "Check its cable (ttyUSB0)"])]
    """What to do, in this order."""
    fixes: list[FixView]
    since: datetime | None
    count: Annotated[int, example(1)]
    """How often it came within the last hour."""
    snoozed: SnoozeView | None = None


class Repairs(Answer):
    """What is wrong, what can't wait first."""

    looked: datetime | None
    """When that was found out: nothing in it is older. None: never yet."""

    urgent: Annotated[int, example(1)]
    """How many can't wait, but for those that somebody lets be."""
    later: Annotated[int, example(2)]
    repairs: list[RepairView]


def repairs_view(repairs: list[Repair], said: Language, looked: datetime | None) -> Repairs:
    """The list."""
    awake = [repair for repair in repairs if repair.snoozed is None]
    urgent = sum(repair.urgent for repair in awake)
    views = [repair_view(repair, said) for repair in repairs]
    return Repairs(looked=looked, urgent=urgent, later=len(awake) - urgent, repairs=views)


def repair_view(repair: Repair, said: Language) -> RepairView:
    """One of them."""
    return RepairView(
        key=repair.key,
        code=repair.code,
        subject=repair.subject,
        urgent=repair.urgent,
        what=said.say(repair.what),
        cost=said.say(repair.cost),
        steps=[said.say(step) for step in steps(repair)],
        fixes=[_fix(repair, fix, said) for fix in repair.fixes],
        since=repair.since,
        count=repair.count,
        snoozed=None if repair.snoozed is None else SnoozeView(until=repair.snoozed.until, by=repair.snoozed.by),
    )


def steps(repair: Repair) -> list[Text | str]:
    """What to do; of one that comes and goes, first to find out why."""
    if not repair.flaps:
        return list(repair.steps)
    flapping = Text(
        "It comes and goes: {n} time within an hour. A loose plug, or too little power, does that",
        "It comes and goes: {n} times within an hour. A loose plug, or too little power, does that",
        n=repair.count,
    )
    return [flapping, *repair.steps]


def _fix(repair: Repair, fix: Fix, said: Language) -> FixView:
    path = fix.link or f"/api/v1/repairs/{repair.key}/fix/{fix.name}"
    return FixView(
        name=fix.name, label=said.say(fix.label), method="GET" if fix.link else "POST", path=path, hold=fix.hold
    )
