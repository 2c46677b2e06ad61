"""The profile algebra: a customer's heat profile as integer sums in day buckets.

A bucket is `(origin, UTC day, kind of evidence)` and holds n, sum w, sum w*q, sum w*q*q and a count per heat band,
where q is a heat in milli-octaves and w an integer precision class. Flavours are rows `(origin, day, kind, tag)`.
Folding an event adds integers, so it is commutative, associative and exact: SQLite, SQL engines and Python reach
the same SHA-256 digest for the same events in any order. Nothing decays here; that happens when reading
(`heat.reading`).

Bounds: w <= 400 and q <= 19,932, so one event adds at most 1.6e11 to sum w*q*q: 56,000 events fit into one bucket
below 2**53 (JSON), 58 million below 2**63 (SQLite, Flink).
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import NamedTuple, get_args

from heat.events import (
    AnyData,
    BucketRow,
    ConsentChanged,
    FlavourRow,
    Impression,
    Kind,
    Poured,
    PourVoided,
    Rated,
    Refilled,
    Sampled,
    SequenceGap,
    SessionClaimed,
    Stated,
)
from heat.scale import BANDS, Heat, band

KINDS: tuple[Kind, ...] = get_args(Kind)

MAX_W = 400
"""The highest precision class: a standard deviation of 0.2 octave, what people can tell apart."""
SIGNAL_SD_MO: dict[Kind, int] = {"stated": 0, "poured": 1000, "too_hot": 800, "just_right": 500, "more": 800}
"""mo; how loosely a kind of evidence points at the preferred heat, on top of the heat's own uncertainty."""


class BucketKey(NamedTuple):
    """Where an event is summed."""

    origin: str
    day: int
    kind: Kind


class FlavourKey(NamedTuple):
    """Where a flavour of an event is summed."""

    origin: str
    day: int
    kind: Kind
    tag: str


class Sums(NamedTuple):
    """The sums of one bucket."""

    n: int
    w: int
    wq: int
    wqq: int
    bands: tuple[int, ...]


class FlavourSums(NamedTuple):
    """The sums of one flavour row."""

    n: int
    w: int


ZERO = Sums(0, 0, 0, 0, (0,) * BANDS)


