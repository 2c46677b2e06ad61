"""Sums of many events, counted in place: the algebra of `heat.profile` for whoever folds thousands in a second.

`Tally.add` gives what folding `contribution(...)` into a `Profile` gives; nothing is built for the single event.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from heat.events import AnyData, BucketRow, FlavourRow, Kind, Poured, Rated, SessionClaimed, Stated
from heat.profile import BucketKey, FlavourKey, FlavourSums, Profile, Sums
from heat.scale import BANDS, band

Row = list[Any]
"""A key, and then integers."""

_N, _W, _WQ, _WQQ, _BANDS = range(5)
_WIDTH = _BANDS + BANDS
"""Integers of a bucket: n, sum w, sum w*q, sum w*q*q, and a count for each band."""


def is_evidence(body: AnyData) -> bool:
    """Whether an event says anything of its subject's taste."""
    match body:
        case Poured() | Rated() | Stated():
            return True
        case SessionClaimed():
            return any(row.n for row in body.buckets) or any(row.n for row in body.flavours)
        case _:
            return False


class Tally:
    """The sums of one subject, mutable. Sums that have fallen to zero are left out of its rows."""

    __slots__ = ("_buckets", "_flavours")

    def __init__(self) -> None:
        self._buckets: dict[tuple[str, int, Kind], list[int]] = {}
        self._flavours: dict[tuple[str, int, Kind, str], list[int]] = {}

    def add(self, body: AnyData, origin: str, day: int, sign: int = 1) -> None:
        """Add (or, with sign -1, take back) an event that `origin` took on the UTC day `day`."""
        match body:
            case Poured():
                self._evidence((origin, day, "poured"), body.heat.milli_octaves, sign * body.w, body.flavours)
            case Rated():
                self._evidence((origin, day, body.verdict), body.heat.milli_octaves, sign * body.w, body.flavours)
            case Stated():
                self._evidence((origin, day, "stated"), body.heat.milli_octaves, sign * body.w, ())
            case SessionClaimed():
                self.add_rows(body.buckets, body.flavours, sign)
            case _:
                pass

    def _evidence(self, key: tuple[str, int, Kind], q: int, w: int, tags: tuple[str, ...]) -> None:
        sums = self._buckets.get(key)
        if sums is None:
            sums = self._buckets[key] = [0] * _WIDTH
        one = 1 if w > 0 else -1
        sums[_N] += one
        sums[_W] += w
        sums[_WQ] += w * q
        sums[_WQQ] += w * q * q
        sums[_BANDS + band(q)] += one
        for tag in tags:
            flavour_key = (*key, tag)
            flavour = self._flavours.get(flavour_key)
            if flavour is None:
                self._flavours[flavour_key] = [one, w]
            else:
                flavour[0] += one
                flavour[1] += w

    def add_rows(self, buckets: Iterable[BucketRow], flavours: Iterable[FlavourRow], sign: int = 1) -> None:
        """Add (or take back) sums; rows without events count nothing."""
        for b in buckets:
            if b.n:
                sums = self._buckets.setdefault((b.origin, b.day, b.kind), [0] * _WIDTH)
                for at, value in enumerate((b.n, b.w, b.wq, b.wqq, *b.bands)):
                    sums[at] += sign * value
        for f in flavours:
            if f.n:
                flavour = self._flavours.setdefault((f.origin, f.day, f.kind, f.tag), [0, 0])
                flavour[0] += sign * f.n
                flavour[1] += sign * f.w

    def rows(self) -> tuple[tuple[BucketRow, ...], tuple[FlavourRow, ...]]:
        """The sums as sorted rows, as `Profile.rows` gives them."""
        kept = sorted((key, sums) for key, sums in self._buckets.items() if any(sums))
        buckets = tuple(BucketRow(*key, n, w, wq, wqq, tuple(bands)) for key, (n, w, wq, wqq, *bands) in kept)
        flavours = tuple(FlavourRow(*key, *sums) for key, sums in sorted(self._flavours.items()) if any(sums))
        return buckets, flavours

    def profile(self) -> Profile:
        """The sums as a profile."""
        result = Profile()
        for key, (n, w, wq, wqq, *bands) in self._buckets.items():
            result.add(BucketKey(*key), Sums(n, w, wq, wqq, tuple(bands)))
        for flavour_key, (n, w) in self._flavours.items():
            result.add_flavour(FlavourKey(*flavour_key), FlavourSums(n, w))
        return result

    def dump(self) -> tuple[list[Row], list[Row]]:
        """Flat rows of bucket and flavour sums, keys first: the cheapest form to keep."""
        return (
            [[*key, *sums] for key, sums in self._buckets.items() if any(sums)],
            [[*flavour_key, *sums] for flavour_key, sums in self._flavours.items() if any(sums)],
        )

    @classmethod
    def load(cls, buckets: Iterable[Row], flavours: Iterable[Row]) -> Tally:
        """The tally whose `dump()` this is."""
        result = cls()
        result._buckets = {(row[0], row[1], row[2]): row[3:] for row in buckets}
        result._flavours = {(row[0], row[1], row[2], row[3]): row[4:] for row in flavours}
        return result
