"""Reading a profile: decay, windows, and the customer's heat state. Integer arithmetic throughout.

Sums are kept whole in `heat.profile`; age is applied here. A bucket k days old counts
`W[k] = round(2**30 * 2**(-k / half-life))`, a table shipped as data so that no engine recomputes it. W-weighted sums
overflow 64 bits (sum w*q of 1,100 sure verdicts on pure capsaicin does, sum w*q*q of two pours), so they are Python
ints here and DECIMAL(38,0) in SQL engines.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources
from math import inf, isqrt
from typing import Annotated

import msgspec

from heat.events import Kind
from heat.following import LATEST, Belief, Dose, Seen, follow, scatter
from heat.profile import Profile
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
    only where it raises it. Nor does what hurt high above the tolerance raise that.
    """
    total_w = max(PRECISION_UNIT * UNIT // prior.sd_mo**2, 1)
    total_wq = total_w * prior.mean_mo
    verdicts: list[_Verdict] = []
    for key, sums in profile.buckets.items():
        decayed = decay.weight(key.day, today)
        if key.kind in ONE_SIDED:
            verdicts.append((key.kind, decayed, sums.w, sums.wq))
        else:
            total_w, total_wq = total_w + decayed * sums.w, total_wq + decayed * sums.wq
    return _state(total_w, total_wq, verdicts)


def followed_state(profile: Profile, today: int, prior: Prior, decay: DecayTable, latest: Sequence[Dose]) -> HeatState:
    """The same of whom the last doses are known one by one: an abrupt change is followed (`heat.following`).

    `latest` are the newest pieces of this gateway's evidence, oldest first; what other stores saw since the first of
    them takes its place among them. A verdict counts as far as it is about the taste of today. Without doses this is
    `heat_state`.
    """
    latest, sums = _in_order(profile, latest)
    counted = [(dose, weight) for dose in latest if (weight := decay.weight(dose.day, today))]
    seen, about = _seen(counted)
    loose = scatter(seen)
    total_w = PRECISION_UNIT * UNIT / prior.sd_mo**2
    total_wq = total_w * prior.mean_mo
    earlier: list[tuple[Kind, int, int, int]] = []
    for (kind, day), (w, wq) in sums.items():
        decayed = decay.weight(day, today)
        if kind in ONE_SIDED:
            earlier.append((kind, decayed, w, wq))
        else:
            total_w, total_wq = total_w + decayed * w / loose, total_wq + decayed * wq / loose
    before = Belief(total_wq / total_w / 1000, 16 * UNIT / total_w)
    now = follow(before, [Seen(one.octaves, one.variance * loose, one.again) for one in seen])
    verdicts: list[_Verdict] = [(kind, decayed * now.steady, w, wq) for kind, decayed, w, wq in earlier]
    for (dose, weight), place in zip(counted, about, strict=True):
        if dose.kind in ONE_SIDED:
            todays = now.since[place] if place >= 0 else now.steady
            verdicts.append((dose.kind, weight * todays, dose.w, dose.w * dose.mo))
    total_w = 16 * UNIT / now.belief.variance
    return _state(total_w, total_w * now.belief.mean * 1000, verdicts)


_SumsByDay = dict[tuple[Kind, int], tuple[int, int]]
"""Sum w and sum w*q by kind and day."""


def _in_order(profile: Profile, latest: Sequence[Dose]) -> tuple[Sequence[Dose], _SumsByDay]:
    """The last doses by day, a newer day of other stores as one dose, as sure as its sums; and the sums of the rest."""
    sums = _earlier(profile, latest)
    first = min((dose.day for dose in latest if dose.day >= 0), default=None)
    elsewhere = [
        Dose(day, kind, wq // w, w) for (kind, day), (w, wq) in sums.items() if first is not None and day > first
    ]
    if not elsewhere:
        return latest, sums
    # of one day what was poured comes before what was said of it, and what happened here is the last
    elsewhere.sort(key=lambda dose: (dose.day, dose.kind != "poured"))
    doses = sorted([*elsewhere, *latest], key=lambda dose: dose.day if dose.day >= 0 else inf)
    for dose in elsewhere:
        del sums[dose.kind, dose.day]
    for dose in doses[:-LATEST]:
        w, wq = sums.get((dose.kind, dose.day), (0, 0))
        sums[dose.kind, dose.day] = w + dose.w, wq + dose.w * dose.mo
    return doses[-LATEST:], sums


def _seen(doses: Iterable[tuple[Dose, int]]) -> tuple[list[Seen], list[int]]:
    """The doses that say where taste lies; and of every dose, which of these is the last one up to it, or -1."""
    seen: list[Seen] = []
    about: list[int] = []
    before: Dose | None = None
    for dose, weight in doses:
        if dose.kind not in ONE_SIDED:
            again = dose.kind == "just_right" and before is not None and before.mo == dose.mo
            seen.append(Seen(dose.mo / 1000, 16 * UNIT / (dose.w * weight), again and bool(seen)))
        about.append(len(seen) - 1)
        before = dose
    return seen, about


def _earlier(profile: Profile, latest: Iterable[Dose]) -> _SumsByDay:
    """The profile's sums without the latest doses."""
    sums: _SumsByDay = {}
    for key, bucket in profile.buckets.items():
        w, wq = sums.get((key.kind, key.day), (0, 0))
        sums[key.kind, key.day] = w + bucket.w, wq + bucket.wq
    for dose in latest:
        w, wq = sums.get((dose.kind, dose.day), (0, 0))
        sums[dose.kind, dose.day] = w - dose.w, wq - dose.w * dose.mo
    return {place: (w, max(wq, 0)) for place, (w, wq) in sums.items() if w > 0}


_Verdict = tuple[Kind, float, int, int]
"""Kind, decayed weight, sum w and sum w*q of evidence that points one way."""


def _state(total_w: float, total_wq: float, verdicts: Sequence[_Verdict]) -> HeatState:
    """What is liked, moved by the verdicts that lie on their side of it. All numbers are ints, or none is."""
    hot = [_moved(verdict, OFFSET_MO["too_hot"]) for verdict in verdicts if verdict[0] == "too_hot"]
    more = [_moved(verdict, OFFSET_MO["more"]) for verdict in verdicts if verdict[0] == "more"]
    total_w, total_wq = _between(total_w, total_wq, hot, more)
    mean = min(int(total_wq // total_w), MAX_MO)
    # with nothing else known it hurts at the usual margin above the mean, which counts like one rating
    usual = min(mean + ABOVE_TASTE_MO, MAX_MO)
    hurt = [_moved(verdict, -TOO_HOT_MARGIN_MO) for verdict in verdicts if verdict[0] == "too_hot"]
    pain_w, pain_wq = _between(USUAL_W * UNIT, usual * USUAL_W * UNIT, hurt, [])
    tolerance = max(int(pain_wq // pain_w), mean)
    return HeatState(mean, isqrt(int(PRECISION_UNIT * UNIT // total_w)), tolerance)


def _moved(verdict: _Verdict, by_mo: int) -> tuple[float, float, float]:
    """Where a verdict points to, and its decayed sums there. No heat lies below zero, and numerators must not."""
    _, decayed, w, wq = verdict
    wq = max(wq + by_mo * w, 0)
    return wq / w, decayed * w, decayed * wq


def _between(
    total_w: float,
    total_wq: float,
    caps: list[tuple[float, float, float]],
    floors: list[tuple[float, float, float]],
) -> tuple[float, float]:
    """Sums with those caps that lie below their mean, and those floors above it, each with (mo, w, wq).

    It is the least-squares mean where only what lies above a cap, or below a floor, is an error: the lowest caps and
    the highest floors are taken until the mean lies between the rest. So another cap never raises it.
    """
    caps.sort(reverse=True)
    floors.sort()
    while True:
        if caps and caps[-1][2] * total_w < total_wq * caps[-1][1]:
            _, w, wq = caps.pop()
        elif floors and floors[-1][2] * total_w > total_wq * floors[-1][1]:
            _, w, wq = floors.pop()
        else:
            return total_w, total_wq
        total_w, total_wq = total_w + w, total_wq + wq


def read(
    profile: Profile,
    today: int,
    prior: Prior | None = None,
    decay: DecayTable | None = None,
    latest: Sequence[Dose] = (),
) -> Reading:
    """A profile as it stands on the UTC day `today`: heat state, windows, flavours.

    `latest` are the last doses at this gateway in their order, where they are known: then an abrupt change is followed.
    """
    prior = prior or Prior()
    decay = decay or default_decay()
    return Reading(
        state=followed_state(profile, today, prior, decay, latest)
        if latest
        else heat_state(profile, today, prior, decay),
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
