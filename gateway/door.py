"""What a dispenser says -> what the brand records, or why it is refused. Pure.

Here numbers, words and dial positions become heat, the label's heat joins a pour, and the weight of the evidence is
fixed for good, so that nobody downstream needs the catalogue, the word table or a clock to fold the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from firmware_bridge.bodies import EventBody, PouredBody, RatedBody, RefilledBody, StatedBody
from heat.catalog import Catalog, Sauce
from heat.events import AnyData, Channel, Consent, Poured, Rated, Refilled, Stated
from heat.profile import precision_class
from heat.quality import Refusal, dose_percent, pour_flags, refuse_volume
from heat.scale import MAX_SHU, WordTable, heat_from_shu


class _Common(TypedDict):
    store: str
    region: str
    channel: Channel
    consent: Consent


@dataclass(frozen=True, slots=True)
class Door:
    """The site's knowledge that admission needs."""

    catalog: Catalog
    words: WordTable
    store: str
    region: str

    def admit(self, body: EventBody, consent: Consent, since_previous_dose_ms: int | None) -> AnyData | Refusal:
        """The event's data, or a refusal. `since_previous_dose_ms` is the age of the dose before a rated one."""
        common = _Common(store=self.store, region=self.region, channel="dispenser", consent=consent)
        match body:
            case PouredBody():
                return self._poured(body, common)
            case RatedBody():
                return self._rated(body, common, since_previous_dose_ms)
            case StatedBody():
                return self._stated(body, common)
            case RefilledBody():
                if (sauce := self._sauce(body.sauce)) is None:
                    return _unknown_sauce(body.sauce)
                return Refilled(nozzle=body.nozzle, sauce=sauce.id, volume_ul=body.volume_ul, **common)

    def _sauce(self, sauce_id: str) -> Sauce | None:
        return self.catalog.get(sauce_id)

    def _poured(self, body: PouredBody, common: _Common) -> Poured | Refusal:
        if (sauce := self._sauce(body.sauce)) is None:
            return _unknown_sauce(body.sauce)
        if (refusal := refuse_volume(body.volume_ul)) is not None:
            return refusal
        return Poured(
            sauce=sauce.id,
            heat=sauce.heat,
            flavours=sauce.flavours,
            w=precision_class("poured", sauce.heat),
            nozzle=body.nozzle,
            volume_ul=body.volume_ul,
            duration_ms=body.duration_ms,
            pick_id=body.pick_id,
            flags=pour_flags(body.volume_ul, body.duration_ms),
            **common,
        )

    def _rated(self, body: RatedBody, common: _Common, since_previous_dose_ms: int | None) -> Rated | Refusal:
        if (sauce := self._sauce(body.sauce)) is None:
            return _unknown_sauce(body.sauce)
        return Rated(
            sauce=sauce.id,
            heat=sauce.heat,
            flavours=sauce.flavours,
            w=precision_class(body.verdict, sauce.heat, dose_percent(since_previous_dose_ms)),
            verdict=body.verdict,
            pick_id=body.pick_id,
            **common,
        )

    def _stated(self, body: StatedBody, common: _Common) -> Stated | Refusal:
        match body:
            case StatedBody(shu=int(value), word=None, dial=None):
                if not 0 <= value <= MAX_SHU:
                    return Refusal("impossible_heat", f"{value} SHU is outside 0..{MAX_SHU}")
                heat, said = heat_from_shu(value), f"{value} SHU"
            case StatedBody(shu=None, word=str(text), dial=None):
                if (meant := self.words.word(text)) is None:
                    return Refusal("unknown_word", f"{text!r} is not in table {self.words.version}")
                heat, said = meant, text
            case StatedBody(shu=None, word=None, dial=int(position)):
                heat, said = self.words.dial(position), f"dial {position}"
            case _:
                return Refusal("malformed", "state exactly one of SHU, word, dial")
        return Stated(heat=heat, w=precision_class("stated", heat), said=said, **common)


def _unknown_sauce(sauce: str) -> Refusal:
    return Refusal("unknown_sauce", f"{sauce!r} is not in the catalogue")
