"""What people say of heat, in their own words -> whether it is about heat, what they wish, and how hot. Pure.

    "not too spicy please"                      about heat, less; somewhat below *hot*
    "my mouth was on fire, loved it"            about heat, right; extra hot
    "could use more kick"                       about heat, more
    "12k SHU", "heat 7/10", three chillies      about heat, and how hot
    "kick start your day", "a hot summer day"   not about heat

The lexicon decides where it is sure (`heat.votes`), numbers and chillies are read by `heat.amounts`. Where the lexicon
has nothing to say a classifier does, if one is passed in: `models.heat_text`, the same numbers everywhere.
`docs/heat-language.md` has the rules. Time is linear in the text, and the text is bounded.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from heat.amounts import amount
from heat.lexicon import Finder, Wish
from heat.scale import Heat, WordTable
from heat.votes import judge
from heat.wording import normalise

ABOUT_MARGIN = 1500
"""Of a classifier's scores: how far *about heat* must stand above *not about heat* where the lexicon is silent."""
WISH_MARGIN = 3000
"""The same: how far a wish must stand above *none*. A wish that nobody had does more harm than one that is missed."""


class Scores(NamedTuple):
    """A classifier's whole numbers for each class; the highest is the likeliest, and only differences mean anything."""

    not_about: int
    none: int
    more: int
    right: int
    less: int


Classify = Callable[[str], Scores]
"""Of a normalised text. A pure function: the same scores on every machine."""


@dataclass(frozen=True, slots=True)
class Said:
    """What a text says of heat."""

    about_heat: bool
    wish: Wish
    """What the next pour should be, seen from what the text is about."""
    heat: Heat | None = None
    """The heat that the text names."""
    asked: bool = False
    """Whether that heat is what its writer likes or asks for; else it was said of something."""
    cut: bool = False
    """Whether the text was longer than is read."""


def parse(text: str, finder: Finder, words: WordTable, classify: Classify | None = None) -> Said:
    """What `text` says of heat. Never raises; of a text beyond `heat.wording.MAX_CHARS` the beginning is read."""
    wording = normalise(text)
    named = amount(wording.text, words)
    opinion = judge(named[1] if named else wording.text, finder, words)
    about, wish, heat, asked = opinion.about, opinion.wish, opinion.heat, opinion.asked
    if named is not None:
        # *three chillies: too hot* asks for anything but that
        about, heat, asked = True, named[0], not opinion.compares and (opinion.asks or wish == "right")
    elif (word := words.word(wording.text)) is not None:
        about, wish, heat, asked = True, "none", word, True
    elif about is None and classify is not None and wording.text:
        about, wish = _of_scores(classify(wording.text))
    if not about:
        return Said(about_heat=False, wish="none", cut=wording.cut)
    return Said(about_heat=True, wish=wish, heat=heat, asked=asked and heat is not None, cut=wording.cut)


def _of_scores(scores: Scores) -> tuple[bool, Wish]:
    by_wish: dict[Wish, int] = {"none": scores.none, "more": scores.more, "right": scores.right, "less": scores.less}
    best = max(by_wish, key=lambda wish: by_wish[wish])
    about = by_wish[best] - scores.not_about > ABOUT_MARGIN
    return about, best if by_wish[best] - scores.none > WISH_MARGIN else "none"
