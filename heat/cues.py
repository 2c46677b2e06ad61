"""One cue with the marks round it -> a vote for a wish. Pure.

A cue is read within its clause: *not too* and *too* before it, *no*, *enough*, who likes or hates it, *more*, *less*,
what was added for it. The stronger a way of saying it, the stronger the vote.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from heat.lexicon import Cue, Found, Idiom, Wish


class Vote(NamedTuple):
    """A wish, and how strongly it was said: from 0, a bare description, to 5."""

    strength: int
    wish: Wish
    why: Literal["", "soft", "no", "liked", "compared"] = ""
    """Of the heat that it names: *not too* hot; *nothing* hot; liked; or none, since it is only compared with."""


NOTHING = Vote(0, "none")


_PREDICATES = {"soft": Vote(3, "right"), "too": Vote(5, "less"), "not": Vote(4, "more"), "good": Vote(3, "right")}
"""Of *the heat is not too much*, *was too much*, *is not there*, *was lovely*."""


class Near(NamedTuple):
    """What stands round a cue."""

    before: Sequence[str]
    """Roles, the nearest last."""
    far: frozenset[str]
    after: Sequence[str]
    text: frozenset[str]
    """Roles anywhere in the text; `others` only of the sentence. `bare`: nothing but heat, `elliptic`: no verb."""

    def asks(self) -> bool:
        """Whether the text reads as a request."""
        return not self.text.isdisjoint({"ask", "need", "elliptic"})

    def hated(self) -> Vote:
        """Of a heat that somebody can't bear: *but this was fine*, or that is it."""
        return Vote(4, "right", "no") if {"good", "report"} <= self.text and self.good() else Vote(4, "less", "no")

    def good(self) -> bool:
        """Whether its writer liked it."""
        return not self.text.isdisjoint({"good", "love"}) and "bad" not in self.text


def vote_of(one: Found, near: Near) -> Vote | None:
    """What a phrase says of the wish; None where it is no cue, or says nothing here."""
    match one.meaning:
        case Idiom():
            return _of_idiom(one.meaning, near)
        case Cue():
            return _of_cue(one.meaning, near)
        case "ingredient":
            return _of_ingredient(near)
        case _:
            return None


def _of_cue(cue: Cue, near: Near) -> Vote:
    match cue.kind:
        case "hot":
            return _of_hot(near)
        case "mid" if "not" in near.before[-2:]:
            return Vote(2, "none", "compared")
        case "mid":
            return Vote(2, "none") if near.asks() or "love" in near.before else NOTHING
        case "mild":
            return _of_mild(near)
        case "noun":
            return _of_noun(near)
        case "hotter":
            return _of_comparison(near, "more", "less")
        case "milder":
            return _of_comparison(near, "less", "more")
        case "up":
            return Vote(3, "less" if "hate" in near.far or "not" in near.before[-2:] else "more", "compared")
        case "down":
            return Vote(4, "less", "compared")


def _of_idiom(idiom: Idiom, near: Near) -> Vote:
    negated = not {"not", "hate"}.isdisjoint(near.before[-3:])
    if idiom.wish == "right":
        return Vote(5, "more", "compared") if negated else Vote(4, "right")
    if negated and idiom.wish == "less":
        return Vote(2, "right" if near.good() else "none", "compared")
    if idiom.liked is not None and not {"need", "ask"}.isdisjoint(near.far):
        return Vote(4, "more")
    if idiom.liked is not None and near.good():
        return Vote(4, idiom.liked)
    return Vote(4, idiom.wish, "" if idiom.word and idiom.liked is None else "compared")


def _of_hot(near: Near) -> Vote:
    if (vote := _of_too(near)) is not None:
        return vote
    if near.after[:1] == ["enough"]:
        return Vote(5, "more", "compared") if "not" in near.before else Vote(4, "right")
    if near.before[-1:] == ["more"]:
        return _of_comparison(near, "more", "less")
    if near.before[-1:] == ["less"]:
        return _of_comparison(near, "less", "more")
    if "than_liked" in near.after[:2]:
        return Vote(3, "right") if near.good() else Vote(4, "less", "compared")
    return _of_plain_hot(near)


