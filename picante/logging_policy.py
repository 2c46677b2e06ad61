"""What simulated dispensers show while they log: three sauces, half at random and half by popularity, chances known.

Every sauce gets its chance, so that rankers learn of all, and what another policy would have earned can be told from
these logs (`models.off_policy`). Half the slates are drawn evenly; the others one slot after another by share, out of
what is left: slot 1 shows a sauce with chance w / W, slot 2 another with w' / (W - w), and so on.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from math import perm

import numpy as np

from models.explore import SLOTS
from models.mixture import Chances

EVENLY = 0.5
"""Share of the slates that are drawn evenly."""
UNPOURED = 0.5
"""Pours that a sauce counts as before it has any."""


def draw(rng: random.Random, ids: Sequence[str], pours: Mapping[str, float]) -> tuple[str, ...]:
    """Three of these sauces. `pours` has each one's at this site."""
    if rng.random() < EVENLY:
        return tuple(rng.sample(list(ids), SLOTS))
    # the largest of u ** (1 / share) is a draw by shares, without replacement
    keyed = sorted(ids, key=lambda sauce: -(rng.random() ** (1 / (pours[sauce] + UNPOURED))))
    return tuple(keyed[:SLOTS])


def chances(ids: Sequence[str], pours: Mapping[str, float], shown: Sequence[str]) -> Chances:
    """How likely `draw` shows these three in this order, and each in its slot, whatever the others show."""
    count = len(ids)
    weights = np.array([pours[sauce] + UNPOURED for sauce in ids])
    total = weights.sum()
    # the chance of an a in slot 1, and of an a and then a b
    first = weights / total
    pair = first[:, None] * weights / (total - weights)[:, None] * (1 - np.eye(count))
    left = total - weights[:, None] - weights
    rows = [ids.index(sauce) for sauce in shown]
    a, b, c = rows
    # pairs without the third; beyond two sauces nothing is left to divide by
    third = np.divide(pair, left, out=np.zeros_like(pair), where=left > total * 1e-12)
    third[c, :] = third[:, c] = 0
    by_share = [first[a], pair[:, b].sum(), weights[c] * third.sum()]
    whole = pair[a, b] * weights[c] / left[a, b]
    slots = [EVENLY / count + (1 - EVENLY) * float(chance) for chance in by_share]
    return Chances(EVENLY / perm(count, SLOTS) + (1 - EVENLY) * float(whole), slots)
