"""What a dispenser was told and what became of it, in words."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.web.dispensers.commands import CommandView
from gateway.web.language import Text

Tone = Literal["open", "good", "bad"]
VERBS = {
    "identify": Text("Blink"),
    "tare": Text("Take the bottle as empty"),
    "calibrate": Text("Set the flow meter"),
    "test_pour": Text("Test pour"),
    "prime": Text("Prime"),
    "clean": Text("Rinse"),
    "lock": Text("Lock"),
    "reboot": Text("Reboot"),
    "set_planogram": Text("Change what is on the nozzles"),
    "show_picks": Text("Show sauces on the screen"),
    "show_address": Text("Show the gateway's address on the screen"),
    "set_key": Text("Take a new key"),
}
UNLOCK = Text("Unlock")
STATES: dict[str, tuple[Tone, Text]] = {
    "queued": ("open", Text("waits")),
    "sent": ("open", Text("on its way")),
    "running": ("open", Text("is being done")),
    "done": ("good", Text("done")),
    "refused": ("bad", Text("refused")),
    "failed": ("bad", Text("failed")),
    "expired": ("bad", Text("came too late, and was not done")),
    "interrupted": ("bad", Text("was cut off")),
    "unsupported": ("bad", Text("this firmware can't do that")),
    "dropped": ("bad", Text("dropped: the dispenser did not come back in time")),
    "unknown": ("bad", Text("nobody knows whether it was done")),
}
AWAY = Text("The dispenser is away: sent once it is back")
NOZZLE = Text("nozzle {nozzle}")


@dataclass(frozen=True, slots=True)
class Said:
    """One command."""

    id: str
    what: Text
    where: Text | None
    tone: Tone
    outcome: Text
    detail: Text | str
    """Of the dispenser's firmware or the gateway; English where it is not a `Text`."""
    volume_ml: float | None
    """Measured."""
    asked_by: str
    created: datetime


def said(view: CommandView, *, away: bool) -> Said:
    """A command in words."""
    tone, outcome = STATES[view.state]
    unlocks = view.verb == "lock" and view.arguments.get("locked") is False
    nozzle = view.arguments.get("nozzle")
    ul = None if view.measured is None else view.measured.get("volume_ul")
    return Said(
        id=view.id,
        what=UNLOCK if unlocks else VERBS[view.verb],
        where=None if nozzle is None else Text(NOZZLE.message, nozzle=nozzle),
        tone=tone,
        outcome=outcome,
        detail=AWAY if away and view.state == "queued" else view.detail,
        volume_ml=None if ul is None else ul / 1000,
        asked_by=view.asked_by,
        created=view.created,
    )
