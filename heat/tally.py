"""Sums of many events, counted in place: the algebra of `heat.profile` for whoever folds thousands in a second.

`Tally.add` gives what folding `contribution(...)` into a `Profile` gives; nothing is built for the single event.
"""

from __future__ import annotations

from collections.abc import Iterable

from heat.events import AnyData, BucketRow, FlavourRow, Kind, Poured, PourVoided, Rated, SessionClaimed, Stated
from heat.profile import BucketKey, FlavourKey, FlavourSums, Profile, Sums
from heat.scale import BANDS, band

BucketTotals = dict[tuple[str, int, Kind], list[int]]
"""(origin, day, kind) -> n, sum w, sum w*q, sum w*q*q, and a count for each band."""
FlavourTotals = dict[tuple[str, int, Kind, str], list[int]]
"""(origin, day, kind, tag) -> n, sum w."""


_N, _W, _WQ, _WQQ, _BANDS = range(5)
_WIDTH = _BANDS + BANDS
"""Integers of a bucket."""


def is_evidence(body: AnyData) -> bool:
    """Whether an event says anything of its subject's taste, or takes back what one said."""
    match body:
        case Poured() | Rated() | Stated() | PourVoided():
            return True
        case SessionClaimed():
            return any(row.n for row in body.buckets) or any(row.n for row in body.flavours)
        case _:
            return False


class Tally:
    """The sums of one subject, mutable. Sums that have fallen to zero are left out of its rows."""

    __slots__ = ("_buckets", "_flavours", "_taken_back")

    def __init__(self) -> None:
        self._buckets: BucketTotals = {}
        self._flavours: FlavourTotals = {}
        self._taken_back = False
        """Whether sums may have fallen to zero."""

    def add(self, body: AnyData, origin: str, day: int, sign: int = 1) -> None:
        """Add (or, with sign -1, take back) an event that `origin` took on the UTC day `day`."""
        self._taken_back |= sign < 0 or isinstance(body, PourVoided)
        match body:
            case Poured():
                self._evidence((origin, day, "poured"), body.heat.milli_octaves, sign * body.w, body.flavours)
            case Rated():
                self._evidence((origin, day, body.verdict), body.heat.milli_octaves, sign * body.w, body.flavours)
            case Stated():
                self._evidence((origin, day, "stated"), body.heat.milli_octaves, sign * body.w, ())
            case PourVoided():
                q, w = body.heat.milli_octaves, -sign * body.w
                self._evidence((origin, body.day, "poured"), q, w, body.flavours)
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
        result.buckets = {
            BucketKey(*key): Sums(n, w, wq, wqq, tuple(bands))
            for key, (n, w, wq, wqq, *bands) in self._buckets.items()
            if n or w or any(bands)
        }
        result.flavours = {FlavourKey(*key): FlavourSums(n, w) for key, (n, w) in self._flavours.items() if n or w}
        return result

    def dump(self) -> tuple[BucketTotals, FlavourTotals]:
        """The sums by key, for `load`: the cheapest form to keep. They are the tally's own: don't change them."""
        if self._taken_back:
            self._buckets = {key: sums for key, sums in self._buckets.items() if any(sums)}
            self._flavours = {key: sums for key, sums in self._flavours.items() if any(sums)}
            self._taken_back = False
        return self._buckets, self._flavours

    @classmethod
    def load(cls, buckets: BucketTotals, flavours: FlavourTotals) -> Tally:
        """The tally whose `dump()` this is; it takes them over."""
        result = cls()
        result._buckets, result._flavours = buckets, flavours
        return result
