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
from hw_sim.verbs import AtDispenser, NotDone, check_awake, nozzle_of, poured, pressed

OWN_WORDS_BYTES = 200
"""Of a text in UTF-8, as the CDDL has it."""


class Visit(AtDispenser, frozen=True, kw_only=True):
    """A customer by script, who pours the first pick unless `pour` says otherwise."""

    token: Annotated[str, Meta(min_length=1, max_length=128)] | None = None
    dial: Annotated[int, Meta(ge=0, le=100)] | None = None
    mood: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    avoid: Annotated[tuple[Annotated[str, Meta(min_length=1, max_length=32)], ...], Meta(max_length=16)] = ()
    """Allergens that the customer must not get."""
    adult: bool = False
    """Whether somebody checked that the customer is one."""
    shu: Annotated[int, Meta(ge=0, le=16_000_000)] | None = None
    """A stated preference, as a number."""
    word: Annotated[str, Meta(min_length=1, max_length=32)] | None = None
    """A stated preference, as a category word."""
    text: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """A stated preference, in the customer's own words."""
    pour: str | None = None
    """A sauce's id; "" to pour nothing; left out: the first pick, or (with none) the first nozzle's."""
    volume_ul: Annotated[int, Meta(ge=1, le=1_000_000)] = 3_000
    rate: Verdict | None = None
    remark: Annotated[str, Meta(min_length=1, max_length=200)] | None = None
    """What they say after the pour, in their own words."""
    leave: bool = False
    """Have the screen go idle at the end; otherwise the customer stands there for a minute more."""

    async def at(self, unit: Unit) -> dict[str, Any]:
        """The visit's session, its event ids, the picks, and how long they took. Raises NotDone, at what failed."""
        wanted = nozzle_of(unit, self.pour) if self.pour else None
        async with unit.in_use:
            check_awake(unit)
            session = unit.begin_session()
            sequences = self._say(unit)
            begun = time.monotonic()
            picks = await unit.ask(token=self.token, mood=self.mood, avoid=self.avoid, adult=self.adult)
            answer_ms = round((time.monotonic() - begun) * 1000, 2) if picks is not None else None
            nozzle = wanted if self.pour is not None else _first_pick(unit, picks)
            try:
                if nozzle is not None:
                    sequences.append(await poured(unit, nozzle, self.volume_ul, quick=True))
                if self.rate is not None:
                    sequences.append(pressed(unit, self.rate))
                if self.remark is not None:
                    sequences.append(_said(unit, self.remark))
            finally:
                if self.leave:
                    unit.twin.leave()
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
        if self.text is not None:
            sequences.append(_said(unit, self.text))
        return sequences


def _said(unit: Unit, text: str) -> int | None:
    if len(text.encode()) > OWN_WORDS_BYTES:
        raise NotDone(f"a text of {len(text.encode())} bytes: the protocol has room for {OWN_WORDS_BYTES}")
    return unit.state_preference(StatedBody(text=text))


def _first_pick(unit: Unit, picks: Picks | None) -> int:
    """The nozzle of the first pick; with none, the first nozzle."""
    return picks.picks[0].nozzle if picks is not None and picks.picks else next(iter(unit.twin.tanks))
