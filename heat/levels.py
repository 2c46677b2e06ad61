"""Category words with their degrees -> heat: *really hot*, *a bit spicy*, *medium to hot*, *not too spicy*. Pure.

The words are the brand's (`heat.scale.WordTable`), or mean one of them; the degrees are the lexicon's. The heat's
`table` names both: `en-1/picante-1`.
"""

from __future__ import annotations

from collections.abc import Sequence

from heat.lexicon import Cue, Degree, Finder, Found, Idiom
from heat.scale import MAX_MO, Heat, WordTable, shu

NOT_TOO_MO = -2000
"""mo; *not too hot* lies about as far below *hot* as *medium* does."""
WIDER_PERCENT = 150
"""Of the word's deviation: *not too hot* is said of whatever is less than that."""
MAX_TABLE = 32
"""Characters of a version; a brand's long one is cut."""


def level(found: Sequence[Found], at: int, finder: Finder, words: WordTable) -> Heat | None:
    """The heat of the cue or idiom at `at`, its degree counted; None where the brand has no word for it."""
    text = found[at].text
    meaning = found[at].meaning
    base = words.word(text) or words.word(
        (meaning.word or "") if isinstance(meaning, Idiom) else finder.synonyms.get(text, "")
    )
    if base is None:
        return None
    before = next((part for part in reversed(found[max(at - 2, 0) : at]) if part.meaning != "filler"), None)
    if before is None or not isinstance(before.meaning, Degree):
        return made(base.milli_octaves, base.sd_milli_octaves, finder, words)
    whole = words.word(f"{before.text} {text}")
    shift = 0 if whole else before.meaning.shift_mo
    if isinstance(meaning, Cue) and meaning.kind == "mild":
        shift = -shift  # very mild is milder
    base = whole or base
    return made(base.milli_octaves + shift, base.sd_milli_octaves, finder, words)


def not_too(heat: Heat, finder: Finder, words: WordTable) -> Heat:
    """The heat of *not too X* from that of X."""
    return made(heat.milli_octaves + NOT_TOO_MO, heat.sd_milli_octaves * WIDER_PERCENT // 100, finder, words)


def mildest(finder: Finder, words: WordTable) -> Heat | None:
    """The heat of *nothing hot*: the brand's lowest category; None where it has none, or none that is ever found."""
    lowest = min(words.categories, key=lambda category: category.low_shu, default=None)
    heat = words.word(lowest.word) if lowest is not None else None
    return heat and made(heat.milli_octaves, heat.sd_milli_octaves, finder, words)


def between(low: Heat, high: Heat, finder: Finder, words: WordTable) -> Heat:
    """The heat of *X to Y*, *X-Y*, *X or Y*: the middle, as unsure as the less sure of them."""
    middle = (low.milli_octaves + high.milli_octaves) // 2
    return made(middle, max(low.sd_milli_octaves, high.sd_milli_octaves), finder, words)


def joined(found: Sequence[Found], left: int, right: int) -> bool:
    """Whether nothing but *to*, *and*, *or* stands between two cues of degree."""
    return all(part.meaning == "filler" for part in found[left + 1 : right])


def is_level(found: Found) -> bool:
    """Whether it describes a heat."""
    return isinstance(found.meaning, Cue) and found.meaning.kind in {"hot", "mid", "mild"}


def made(milli_octaves: int, sd_milli_octaves: int, finder: Finder, words: WordTable) -> Heat:
    """A heat of the lexicon's and the brand's making."""
    q = min(max(milli_octaves, 0), MAX_MO)
    table = f"{finder.version}/{words.version}"[:MAX_TABLE]
    return Heat(shu=shu(q), milli_octaves=q, sd_milli_octaves=min(sd_milli_octaves, MAX_MO), source="word", table=table)