def precision_class(kind: Kind, heat: Heat, dose_percent: int = 100) -> int:
    """The weight w (1..400) of one piece of evidence: 16 / variance in octaves, by integer arithmetic.

    `dose_percent` is below 100 where an earlier dose blunts the tongue (`heat.quality.dose_percent`).
    """
    variance = max(heat.sd_milli_octaves**2 + SIGNAL_SD_MO[kind] ** 2, 1)
    w = min((16_000_000 + variance // 2) // variance, MAX_W)
    return max(w * dose_percent // 100, 1)


class Profile:
    """The sums of one subject: buckets and flavour rows. Sums that have fallen to zero are gone."""

    __slots__ = ("buckets", "flavours")

    def __init__(self) -> None:
        self.buckets: dict[BucketKey, Sums] = {}
        self.flavours: dict[FlavourKey, FlavourSums] = {}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Profile) and self.buckets == other.buckets and self.flavours == other.flavours

    __hash__ = None  # type: ignore[assignment]  # mutable

    def add(self, key: BucketKey, sums: Sums, sign: int = 1) -> None:
        """Add (or, with sign -1, take back) the sums of one bucket."""
        old = self.buckets.get(key, ZERO)
        new = Sums(
            old.n + sign * sums.n,
            old.w + sign * sums.w,
            old.wq + sign * sums.wq,
            old.wqq + sign * sums.wqq,
            tuple(a + sign * b for a, b in zip(old.bands, sums.bands, strict=True)),
        )
        if new == ZERO:
            self.buckets.pop(key, None)
        else:
            self.buckets[key] = new

    def add_flavour(self, key: FlavourKey, sums: FlavourSums, sign: int = 1) -> None:
        """Add (or take back) the sums of one flavour row."""
        n, w = self.flavours.get(key, FlavourSums(0, 0))
        new = FlavourSums(n + sign * sums.n, w + sign * sums.w)
        if new == FlavourSums(0, 0):
            self.flavours.pop(key, None)
        else:
            self.flavours[key] = new

    def fold(self, other: Profile, sign: int = 1) -> None:
        """Merge another profile (or one event's contribution) into this one; sign -1 takes it back."""
        for key, sums in other.buckets.items():
            self.add(key, sums, sign)
        for flavour_key, flavour_sums in other.flavours.items():
            self.add_flavour(flavour_key, flavour_sums, sign)

    def moved(self, from_day: int, to_day: int) -> Profile:
        """This profile with everything of one day counted on another, as when a boot's wall time becomes known."""
        result = Profile()
        for key, sums in self.buckets.items():
            result.add(key._replace(day=to_day) if key.day == from_day else key, sums)
        for flavour_key, flavour_sums in self.flavours.items():
            to_key = flavour_key._replace(day=to_day) if flavour_key.day == from_day else flavour_key
            result.add_flavour(to_key, flavour_sums)
        return result

    def digest(self, origin: str | None = None) -> str:
        """SHA-256, in hex, of the profile's sorted rows; of one origin's rows if `origin` is given.

        A row is its fields in the order of the key and sums, separated by tabs, ended by a newline; buckets come
        before flavours, and the lines of each are sorted as bytes.
        """
        lines = sorted(
            f"b\t{k.origin}\t{k.day}\t{k.kind}\t{s.n}\t{s.w}\t{s.wq}\t{s.wqq}\t{','.join(map(str, s.bands))}\n"
            for k, s in self.buckets.items()
            if origin is None or k.origin == origin
        )
        lines += sorted(
            f"f\t{k.origin}\t{k.day}\t{k.kind}\t{k.tag}\t{s.n}\t{s.w}\n"
            for k, s in self.flavours.items()
            if origin is None or k.origin == origin
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def rows(self) -> tuple[tuple[BucketRow, ...], tuple[FlavourRow, ...]]:
        """The profile as the sorted rows that a `SessionClaimed` event carries."""
        buckets = tuple(BucketRow(*k, s.n, s.w, s.wq, s.wqq, s.bands) for k, s in sorted(self.buckets.items()))
        flavours = tuple(FlavourRow(*k, *s) for k, s in sorted(self.flavours.items()))
        return buckets, flavours


def merge(profiles: Iterable[Profile]) -> Profile:
    """One profile that holds the sums of all."""
    result = Profile()
    for profile in profiles:
        result.fold(profile)
    return result


def profile_of_rows(buckets: Iterable[BucketRow], flavours: Iterable[FlavourRow]) -> Profile:
    """The profile whose `rows()` these are."""
    result = Profile()
    # a row without events would be dropped or kept depending on what it meets
    for b in (row for row in buckets if row.n):
        result.add(BucketKey(b.origin, b.day, b.kind), Sums(b.n, b.w, b.wq, b.wqq, tuple(b.bands)))
    for f in (row for row in flavours if row.n):
        result.add_flavour(FlavourKey(f.origin, f.day, f.kind, f.tag), FlavourSums(f.n, f.w))
    return result


def negative(profile: Profile) -> Profile:
    """The profile that, merged with this one, leaves nothing."""
    result = Profile()
    result.fold(profile, -1)
    return result


def contribution(body: AnyData, origin: str, day: int) -> Profile:
    """What one event adds to its subject's profile; empty for events that are no evidence of taste.

    `origin` is who took the event (the gateway, app or survey), `day` its UTC day. A voided pour's is negative.
    """
    match body:
        case Poured():
            return _evidence(origin, day, "poured", body.heat, body.w, body.flavours)
        case Rated():
            return _evidence(origin, day, body.verdict, body.heat, body.w, body.flavours)
        case Stated():
            return _evidence(origin, day, "stated", body.heat, body.w, ())
        case SessionClaimed():
            return profile_of_rows(body.buckets, body.flavours)
        case PourVoided():
            return negative(_evidence(origin, body.day, "poured", body.heat, body.w, body.flavours))
        case Refilled() | Impression() | ConsentChanged() | SequenceGap() | Sampled():
            return Profile()


def _evidence(origin: str, day: int, kind: Kind, heat: Heat, w: int, tags: tuple[str, ...]) -> Profile:
    q = heat.milli_octaves
    in_band = band(q)
    result = Profile()
    bands = tuple(1 if b == in_band else 0 for b in range(BANDS))
    result.buckets[BucketKey(origin, day, kind)] = Sums(1, w, w * q, w * q * q, bands)
    for tag in tags:
        result.add_flavour(FlavourKey(origin, day, kind, tag), FlavourSums(1, w))
    return result
