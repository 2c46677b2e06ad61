"""Profile reading, sauces and context -> the float32 matrix that a ranker scores: a row a sauce, a column a feature.

The gateway builds a `Menu` when a dispenser's nozzles change and calls `features` at every ASK (about 40 µs for 60
sauces); training calls the very same function, so what was learnt is what is served. Heats are in octaves here
(milli-octaves / 1000), floats: nothing computed here is stored or compared between engines.

Exponentials, logarithms and sums are taken in float64 and rounded once: NumPy's float32 ones give other last bits on
another processor, and a pick is made again to the bit wherever its log is read.

A column that is equal for all sauces would cancel out of the ranking, so what belongs to the customer (how sure the
profile is, how new the customer is) appears only multiplied with what differs between sauces.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from heat.catalog import Sauce
from heat.events import Verdict
from heat.reading import Reading
from heat.scale import Heat

Matrix: TypeAlias = NDArray[np.float32]

MEANING: dict[str, str] = {
    "gap": "octaves from the preferred heat to the sauce",
    "distance": "the same without its sign",
    "distance_sq": "distance squared, at most 16",
    "near": "how well the sauce fits the belief about the preferred heat, 0..1, both uncertainties counted",
    "above_tolerance": "octaves above the upper tolerance, else 0",
    "gap_sure": "gap times how sure the profile is",
    "distance_sure": "distance times how sure the profile is",
    "recent_distance": "octaves from the mean of the last 30 days' pours, 0 without any",
    "flavour": "sum of the customer's shares of the sauce's flavours",
    "flavour_best": "the largest of these shares",
    "popularity": "log of the sauce's share of the site's pours, over an equal share",
    "popularity_cold": "popularity times how new the customer is",
    "dial_distance": "octaves from the dial, 0 without one",
    "dial_above": "octaves above the dial, else 0",
    "dial_unsure": "dial_distance times how unsure the profile is",
    "distance_dialled": "distance_sure where a dial was turned, else 0",
    "mood_gap": "gap, negative in a mellow mood; 0 in a usual or unknown one",
    "gap_evening": "gap in the evening (17 to 23 o'clock), else 0; 0 without an hour",
    "gap_warm": "gap times the tens of degrees Celsius above 15 outside, -2..2; 0 without a temperature",
    "again": "1 for the sauce that was poured last",
    "poured_before": "log of 1 and how often the customer poured the sauce, each time counting less with its age",
    "share_of_pours": "the sauce's share of what the customer poured of these sauces, so counted; 0 without any",
    "never_poured": "how well the customer is known, 0..1, if the sauce is none of the poured ones; 0 without any",
    "after_too_hot": "octaves above what the customer last called too hot, less one octave, else 0",
}
"""Every feature and what it means, in the order of the columns."""
FEATURES: tuple[str, ...] = tuple(MEANING)
COLUMN: dict[str, int] = {name: column for column, name in enumerate(FEATURES)}
SCHEMA = hashlib.sha256("\n".join(f"{name}: {meaning}" for name, meaning in MEANING.items()).encode()).hexdigest()
"""Changes with the features' names, order or meaning; a bundle made for another one is refused."""

MOOD_STEP: dict[str, float] = {"mellow": -1.0, "usual": 0.0, "bold": 1.0}
"""The moods that a dispenser may offer. Others count as unknown."""
EVENING = range(17, 24)
"""Hours of the store's clock in which it is evening."""
TEMPERATE_C = 15.0
"""Degrees Celsius outside that are neither warm nor cold."""
LABEL_VARIANCE = 0.5
"""Octaves squared: a customer's liking is this wide even if heat and label were known exactly."""
MIN_SHARE = 0.002
"""The least share of a site's pours that a sauce is taken to have, so that a new one isn't minus infinity."""


@dataclass(frozen=True, slots=True)
class Context:
    """What is known at this visit besides the profile.

    `popularity` is each sauce's share of the site's pours (any scale); without it the catalogue's figures serve.
    `last_verdict` is what the customer said of `last_poured`, if anything. `pours` is how often the customer poured
    each sauce, each time counting less with its age. `hour` (0..23) is that of the store's clock, and `temperature_c`
    that outside, in degrees Celsius.
    """

    dial: Heat | None = None
    mood: str | None = None
    popularity: Mapping[str, float] | None = None
    last_poured: Sauce | None = None
    last_verdict: Verdict | None = None
    pours: Mapping[str, float] | None = None
    hour: int | None = None
    temperature_c: float | None = None
    new: frozenset[str] = frozenset()
    """Sauces that came to this dispenser lately: no feature, but a reason to tell."""


class Menu:
    """The sauces that could be picked, as arrays, in a fixed order (ties in a ranking keep it)."""

    __slots__ = (
        "_lift",
        "heat_mo",
        "ids",
        "milli_octaves",
        "octaves",
        "rows",
        "sauces",
        "tag_matrix",
        "tags",
        "variance",
    )

    def __init__(self, sauces: Sequence[Sauce]) -> None:
        self.sauces = tuple(sauces)
        self.ids = tuple(sauce.id for sauce in sauces)
        self.rows = {id_: row for row, id_ in enumerate(self.ids)}
        heats = [sauce.heat for sauce in sauces]
        self.milli_octaves = tuple(heat.milli_octaves for heat in heats)
        self.heat_mo: NDArray[np.int64] = np.array(self.milli_octaves, dtype=np.int64)
        self.octaves: Matrix = np.array(self.milli_octaves, dtype=np.float32) / np.float32(1000)
        sd: Matrix = np.array([heat.sd_milli_octaves for heat in heats], dtype=np.float32) / np.float32(1000)
        self.variance: Matrix = sd * sd
        self.tags = tuple(sorted({tag for sauce in sauces for tag in sauce.flavours}))
        self.tag_matrix: Matrix = np.array(
            [[tag in sauce.flavours for sauce in sauces] for tag in self.tags], dtype=np.float32
        ).reshape(len(self.tags), len(self.sauces))
        self._lift = _lift([float(sauce.popularity) for sauce in sauces])

    def __len__(self) -> int:
        return len(self.ids)

    def popularity(self, shares: Mapping[str, float] | None) -> Matrix:
        """Log of each sauce's share among these sauces, over an equal share."""
        return self._lift if shares is None else _lift([shares.get(sauce_id, 0.0) for sauce_id in self.ids])


