"""A text as people type it -> plain words: what the lexicon, the amounts and the classifier read. Pure.

Compatibility forms and accents go (`jalapeño`, full-width digits), so do case, apostrophes, invisible and control
characters; letters that are drawn out are said once (`sooo`). Time and memory are linear in a text of bounded length.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

MAX_CHARS = 500
"""Characters of a text that are read; what follows is left out, and said to be."""
CHILLI = "\N{HOT PEPPER}"

_LOST_LETTER = re.compile(r"(?<=[a-z])\?(?=[a-z])")
"""`jalape?o`: an encoding once lost the n."""
_APOSTROPHE = re.compile("['`\u2018\u2019\u02bc]")
_DRAWN_OUT = re.compile(r"([a-z!?])\1{2,}")
_SENTENCE = re.compile(rf"[.!?;:()\n{CHILLI}]+(?!\d)")
_CLAUSE = re.compile(
    r",| - |\b(?:but|though|although|however|because|since)\b|\bso (?=(?:i|we|my|it|he|she|they|you|the)\b)"
)
_WORD = re.compile(r"[^\W_]+")


@dataclass(frozen=True, slots=True)
class Wording:
    """A text in plain form. `cut` says that it was longer than is read."""

    text: str
    cut: bool


def normalise(text: str) -> Wording:
    """The text in plain form: the same for any spelling of its case, accents and spaces."""
    read = " ".join(text[: 4 * MAX_CHARS].split())
    cut = len(text) > 4 * MAX_CHARS or len(read) > MAX_CHARS
    # a compatibility form can be eighteen characters long
    plain = read[:MAX_CHARS]
    if not (plain.isascii() and plain.isprintable()):
        plain = "".join(map(_plain, unicodedata.normalize("NFKD", plain)))[: 2 * MAX_CHARS]
    plain = _APOSTROPHE.sub("", plain.casefold()).replace("&", " and ").replace("\u2013", "-").replace("\u2044", "/")
    return Wording(" ".join(_DRAWN_OUT.sub(r"\1", _LOST_LETTER.sub("n", plain)).split()), cut)


def sentences_of(text: str) -> list[str]:
    """The sentences of a normalised text."""
    return [part for part in _SENTENCE.split(text) if part.strip()]


def clauses_of(sentence: str) -> list[str]:
    """The clauses of a sentence; what joined them is left out."""
    return [part for part in _CLAUSE.split(sentence) if part.strip()]


def words_of(text: str) -> list[str]:
    """The words of a normalised text, numbers among them."""
    return _WORD.findall(text)


def _plain(char: str) -> str:
    category = unicodedata.category(char)
    if category in {"Mn", "Me", "Cf", "Cs", "Co", "Cn"}:
        return ""
    return " " if category[0] in "CZ" else char
