"""A customer by script: says what they like, asks, reads the screen, pours, rates. One of the control's verbs."""

from __future__ import annotations

import time
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from firmware_bridge.bodies import StatedBody
from firmware_bridge.messages import Picks
from heat.events import Verdict
from hw_sim.unit import Unit
from hw_sim.verbs import AtDispenser, nozzle_of


class Visit(AtDispenser, frozen=True, kw_only=True):
    """A customer by script, who pours the first pick unless `pour` says otherwise."""

    token: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    dial: Annotated[int, Meta(ge=0, le=100)] | None = None
    mood: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    shu: int | None = None
    """A stated preference, as a number."""
    word: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    """A stated preference, as a category word."""
    pour: str | None = None
    """A sauce's id; "" to pour nothing; left out: the first pick, or (with none) the first nozzle's."""
    volume_ul: Annotated[int, Meta(ge=1)] = 3_000
    rate: Verdict | None = None

    async def at(self, unit: Unit) -> dict[str, Any]:
        """The visit's session, its event ids, the picks, and how long they took."""
        async with unit.in_use:
            session = unit.begin_session()
            sequences = self._say(unit)
            begun = time.monotonic()
            picks = await unit.ask(token=self.token, mood=self.mood)
            answer_ms = round((time.monotonic() - begun) * 1000, 2) if picks is not None else None
            nozzle = self._nozzle(unit, picks)
            if nozzle is not None:
                sequences.append(unit.pour(nozzle, self.volume_ul))
            if self.rate is not None:
                sequences.append(unit.press(self.rate))
        return {
            "session": session,
            "events": [unit.event_id(sequence) for sequence in sequences if sequence is not None],
            "pick_id": picks.pick_id if picks is not None else None,
            "picks": [msgspec.structs.asdict(pick) for pick in picks.picks] if picks is not None else [],
            "poured": unit.twin.tanks[nozzle].sauce.id if nozzle is not None else None,
            "answer_ms": answer_ms,
        }

    def _say(self, unit: Unit) -> list[int | None]:
        sequences: list[int | None] = []
        if self.dial is not None:
            unit.twin.turn_dial(self.dial)
            sequences.append(unit.state_preference(StatedBody(dial=self.dial)))
        if self.word is not None or self.shu is not None:
            stated = StatedBody(word=self.word) if self.word is not None else StatedBody(shu=self.shu)
            sequences.append(unit.state_preference(stated))
        return sequences

    def _nozzle(self, unit: Unit, picks: Picks | None) -> int | None:
        """The nozzle to pour from."""
        if self.pour is None:
            return picks.picks[0].nozzle if picks is not None and picks.picks else next(iter(unit.twin.tanks))
        return nozzle_of(unit, self.pour) if self.pour else None