def features(reading: Reading, menu: Menu, context: Context) -> Matrix:
    """The features of every sauce of the menu for this customer now: float32, shape (len(menu), len(FEATURES))."""
    matrix: Matrix = np.zeros((len(FEATURES), len(menu)), dtype=np.float32)
    _heat_rows(matrix, reading, menu)
    affinity = np.array([reading.flavours.get(tag, 0.0) for tag in menu.tags], dtype=np.float32)
    if affinity.any():
        by_tag = menu.tag_matrix * affinity[:, None]
        matrix[COLUMN["flavour"]] = by_tag.sum(axis=0)
        matrix[COLUMN["flavour_best"]] = by_tag.max(axis=0)
    popularity = menu.popularity(context.popularity)
    matrix[COLUMN["popularity"]] = popularity
    matrix[COLUMN["popularity_cold"]] = popularity * np.float32(newness(reading))
    _context_rows(matrix, reading, menu, context)
    _habit_rows(matrix, reading, menu, context)
    return np.ascontiguousarray(matrix.T)


def newness(reading: Reading) -> float:
    """How new a customer is: 1 without any evidence, towards 0 with much."""
    return 1 / (1 + reading.evidence)


def sureness(reading: Reading) -> float:
    """How sure the profile is of the preferred heat, 0..1."""
    return 1 / (1 + (reading.state.sd_mo / 1000) ** 2)


def warmth(temperature_c: float) -> float:
    """Tens of degrees above a temperate day, -2..2."""
    return min(max((temperature_c - TEMPERATE_C) / 10, -2.0), 2.0)


def _lift(shares: Sequence[float]) -> Matrix:
    share = np.array(shares, dtype=np.float64)
    share = np.maximum(share / max(share.sum(), 1e-9), MIN_SHARE)
    result: Matrix = np.log(share * len(shares)).astype(np.float32)
    return result


def _heat_rows(matrix: Matrix, reading: Reading, menu: Menu) -> None:
    state = reading.state
    gap = menu.octaves - np.float32(state.mean_mo / 1000)
    distance = np.abs(gap)
    square = gap * gap
    sure = np.float32(sureness(reading))
    variance = menu.variance + np.float32(LABEL_VARIANCE + (state.sd_mo / 1000) ** 2)
    matrix[COLUMN["gap"]] = gap
    matrix[COLUMN["distance"]] = distance
    matrix[COLUMN["distance_sq"]] = np.minimum(square, np.float32(16))
    matrix[COLUMN["near"]] = np.exp(square.astype(np.float64) / (-2.0 * variance))
    matrix[COLUMN["above_tolerance"]] = np.maximum(menu.octaves - np.float32(state.tolerance_mo / 1000), 0)
    matrix[COLUMN["gap_sure"]] = gap * sure
    matrix[COLUMN["distance_sure"]] = distance * sure
    month = next((window.mean_mo for window in reading.windows if window.days == 30), None)
    if month is not None:
        matrix[COLUMN["recent_distance"]] = np.abs(menu.octaves - np.float32(month / 1000))


def _context_rows(matrix: Matrix, reading: Reading, menu: Menu, context: Context) -> None:
    if context.dial is not None:
        gap = menu.octaves - np.float32(context.dial.milli_octaves / 1000)
        matrix[COLUMN["dial_distance"]] = np.abs(gap)
        matrix[COLUMN["dial_above"]] = np.maximum(gap, 0)
        matrix[COLUMN["dial_unsure"]] = np.abs(gap) * np.float32(1 - sureness(reading))
        matrix[COLUMN["distance_dialled"]] = matrix[COLUMN["distance_sure"]]
    if step := MOOD_STEP.get(context.mood or "", 0.0):
        matrix[COLUMN["mood_gap"]] = matrix[COLUMN["gap"]] * np.float32(step)
    if context.hour in EVENING:
        matrix[COLUMN["gap_evening"]] = matrix[COLUMN["gap"]]
    if context.temperature_c is not None:
        matrix[COLUMN["gap_warm"]] = matrix[COLUMN["gap"]] * np.float32(warmth(context.temperature_c))
    last = context.last_poured
    if last is None:
        return
    if (row := menu.rows.get(last.id)) is not None:
        matrix[COLUMN["again"], row] = 1
    if context.last_verdict == "too_hot":
        limit = np.float32(last.heat.milli_octaves / 1000 - 1)
        matrix[COLUMN["after_too_hot"]] = np.maximum(menu.octaves - limit, 0)


def _habit_rows(matrix: Matrix, reading: Reading, menu: Menu, context: Context) -> None:
    pours = np.zeros(len(menu))
    for sauce_id, poured in (context.pours or {}).items():
        if (row := menu.rows.get(sauce_id)) is not None:
            pours[row] = poured
    whole = pours.sum()
    if whole > 0:
        matrix[COLUMN["poured_before"]] = np.log1p(pours)
        matrix[COLUMN["share_of_pours"]] = pours / whole
        matrix[COLUMN["never_poured"]] = (pours == 0) * np.float32(1 - newness(reading))
