"""The words of heat language as data (`data/lexicon.json`), and the finding of them in a text. Pure.

A phrase is one to six words as `heat.wording` writes them, and has one role. Where several begin at the same word the
longest counts, and its words are used up: *hot sauce* is an ingredient and no *hot*, *zip lock* is nothing at all. A
cue may have a `context`: words that give it another sense in the same sentence (an *oven* that is *hot*).

The version travels with every heat that the lexicon helped to make.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import resources
from typing import Annotated, Literal, NamedTuple

import msgspec

from heat.errors import DataError
from heat.scale import MAX_MO
from heat.wording import normalise, words_of

MAX_WORDS = 6
"""Words of a phrase; so finding them all takes time linear in the text."""

Wish = Literal["more", "right", "less", "none"]
"""What the next pour should be, seen from the last: hotter, as hot, milder, or not said."""

Phrase = Annotated[str, msgspec.Meta(min_length=1, max_length=60)]
Phrases = tuple[Phrase, ...]

CueKind = Literal["hot", "mid", "mild", "noun", "hotter", "milder", "up", "down"]
"""`hot`, `mid`, `mild` describe, a `noun` is had (*kick*), `hotter`, `milder` compare, `up`, `down` are done to it."""
Role = Literal[
    "not",
    "isnt",
    "report",
    "too",
    "soft",
    "enough",
    "more",
    "less",
    "omit",
    "love",
    "hate",
    "good",
    "bad",
    "bland",
    "need",
    "add",
    "ask",
    "others",
    "than_liked",
    "filler",
]
"""Of a mark. `isnt` is a *not* in a report, `soft` a *not too*, `ask` stands in a request, `others` in advice."""


class Cue(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words about heat, unless a word of `context` stands in the same sentence."""

    kind: CueKind
    phrases: Phrases
    context: str | None = None
    sure: bool = True
    """Whether the words alone make a text one about heat; else something has to be said with them."""


class Idiom(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sayings with a wish of their own. `liked` is the wish where the writer liked it all the same."""

    wish: Wish
    phrases: Phrases
    liked: Wish | None = None
    word: str | None = None
    """The category word of how hot that is."""


class Degree(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Words that say how hot *hot* is: the heat that the word alone would have moves by `shift_mo`."""

    shift_mo: Annotated[int, msgspec.Meta(ge=-MAX_MO, le=MAX_MO)]
    phrases: Phrases


class Lexicon(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in lexicon.json. `marks` are words that matter beside a cue."""

    version: Annotated[str, msgspec.Meta(min_length=1, max_length=8)]
    cues: tuple[Cue, ...]
    idioms: tuple[Idiom, ...]
    degrees: tuple[Degree, ...]
    ingredients: Phrases
    food: Phrases
    """Words beside which a cue that is not sure is: *very hot* of a sauce is about heat."""
    traps: Phrases
    marks: Mapping[Role, Phrases]
    contexts: Mapping[str, Phrases]
    synonyms: Mapping[Phrase, str]
    """Phrases of cues -> the category word that means the same."""


Meaning = Cue | Idiom | Degree | Role | Literal["ingredient", "trap", "-"]
"""A cue, an idiom, a degree; the role of a mark; an ingredient, a trap; or `-`, a word of no role."""


class Found(NamedTuple):
    """A phrase in a sentence."""

    meaning: Meaning
    text: str


class Finder:
    """A lexicon that is ready to look into texts."""

    def __init__(self, lexicon: Lexicon) -> None:
        self.version = lexicon.version
        self._phrases = {phrase: meaning for meaning, phrase in _all(lexicon)}
        self._longest = _longest(self._phrases)
        self.synonyms = lexicon.synonyms
        self._food = frozenset(lexicon.food)
        reports = (*lexicon.marks.get("report", ()), *lexicon.marks.get("isnt", ()))
        self._reports = frozenset(phrase for phrase in reports if " " not in phrase)
        self._contexts = {name: frozenset(phrases) for name, phrases in lexicon.contexts.items()}

    def find(self, words: Sequence[str]) -> list[Found]:
        """The phrases of a sentence in their order; a word of no role is one of its own."""
        found, at = [], 0
        while at < len(words):
            text = words[at]
            meaning: Meaning = self._phrases.get(text, "-")
            taken = 1
            for length in range(self._longest.get(text, 1), 1, -1):
                longer = self._phrases.get(" ".join(words[at : at + length]))
                if longer is not None:
                    text, meaning, taken = " ".join(words[at : at + length]), longer, length
                    break
            found.append(Found(meaning, text))
            at += taken
        return found

    def of_food(self, words: Iterable[str]) -> bool:
        """Whether a sentence speaks of food or of the mouth."""
        return not self._food.isdisjoint(words)

    def reports(self, words: Iterable[str]) -> bool:
        """Whether there is a word by which something is told and not asked for (*was*)."""
        return not self._reports.isdisjoint(words)

    def another_sense(self, cue: Cue, words: Iterable[str]) -> bool:
        """Whether a word of the sentence gives the cue another sense than pungency."""
        return cue.context is not None and not self._contexts[cue.context].isdisjoint(words)


def parse_lexicon(text: bytes | str) -> Lexicon:
    """A lexicon from its JSON. Raises DataError, with the place, if it isn't one."""
    try:
        lexicon = msgspec.json.decode(text, type=Lexicon)
    except msgspec.DecodeError as error:
        raise DataError(f"lexicon: {error}", hint="Compare it with heat/data/lexicon.json") from error
    seen: set[str] = set()
    for _, phrase in _all(lexicon):
        if phrase in seen:
            raise DataError(f"lexicon: {phrase!r} stands there twice")
        if words_of(normalise(phrase).text) != phrase.split(" ") or len(phrase.split(" ")) > MAX_WORDS:
            raise DataError(
                f"lexicon: {phrase!r} is never found", hint="Lower case, no marks, one space, at most six words"
            )
        seen.add(phrase)
    for cue in lexicon.cues:
        if cue.context is not None and cue.context not in lexicon.contexts:
            raise DataError(f"lexicon: no context {cue.context!r}")
    return lexicon


@cache
def default_lexicon() -> Lexicon:
    """The lexicon that ships with Picante: English."""
    return parse_lexicon(resources.files("heat").joinpath("data/lexicon.json").read_bytes())


@cache
def default_finder() -> Finder:
    """What looks for the phrases of the lexicon that ships."""
    return Finder(default_lexicon())


def _all(lexicon: Lexicon) -> Iterator[tuple[Meaning, str]]:
    groups: tuple[Cue | Idiom | Degree, ...] = (*lexicon.cues, *lexicon.idioms, *lexicon.degrees)
    for group in groups:
        for phrase in group.phrases:
            yield group, phrase
    for role, phrases in lexicon.marks.items():
        for phrase in phrases:
            yield role, phrase
    for phrase in lexicon.ingredients:
        yield "ingredient", phrase
    for phrase in lexicon.traps:
        yield "trap", phrase


def _longest(phrases: Mapping[str, Meaning]) -> dict[str, int]:
    """The length in words of the longest phrase that begins with a word."""
    longest: dict[str, int] = {}
    for phrase in phrases:
        words = phrase.split(" ")
        longest[words[0]] = max(longest.get(words[0], 1), len(words))
    return longest
