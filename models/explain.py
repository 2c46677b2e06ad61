"""Why a sauce was picked, in at most 32 characters for a dispenser's screen.

The features fall into a few groups that a customer would recognise. The group that lifts this sauce most above the
menu's average, by the ranker's weights, gives the reason; the features' own values choose the words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from heat.reading import Reading
from models.features import COLUMN, FEATURES, Context, Matrix, Menu

MAX_CHARS = 32
"""Characters of one line on the screen."""
CLOSE_OCTAVES = 0.6
"""Octaves; nearer than laboratories agree is the same heat."""
LITTLE_OCTAVES = 1.5
"""Octaves; up to here a difference is a little."""

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


def reasons(
    rows: Sequence[int], matrix: Matrix, weights: Matrix, reading: Reading, menu: Menu, context: Context
) -> list[str]:
    """Why the sauces in these rows of the menu were picked: one short line each, at most 32 characters."""
    average = np.full(len(matrix), 1 / len(matrix), dtype=np.float32) @ matrix
    lifts = ((matrix[rows] - average) * weights) @ _MEMBERS.T
    return [
        _reason(row, dict(zip(GROUPS, lift, strict=True)), matrix, reading, menu, context)
        for row, lift in zip(rows, lifts.tolist(), strict=True)
    ]


def _reason(
    row: int, by_group: Mapping[str, float], matrix: Matrix, reading: Reading, menu: Menu, context: Context
) -> str:
    if float(matrix[row, COLUMN["above_tolerance"]]) > CLOSE_OCTAVES and context.dial is None:
        return "hotter than you usually like" if reading.evidence else "hotter than most people like"
    for group in sorted(by_group, key=lambda group: -by_group[group]):
        if by_group[group] <= 0:
            break
        if line := _line(group, row, matrix, reading, menu, context):
            return line
    return "something else to try"


def _line(group: str, row: int, matrix: Matrix, reading: Reading, menu: Menu, context: Context) -> str | None:
    """What can be said of this group in truth, or None."""
    match group:
        case "heat":
            return _heat_line(float(matrix[row, COLUMN["gap"]]), known=reading.evidence > 0)
        case "flavour":
            return _flavour_line(row, reading, menu)
        case "popularity":
            return "a favourite here" if matrix[row, COLUMN["popularity"]] > 0 else None
        case "dial":
            return "close to your dial" if matrix[row, COLUMN["dial_distance"]] < LITTLE_OCTAVES else None
        case "mood":
            if matrix[row, COLUMN["mood_gap"]] <= 0:  # nearer to the mood than others, but not beyond the usual
                return None
            return "bolder, for today's mood" if context.mood == "bold" else "milder, for today's mood"
        case "again":
            return "the one you had last time"
        case "caution":
            last = context.last_poured
            milder = last is not None and menu.milli_octaves[row] < last.heat.milli_octaves
            return "milder: the last was too hot" if milder else None
        case _:
            return None


def _heat_line(gap: float, *, known: bool) -> str | None:
    if not known:
        return "a heat that most people like" if abs(gap) < LITTLE_OCTAVES else None
    if abs(gap) < CLOSE_OCTAVES:
        return "close to your usual heat"
    little = "a little " if abs(gap) < LITTLE_OCTAVES else ""
    return f"{little}{'hotter' if gap > 0 else 'milder'} than your usual"


def _flavour_line(row: int, reading: Reading, menu: Menu) -> str | None:
    shares = [(reading.flavours.get(tag, 0.0), tag) for tag in menu.sauces[row].flavours]
    share, tag = max(shares, default=(0.0, ""))
    if share <= 0:
        return None
    line = f"{tag}, as you like it"
    return line if len(line) <= MAX_CHARS else "a flavour that you like"
