"""What people say of heat, at whichever door -> heat, with their own words and the table's version beside it. Pure.

Gateways, apps, the web and surveys let events in, each with a catalogue and a word table of its own at hand. What they
have in common is here, so that the same answer becomes the same evidence everywhere: numbers, words and dial positions
become heat, a sauce's label joins what is said of it, and the weight is fixed for good. Nobody behind a door needs the
tables again. Who knows what the last pour was may take a wish as a verdict on it (`verdict`).
"""

from __future__ import annotations

from dataclasses import dataclass

from heat.catalog import Catalog
from heat.contacts import without_contacts
from heat.events import Kind, Verdict
from heat.language import Classify, Said, parse
from heat.lexicon import Wish, default_finder
from heat.profile import precision_class
from heat.quality import Refusal, dose_percent
from heat.scale import MAX_SHU, Heat, WordTable, heat_from_shu

MAX_SAID = 64
"""Characters of the customer's own form that are kept."""


@dataclass(frozen=True, slots=True)
class Understood:
    """A stated preference. `said` is how the customer put it."""

    heat: Heat
    w: int
    said: str


@dataclass(frozen=True, slots=True)
class Label:
    """What a pour of a sauce, or a verdict on it, is evidence about."""

    sauce: str
    heat: Heat
    flavours: tuple[str, ...]
    w: int


def understand(
    words: WordTable,
    *,
    shu: int | None = None,
    word: str | None = None,
    dial: int | None = None,
    text: str | None = None,
    classify: Classify | None = None,
) -> Understood | Refusal:
    """The heat that was stated: a number of SHU, a category word, a position of the dial (0..100), or one's own words.

    `classify` is for the last of them: what the lexicon has no word for.
    """
    match shu, word, dial, text:
        case int(), None, None, None:
            if not 0 <= shu <= MAX_SHU:
                return Refusal("impossible_heat", f"{shu} SHU is outside 0..{MAX_SHU}")
            heat, said = heat_from_shu(shu), f"{shu} SHU"
        case None, str(), None, None:
            if (meant := words.word(word)) is None:
                return Refusal("unknown_word", f"{word[:MAX_SAID]!r} is not in table {words.version}")
            heat, said = meant, word.strip()[:MAX_SAID]
        case None, None, int(), None:
            if not 0 <= dial <= 100:
                return Refusal("malformed", f"dial position {dial} is outside 0..100")
            heat, said = words.dial(dial), f"dial {dial}"
        case None, None, None, str():
            return _in_own_words(parse(text, default_finder(), words, classify), text)
        case _:
            return Refusal("malformed", "state exactly one of SHU, word, dial, text")
    return Understood(heat, precision_class("stated", heat), said)


def _in_own_words(said: Said, text: str) -> Understood | Refusal:
    # a refusal repeats none of it: who knows what stands in there
    if not said.about_heat:
        return Refusal("unknown_word", "the text says nothing of heat")
    if said.heat is None or not said.asked:
        return Refusal("unknown_word", "the text does not say how hot it should be")
    return Understood(said.heat, precision_class("stated", said.heat), without_contacts(text, MAX_SAID))


_VERDICTS: dict[Wish, Verdict] = {"more": "more", "right": "just_right", "less": "too_hot"}


def verdict(said: Said) -> Verdict | None:
    """What words about the last pour say of it; None where they wish nothing."""
    return _VERDICTS.get(said.wish)


def label(catalog: Catalog, sauce_id: str, kind: Kind, since_previous_dose_ms: int | None = None) -> Label | Refusal:
    """The evidence that a sauce's label gives to a pour or a verdict, stamped with the catalogue's version.

    `since_previous_dose_ms` is the age of the dose before a rated one, where that is known.
    """
    if (sauce := catalog.get(sauce_id)) is None:
        return Refusal("unknown_sauce", f"{sauce_id[:MAX_SAID]!r} is not in the catalogue")
    heat = catalog.label(sauce)
    percent = 100 if kind == "poured" else dose_percent(since_previous_dose_ms)
    return Label(sauce.id, heat, sauce.flavours, precision_class(kind, heat, percent))
