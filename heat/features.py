"""A profile as features of one day: what models, shops and analysts read of a customer. Integer arithmetic throughout.

The windows end on `as_of_day`, so those of a silent customer empty without an event; who keeps features asks
`next_change_day` when to look again. What decays is told in steps coarser than anyone could taste, so that a customer
who stays away is published every few days and not daily; whoever needs it to the milli-octave has the profile.

Evidence of no known day is in no window, since it would never leave; it counts in the heat state, whole.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import msgspec
from msgspec import Meta

from heat.changes import Dated, flags
from heat.events import Count, Day
from heat.profile import KINDS, Profile
from heat.reading import (
    WINDOWS_DAYS,
    DecayTable,
    Prior,
    default_decay,
    flavour_counts,
    heat_state,
)
from heat.scale import BANDS, MAX_MO

STEP_MO = 100
"""mo; half of what people can tell apart."""
STEP_PERCENT = 5
TOP_FLAVOURS = 5
LOOK_AHEAD_DAYS = 8
"""How many of the days to come `next_change_day` reads: it costs a heat state each."""

MilliOctaves = Annotated[int, Meta(ge=0, le=MAX_MO)]


class KindCounts(msgspec.Struct, frozen=True, kw_only=True):
    """Pieces of evidence of each kind (`heat.profile.KINDS`)."""

    stated: Count = 0
    poured: Count = 0
    too_hot: Count = 0
    just_right: Count = 0
    more: Count = 0


class FeatureWindow(msgspec.Struct, frozen=True, kw_only=True):
    """The last `days` days, the day of the features included."""

    days: int
    n: KindCounts
    pour_days: Count
    """Days on which something was poured."""
    mean_mo: MilliOctaves | None
    """Weighted mean heat of what was poured, rounded down."""
    bands: tuple[Count, ...]
    """Pours by heat band."""


class FlavourShare(msgspec.Struct, frozen=True, array_like=True):
    """A flavour, and its share of what was poured and liked in percent, shrunk where there is little evidence."""

    tag: str
    percent: Annotated[int, Meta(ge=0, le=100)]


class Features(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a customer on one day."""

    as_of_day: Day
    evidence: Count
    """Pieces of evidence in the profile, whatever their age."""
    last_day: Day | None
    """UTC day of the newest evidence of a known day."""
    mean_mo: MilliOctaves
    """Preferred heat, decayed, to the next 100; so are its uncertainty and the heat above which it hurts."""
    sd_mo: MilliOctaves
    tolerance_mo: MilliOctaves
    windows: tuple[FeatureWindow, ...]
    """Of 7, 30 and 90 days."""
    flavours: tuple[FlavourShare, ...]
    """The largest shares first, five at most, to the next 5 percent."""
    flags: tuple[str, ...]
    """What is odd (`heat.changes`). Text, not a list of words: a reader takes flags that are newer than itself."""


def features(profile: Profile, as_of_day: int, prior: Prior | None = None, decay: DecayTable | None = None) -> Features:
    """The features of a profile on a UTC day (days since 1970-01-01)."""
    prior, decay = prior or Prior(), decay or default_decay()
    recent = _recent(profile, as_of_day)
    mean, sd, tolerance, flavours = _decayed(profile, as_of_day, prior, decay)
    return Features(
        as_of_day=as_of_day,
        evidence=sum(sums.n for sums in profile.buckets.values()),
        last_day=max((key.day for key in profile.buckets if key.day >= 0), default=None),
        mean_mo=mean,
        sd_mo=sd,
        tolerance_mo=tolerance,
        windows=tuple(_window(recent, days) for days in WINDOWS_DAYS),
        flavours=flavours,
        flags=flags(recent),
    )


def next_change_day(
    profile: Profile, as_of_day: int, prior: Prior | None = None, decay: DecayTable | None = None
) -> int | None:
    """A day until which, without new events, the features stay what they are on `as_of_day`.

    On the day itself they mostly differ; it is never later than the first on which they do. None: they never will.
    """
    prior, decay = prior or Prior(), decay or default_decay()
    days = {key.day for key in profile.buckets} | {key.day for key in profile.flavours}
    days = {day for day in days if day >= 0}
    if not any(as_of_day - day < len(decay.weights) for day in days):
        return None
    ends = [day + age for day in days for age in (0, *WINDOWS_DAYS) if day + age > as_of_day]
    last = min([as_of_day + LOOK_AHEAD_DAYS, *ends])
    now = _decayed(profile, as_of_day, prior, decay)
    return next((day for day in range(as_of_day + 1, last) if _decayed(profile, day, prior, decay) != now), last)


def _recent(profile: Profile, as_of_day: int) -> list[Dated]:
    return [
        Dated(as_of_day - key.day, key.kind, sums)
        for key, sums in profile.buckets.items()
        if key.day >= 0 and 0 <= as_of_day - key.day < WINDOWS_DAYS[-1]
    ]


def _window(recent: Iterable[Dated], days: int) -> FeatureWindow:
    n = dict.fromkeys(KINDS, 0)
    ages: set[int] = set()
    bands = [0] * BANDS
    w = wq = 0
    for age, kind, sums in recent:
        if age >= days:
            continue
        n[kind] += sums.n
        if kind == "poured":
            ages.add(age)
            w, wq = w + sums.w, wq + sums.wq
            bands = [a + b for a, b in zip(bands, sums.bands, strict=True)]
    mean = wq // w if w else None
    return FeatureWindow(days=days, n=KindCounts(**n), pour_days=len(ages), mean_mo=mean, bands=tuple(bands))


def _decayed(
    profile: Profile, day: int, prior: Prior, decay: DecayTable
) -> tuple[int, int, int, tuple[FlavourShare, ...]]:
    """Mean, deviation and tolerance in mo, and the flavours: what changes with a day even within the windows."""
    state = heat_state(profile, day, prior, decay)
    by_tag, whole = flavour_counts(profile, day, decay)
    largest = sorted(by_tag, key=lambda tag: (-by_tag[tag], tag))[:TOP_FLAVOURS]
    shares = (FlavourShare(tag, _to_step(100 * by_tag[tag] // whole, STEP_PERCENT)) for tag in largest)
    mean, sd, tolerance = (_to_step(mo, STEP_MO) for mo in (state.mean_mo, state.sd_mo, state.tolerance_mo))
    return mean, sd, tolerance, tuple(share for share in shares if share.percent)


def _to_step(value: int, step: int) -> int:
    return (value + step // 2) // step * step