def _of_plain_hot(near: Near) -> Vote:
    if "hate" in near.far:
        return near.hated()
    if "not" in near.before[-3:]:
        if near.asks():
            return Vote(3, "less", "no")
        return Vote(2, "right" if near.good() else "more", "compared")
    if not {"love", "need"}.isdisjoint(near.before):
        return Vote(3, "more", "liked")
    if "ask" in near.text and not near.good():
        return Vote(2, "more")
    return Vote(1, "right") if near.good() else NOTHING


def _of_mild(near: Near) -> Vote:
    if "soft" in near.before:
        return Vote(2, "right", "compared")
    if "good" in near.before[-1:]:
        return Vote(3, "right")
    if "too" in near.before[-3:] or "than_liked" in near.after[:2]:
        return Vote(5, "more", "compared")
    if near.after[:1] == ["enough"]:
        return Vote(5, "less", "compared") if "not" in near.before else Vote(4, "right")
    if "hate" in near.far or ("not" in near.before[-2:] and near.asks()):
        return Vote(4, "more", "compared")
    if "not" in near.before[-2:]:
        return Vote(2, "none", "compared")
    if "love" in near.before or "need" in near.before:
        return Vote(3, "less", "liked")
    if "bad" in near.text:
        return Vote(2, "more", "compared")
    if "ask" in near.text and not near.good():
        return Vote(2, "less")
    return Vote(1, "right") if near.good() else NOTHING


def _of_noun(near: Near) -> Vote:
    if (vote := _of_too(near)) is not None:
        return vote
    if "enough" in near.before[-2:]:
        return Vote(5, "more", "compared") if "not" in near.before else Vote(4, "right")
    if "not" in near.before[-3:]:
        if "ask" in near.text:
            return Vote(3, "less", "no")
        return Vote(2, "right") if near.good() else Vote(4, "more", "compared")
    if "hate" in near.far:
        return near.hated()
    if "good" in near.before[-2:]:
        return Vote(3, "right")
    return _of_amount(near) or _of_predicate(near) or (Vote(1, "right") if near.good() else NOTHING)


def _of_amount(near: Near) -> Vote | None:
    """Of *more kick*, *less kick*, *added for the kick*."""
    nearest = next((role for role in reversed(near.before) if role in {"more", "less"}), "")
    if nearest == "more":
        return Vote(5, "less", "compared") if "than_liked" in near.after else Vote(4, "more", "compared")
    if nearest == "less":
        return Vote(4, "less", "compared")
    if "love" in near.before:
        return Vote(3, "more", "liked")
    if not near.far.isdisjoint({"need", "add"}):
        return Vote(3, "more", "compared")
    return None


def _of_predicate(near: Near) -> Vote | None:
    """Of *the heat is ...*."""
    if near.after[:1] != ["report"]:
        return None
    said = (vote for role, vote in _PREDICATES.items() if role in near.after[1:3])
    return next(said, None)


def _of_too(near: Near) -> Vote | None:
    if "soft" in near.before or ("too" in near.before[-3:] and "not" in near.before):
        return Vote(3, "less" if near.asks() else "right", "soft")
    return Vote(5, "less", "compared") if "too" in near.before[-3:] else None


def _of_comparison(near: Near, wish: Wish, beyond: Wish) -> Vote:
    if "than_liked" in near.after:
        return Vote(5, beyond, "compared")
    if "hate" in near.far or "not" in near.before[-2:]:
        return Vote(2, "none", "compared")
    if near.asks() or "love" in near.text:
        return Vote(4, wish, "compared")
    return Vote(1, "right", "compared") if near.good() and wish == "less" else Vote(0, "none", "compared")


def _of_ingredient(near: Near) -> Vote | None:
    if "too" in near.before[-3:]:
        return Vote(4, "less", "compared")
    if "more" in near.before[-3:]:
        return Vote(3, "more", "compared")
    if "less" in near.before:
        return Vote(3, "less", "compared")
    return Vote(2, "more", "compared") if "bland" in near.text and "add" in near.far else None
