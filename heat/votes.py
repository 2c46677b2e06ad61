"""The lexicon's opinion of a text: what all its cues (`heat.cues`) come to. Pure.

Votes differ in strength; the strongest wins, and two of equal strength that want opposite things leave no wish. What is
said to others ("add some if you like it hot") is nobody's wish.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from heat.cues import Near, Vote, vote_of
from heat.levels import between, is_level, joined, level, mildest, not_too
from heat.lexicon import Cue, Finder, Found, Idiom, Wish
from heat.scale import Heat, WordTable
from heat.wording import clauses_of, sentences_of, words_of

NEAR = 4
"""Phrases beside a cue that can change what it means."""
FAR = 12
"""Phrases before a cue among which what was needed, added or hated may stand."""
DECISIVE = 2
"""Strength from which a vote makes a text one about heat."""


@dataclass(frozen=True, slots=True)
class Opinion:
    """What the lexicon makes of a text."""

    about: bool | None = None
    """None: it has nothing to say."""
    wish: Wish = "none"
    heat: Heat | None = None
    asked: bool = False
    """Whether the heat is what its writer likes or asks for."""
    asks: bool = False
    """Whether it reads as a request, or says what its writer likes."""
    compares: bool = False
    """Whether its wish is seen from the heat that it names: *too hot*, *not enough*."""


@dataclass(slots=True)
class _Tally:
    """What the clauses of a text come to."""

    votes: list[Vote]
    sure: bool = False
    silent: bool = False
    """Whether something was there that is not enough by itself."""
    trapped: bool = False
    heat: Heat | None = None


def judge(text: str, finder: Finder, words: WordTable) -> Opinion:
    """The opinion on a normalised text."""
    sentences = [[finder.find(words_of(clause)) for clause in clauses_of(part)] for part in sentences_of(text)]
    found = [one for sentence in sentences for clause in sentence for one in clause]
    roles = _roles(found)
    if not any(_is_word(one) for one in found):
        roles |= {"bare"} if _tells(found, finder) else {"bare", "elliptic"}
    tally = _Tally([])
    for sentence in sentences:
        own = [one for clause in sentence for one in clause]
        meant = frozenset(word for one in own if _is_open(one) for word in one.text.split(" "))
        around = _Sentence(
            finder,
            words,
            meant,
            roles - {"others"} | (_roles(own) & {"others"}),
            finder.of_food(words_of(" ".join(one.text for one in own))),
        )
        for clause in sentence:
            _count(tally, clause, around)
    return _opinion(tally, roles)


@dataclass(frozen=True, slots=True)
class _Sentence:
    """What of a sentence matters in each of its clauses. `roles` are the text's, with `others` of this sentence."""

    finder: Finder
    brand: WordTable
    words: frozenset[str]
    roles: frozenset[str]
    food: bool


def _count(tally: _Tally, clause: Sequence[Found], sentence: _Sentence) -> None:
    """Add a clause's votes, and the last heat that it names."""
    last: tuple[int, Heat] | None = None
    for at, one in enumerate(clause):
        tally.trapped |= one.meaning == "trap"
        if isinstance(one.meaning, str) and one.meaning != "ingredient":
            continue
        if isinstance(one.meaning, Cue) and sentence.finder.another_sense(one.meaning, sentence.words):
            tally.trapped = True
            continue
        near = _near(clause, at, sentence.roles)
        vote = vote_of(one, near)
        if vote is None:
            tally.silent = True
            continue
        if "others" in sentence.roles and (vote.wish != "right" or vote.strength < DECISIVE):
            vote = vote._replace(strength=0, wish="none")
        tally.sure |= vote.strength >= DECISIVE or _is_sure(clause, at, sentence)
        tally.silent = True
        tally.votes.append(vote)
        heat = _named(clause, at, vote, sentence)
        if heat is not None:
            if last is not None and joined(clause, last[0], at):
                heat = between(last[1], heat, sentence.finder, sentence.brand)
            last = at, heat
            tally.heat = heat


def _is_sure(clause: Sequence[Found], at: int, sentence: _Sentence) -> bool:
    """Whether a phrase alone makes a text one about heat: a description that is no part of a name (*spicy sausage*)."""
    meaning = clause[at].meaning
    if not isinstance(meaning, Cue):
        return isinstance(meaning, Idiom)
    named = is_level(clause[at]) and at + 1 < len(clause) and clause[at + 1].meaning in {"-", "ingredient"}
    return (meaning.sure or (sentence.food and meaning.kind != "mild")) and not named


def _named(clause: Sequence[Found], at: int, vote: Vote, sentence: _Sentence) -> Heat | None:
    """The heat that a cue names: none where it is only compared, complained of or wished for."""
    one = clause[at]
    if vote.why == "no":
        return mildest(sentence.finder, sentence.brand)
    if vote.why == "compared" or not (is_level(one) or isinstance(one.meaning, Idiom) or vote.why == "liked"):
        return None
    heat = level(clause, at, sentence.finder, sentence.brand)
    return not_too(heat, sentence.finder, sentence.brand) if heat and vote.why == "soft" else heat


def _opinion(tally: _Tally, roles: frozenset[str]) -> Opinion:
    most = max((vote.strength for vote in tally.votes), default=0)
    wishes = [vote.wish for vote in tally.votes if vote.strength == most and vote.wish != "none"]
    wish: Wish = "none" if not wishes or {"more", "less"} <= set(wishes) else wishes[-1]
    if {"right", "less"} <= set(wishes):
        wish = "right"  # who can't bear much, and bears this
    about = True if tally.sure else None if tally.silent else False if tally.trapped else None
    if tally.votes and "bare" in roles:
        about = True  # *it has a kick*: there is nothing else that it could be about
    asks = not roles.isdisjoint({"ask", "need", "love", "hate", "elliptic"}) and "others" not in roles
    compares = any(vote.strength == most and vote.wish == wish and vote.why == "compared" for vote in tally.votes)
    asked = tally.heat is not None and (asks or wish == "right")
    return Opinion(about, wish, tally.heat, asked, asks, compares and wish in {"more", "less"})


def _near(clause: Sequence[Found], at: int, roles: frozenset[str]) -> Near:
    before = [_role(one) for one in clause[max(at - NEAR, 0) : at]]
    after = [_role(one) for one in clause[at + 1 : at + 1 + NEAR]]
    return Near(before, _roles(clause[max(at - FAR, 0) : at]), after, roles)


def _role(one: Found) -> str:
    if one.meaning == "isnt":
        return "not"
    return one.meaning if isinstance(one.meaning, str) else ""


def _roles(found: Iterable[Found]) -> frozenset[str]:
    return frozenset(map(_role, found))


def _tells(found: Sequence[Found], finder: Finder) -> bool:
    """Whether something is told: *was not too hot*, but not *the hottest you have*."""
    return any(finder.reports(one.text.split(" ")) for one in found if not isinstance(one.meaning, Idiom))


def _is_open(one: Found) -> bool:
    """Whether its words can give others their sense."""
    return one.meaning not in {"trap", "filler"}


def _is_word(one: Found) -> bool:
    """Whether it says something beside the heat."""
    return not is_level(one) and one.meaning in {
        "-",
        "good",
        "bad",
        "trap",
        "ingredient",
        "add",
        "others",
        "than_liked",
    }
