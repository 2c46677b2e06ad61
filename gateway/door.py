"""What a dispenser says -> what the brand records, or why it is refused. Pure.

What all doors have in common, heat from words and labels with its weight, is `heat.door`; here the wire's bodies become
events of this site, so that nobody downstream needs the catalogue, the word table or a clock to fold the same integers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypedDict

from firmware_bridge.bodies import EventBody, PouredBody, RatedBody, RefilledBody, StatedBody
from heat import door
from heat.catalog import Catalog
from heat.events import AnyData, Channel, Consent, Poured, Rated, Refilled, Stated
from heat.language import Classify, Said, parse
from heat.lexicon import default_finder
from heat.quality import Refusal, pour_flags, refuse_volume
from heat.scale import WordTable

CONFIRMED = "confirmed"
"""Flag of a pour above the store's limit that the customer has confirmed at the dispenser."""


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
    classify: Classify | None = None
    """Of customers' own words that the lexicon says nothing of."""

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
                return self._refilled(body, common)

    def listen(self, text: str) -> Said:
        """What a customer's own words say of heat."""
        return parse(text, default_finder(), self.words, self.classify)

    def _poured(self, body: PouredBody, common: _Common) -> Poured | Refusal:
        if isinstance(label := door.label(self.catalog, body.sauce, "poured"), Refusal):
            return label
        if (refusal := refuse_volume(body.volume_ul)) is not None:
            return refusal
        return Poured(
            sauce=label.sauce,
            heat=label.heat,
            flavours=label.flavours,
            w=label.w,
            nozzle=body.nozzle,
            volume_ul=body.volume_ul,
            duration_ms=body.duration_ms,
            pick_id=body.pick_id,
            flags=pour_flags(body.volume_ul, body.duration_ms) + ((CONFIRMED,) if body.confirmed else ()),
            **common,
        )

    def _rated(self, body: RatedBody, common: _Common, since_previous_dose_ms: int | None) -> Rated | Refusal:
        if isinstance(label := door.label(self.catalog, body.sauce, body.verdict, since_previous_dose_ms), Refusal):
            return label
        return Rated(
            sauce=label.sauce,
            heat=label.heat,
            flavours=label.flavours,
            w=label.w,
            verdict=body.verdict,
            pick_id=body.pick_id,
            **common,
        )

    def _stated(self, body: StatedBody, common: _Common) -> Stated | Refusal:
        meant = door.understand(
            self.words, shu=body.shu, word=body.word, dial=body.dial, text=body.text, classify=self.classify
        )
        if isinstance(meant, Refusal):
            return meant
        return Stated(heat=meant.heat, w=meant.w, said=meant.said, **common)

    def _refilled(self, body: RefilledBody, common: _Common) -> Refilled | Refusal:
        if isinstance(label := door.label(self.catalog, body.sauce, "poured"), Refusal):
            return label
        return Refilled(nozzle=body.nozzle, sauce=label.sauce, volume_ul=body.volume_ul, **common)
