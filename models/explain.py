"""Why a sauce was picked, in at most 32 characters for a dispenser's screen.

The features fall into a few groups that a customer would recognise. The group that lifts this sauce most above the
menu's average, by the ranker's weights, gives the reason; the features' own values choose the words, and a group of
which nothing can be said in truth leaves the word to the next.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from heat.catalog import Sauce
from heat.reading import Reading
from models.features import COLUMN, EVENING, FEATURES, Context, Matrix, Menu

MAX_CHARS = 32
"""Characters of one line on the screen."""
CLOSE_OCTAVES = 0.6
"""Octaves; nearer than laboratories agree is the same heat."""
LITTLE_OCTAVES = 1.5
"""Octaves; up to here a difference is a little."""
COLD_C, HOT_C = 8.0, 25.0
"""Degrees Celsius outside at which people call a day cold, or hot."""
OFTEN_POURS, OFTEN_SHARE = 2.0, 1 / 3
"""Pours, as they count today, and the share of a customer's from which on a sauce is one of their favourites."""

GROUPS: dict[str, tuple[str, ...]] = {
    "heat": (
        "gap",
        "distance",
        "distance_sq",
        "near",
        "above_tolerance",
        "gap_sure",
        "distance_sure",
        "recent_distance",
    ),
    "flavour": ("flavour", "flavour_best"),
    "popularity": ("popularity", "popularity_cold"),
    "dial": ("dial_distance", "dial_above", "dial_unsure", "distance_dialled"),
    "mood": ("mood_gap",),
    "evening": ("gap_evening",),
    "weather": ("gap_warm",),
    "again": ("again",),
    "habit": ("poured_before", "share_of_pours"),
    "novelty": ("never_poured",),
    "caution": ("after_too_hot",),
}
"""Every feature, by what it would be called in conversation."""
_MEMBERS: Matrix = np.array([[name in names for name in FEATURES] for names in GROUPS.values()], dtype=np.float32)
"""(groups, features): 1 where a feature belongs to a group."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One sauce of a menu, and all that may be said of it."""

    row: int
    matrix: Matrix
    reading: Reading
    menu: Menu
    context: Context

    def value(self, feature: str) -> float:
        """A feature of the sauce."""
        return float(self.matrix[self.row, COLUMN[feature]])

    @property
    def sauce(self) -> Sauce:
        """The sauce."""
        return self.menu.sauces[self.row]

    @property
    def known(self) -> bool:
        """Whether the customer has a usual heat."""
        return self.reading.evidence > 0

    @property
    def pours(self) -> float:
        """How often the customer poured it, as that counts today."""
        return (self.context.pours or {}).get(self.sauce.id, 0.0)


def reasons(
    rows: Sequence[int], matrix: Matrix, weights: Matrix, reading: Reading, menu: Menu, context: Context
) -> list[str]:
    """Why the sauces in these rows of the menu were picked: one short line each, at most 32 characters."""
    average = np.full(len(matrix), 1 / len(matrix), dtype=np.float32) @ matrix
    lifts = ((matrix[rows] - average) * weights) @ _MEMBERS.T
    return [
        _reason(Shown(row, matrix, reading, menu, context), dict(zip(GROUPS, lift, strict=True)))
        for row, lift in zip(rows, lifts.tolist(), strict=True)
    ]


def _reason(shown: Shown, by_group: Mapping[str, float]) -> str:
    if shown.value("above_tolerance") > CLOSE_OCTAVES and shown.context.dial is None:
        return "hotter than you usually like" if shown.known else "hotter than most people like"
    for group in sorted(by_group, key=lambda group: -by_group[group]):
        if by_group[group] <= 0:
            break
        if line := _LINES[group](shown):
            return line
    return _novelty(shown) or "something else to try"


# What can be said of a group in truth, or None. `tests/models/test_explain.py` has the condition of each sentence.


def _heat(shown: Shown) -> str | None:
    gap = shown.value("gap")
    if not shown.known:
        return "a heat that most people like" if abs(gap) < LITTLE_OCTAVES else None
    if abs(gap) < CLOSE_OCTAVES:
        return "close to your usual heat"
    little = "a little " if abs(gap) < LITTLE_OCTAVES else ""
    return f"{little}{'hotter' if gap > 0 else 'milder'} than your usual"


def _flavour(shown: Shown) -> str | None:
    shares = [(shown.reading.flavours.get(tag, 0.0), tag) for tag in shown.sauce.flavours]
    share, tag = max(shares, default=(0.0, ""))
    if share <= 0:
        return None
    line = f"{tag}, as you like it"
    return line if len(line) <= MAX_CHARS else "a flavour that you like"


def _popularity(shown: Shown) -> str | None:
    if shown.value("popularity") <= 0:
        return None
    return "liked by many" if shown.context.popularity is None else "a favourite here"


def _dial(shown: Shown) -> str | None:
    close = shown.context.dial is not None and shown.value("dial_distance") < LITTLE_OCTAVES
    return "close to your dial" if close else None


def _mood(shown: Shown) -> str | None:
    if shown.value("mood_gap") <= 0:  # nearer to the mood than others, but not beyond the usual
        return None
    return f"{'bolder' if shown.value('gap') > 0 else 'milder'}, for today's mood"


def _evening(shown: Shown) -> str | None:
    bolder = _compared(shown)
    return f"{bolder}, for the evening" if bolder and shown.context.hour in EVENING else None


def _weather(shown: Shown) -> str | None:
    bolder, degrees = _compared(shown), shown.context.temperature_c
    if bolder is None or degrees is None or COLD_C < degrees < HOT_C:
        return None
    if degrees >= HOT_C:
        return f"{bolder}, for a hot day"
    if bolder == "milder":
        return "milder, for a cold day"
    return "for a cold evening" if shown.context.hour in EVENING else "bolder, for a cold day"


def _again(shown: Shown) -> str | None:
    last = shown.context.last_poured
    if last is None or last.id != shown.sauce.id:
        return None
    return "just right last time" if shown.context.last_verdict == "just_right" else "the one you had last time"


def _habit(shown: Shown) -> str | None:
    if shown.pours <= 0:
        return None
    often = shown.pours >= OFTEN_POURS and shown.value("share_of_pours") >= OFTEN_SHARE
    return "one of your favourites" if often else "you have had it before"


def _novelty(shown: Shown) -> str | None:
    if shown.sauce.id in shown.context.new:
        return "new here"
    # other stores may have poured it: "here" keeps it true
    return "one you have yet to try here" if shown.value("never_poured") > 0 and not shown.pours else None


def _caution(shown: Shown) -> str | None:
    last = shown.context.last_poured
    if last is None or shown.context.last_verdict != "too_hot":
        return None
    milder = shown.sauce.heat.milli_octaves < last.heat.milli_octaves
    return "milder: the last was too hot" if milder else None


def _compared(shown: Shown) -> str | None:
    """Which side of the customer's usual heat it lies on, if clearly on one."""
    gap = shown.value("gap")
    if not shown.known or abs(gap) < CLOSE_OCTAVES:
        return None
    return "bolder" if gap > 0 else "milder"


_LINES: dict[str, Callable[[Shown], str | None]] = {
    "heat": _heat,
    "flavour": _flavour,
    "popularity": _popularity,
    "dial": _dial,
    "mood": _mood,
    "evening": _evening,
    "weather": _weather,
    "again": _again,
    "habit": _habit,
    "novelty": _novelty,
    "caution": _caution,
}
