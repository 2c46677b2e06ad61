"""Reading a profile: decay, windows, and the customer's heat state. Integer arithmetic throughout.

Sums are kept whole in `heat.profile`; age is applied here. A bucket k days old counts
`W[k] = round(2**30 * 2**(-k / half-life))`, a table shipped as data so that no engine recomputes it. W-weighted sums
overflow 64 bits (sum w*q of 1,100 sure verdicts on pure capsaicin does, sum w*q*q of two pours), so they are Python
ints here and DECIMAL(38,0) in SQL engines.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import isqrt
from typing import Annotated

import msgspec

from heat.events import Kind
from heat.profile import Profile, Sums
from heat.scale import MAX_MO

UNIT = 2**30
"""W of today."""
PRECISION_UNIT = 16_000_000
"""w * variance in mo squared: a weight of 16 is a standard deviation of one octave."""
OFFSET_MO: dict[str, int] = {"too_hot": -2000, "more": 1200}
"""mo; where the preferred heat lies, seen from the heat that the verdict is about. Other evidence lies on it."""
ONE_SIDED = frozenset(OFFSET_MO)
TOO_HOT_MARGIN_MO = 500
"""mo; a customer's tolerance ends this far below what they called too hot."""
ABOVE_TASTE_MO = 2000
"""mo; with nothing else known, a customer tolerates this much more than they prefer."""
USUAL_W = 16
"""Weight of that usual margin against what hurt: one rating's."""
WINDOWS_DAYS = (7, 30, 90)


class DecayTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """W[k] for ages of k days. Beyond its end evidence counts nothing."""

    version: str
    half_life_days: Annotated[int, msgspec.Meta(ge=1)]
    weights: tuple[int, ...]

    def weight(self, day: int, today: int) -> int:
        """W for evidence of `day`, read on `today`. Days ahead of today, or not known yet (negative), count whole."""
        age = max(today - day, 0) if day >= 0 else 0
        return self.weights[age] if age < len(self.weights) else 0


@cache
def default_decay() -> DecayTable:
    """The table that ships with Picante: a half-life of 30 days."""
    return msgspec.json.decode(resources.files("heat").joinpath("data/decay.json").read_bytes(), type=DecayTable)


@dataclass(frozen=True, slots=True)
class Prior:
    """What is believed of a customer at a site before they did anything."""

    mean_mo: int = 8000
    """4,000 SHU: between the shop words mild and medium."""
    sd_mo: int = 2500


@dataclass(frozen=True, slots=True)
class HeatState:
    """What a customer is believed to like: a Gaussian over heat, and the heat above which it hurts."""

    mean_mo: int
    sd_mo: int
    tolerance_mo: int


@dataclass(frozen=True, slots=True)
class Window:
    """What was poured in the last `days` days, today included."""

    days: int
    pours: int
    mean_mo: int | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A profile as read on one day."""

    state: HeatState
    evidence: int
    """How many pieces of evidence the profile holds, undecayed."""
    windows: tuple[Window, ...]
    flavours: dict[str, float]
    """Tag -> its share (0..1) of what was poured and liked, shrunk towards 0 where there is little evidence."""


def heat_state(profile: Profile, today: int, prior: Prior, decay: DecayTable) -> HeatState:
    """The posterior of preferred heat from decayed evidence and the site's prior, and the upper tolerance.

    What was stated, poured or just right counts where it is. A verdict points one way only: *too hot* about something
    far hotter than what is liked is no reason to like it hotter, so it counts only where it lowers the mean; *more*
    only where it raises it.
    """
    prior_w = max(PRECISION_UNIT * UNIT // prior.sd_mo**2, 1)
    evidence = [(key.kind, decay.weight(key.day, today), sums) for key, sums in profile.buckets.items()]
    total_w, total_wq = prior_w, prior_w * prior.mean_mo
    for kind, decayed, sums in evidence:
        if kind not in ONE_SIDED:
            total_w, total_wq = total_w + decayed * sums.w, total_wq + decayed * sums.wq
    liked = total_wq // total_w
    for kind, decayed, sums in evidence:
        if kind not in ONE_SIDED:
            continue
        # no heat lies below zero, and numerators must not
        moved_wq = max(sums.wq + OFFSET_MO[kind] * sums.w, 0)
        if (moved_wq < liked * sums.w) == (kind == "too_hot"):
            total_w, total_wq = total_w + decayed * sums.w, total_wq + decayed * moved_wq
    mean = min(total_wq // total_w, MAX_MO)
    return HeatState(mean, isqrt(PRECISION_UNIT * UNIT // total_w), _tolerance(mean, evidence))


def _tolerance(mean: int, evidence: Iterable[tuple[str, int, Sums]]) -> int:
    """Where it starts to hurt: the usual margin above the mean, which counts like one rating, and what did hurt below.

    What hurt above the usual margin was expected to, and says nothing.
    """
    usual = min(mean + ABOVE_TASTE_MO, MAX_MO)
    total_w, total_wq = USUAL_W * UNIT, usual * USUAL_W * UNIT
    for kind, decayed, sums in evidence:
        limit_wq = max(sums.wq - TOO_HOT_MARGIN_MO * sums.w, 0)
        if kind == "too_hot" and limit_wq < usual * sums.w:
            total_w, total_wq = total_w + decayed * sums.w, total_wq + decayed * limit_wq
    return max(total_wq // total_w, mean)


def read(profile: Profile, today: int, prior: Prior | None = None, decay: DecayTable | None = None) -> Reading:
    """A profile as it stands on the UTC day `today`: heat state, windows, flavours."""
    prior = prior or Prior()
    decay = decay or default_decay()
    return Reading(
        state=heat_state(profile, today, prior, decay),
        evidence=sum(sums.n for sums in profile.buckets.values()),
        windows=tuple(_window(profile, today, days) for days in WINDOWS_DAYS),
        flavours=_flavours(profile, today, decay),
    )


def _window(profile: Profile, today: int, days: int) -> Window:
    pours = w = wq = 0
    for key, sums in profile.buckets.items():
        if key.kind == "poured" and (key.day < 0 or 0 <= today - key.day < days):
            pours, w, wq = pours + sums.n, w + sums.w, wq + sums.wq
    return Window(days, pours, wq // w if w else None)


_LIKING: dict[Kind | str, int] = {"poured": 1, "just_right": 1, "more": 1, "too_hot": 0}
_SHRINK = 3
"""Pieces of evidence that a tag needs before it counts half."""


def _flavours(profile: Profile, today: int, decay: DecayTable) -> dict[str, float]:
    by_tag, whole = flavour_counts(profile, today, decay)
    return {tag: counted / whole for tag, counted in sorted(by_tag.items())}


def flavour_counts(profile: Profile, today: int, decay: DecayTable) -> tuple[dict[str, int], int]:
    """What each tag of what was poured and liked counts on `today`, and the whole of which it is a share."""
    by_tag: dict[str, int] = {}
    total = _SHRINK * UNIT
    for key, sums in profile.flavours.items():
        counted = decay.weight(key.day, today) * sums.n * _LIKING.get(key.kind, 0)
        by_tag[key.tag] = by_tag.get(key.tag, 0) + counted
        total += counted
    return by_tag, total
