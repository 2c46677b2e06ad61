"""What is odd about a customer's sums, judged when reading them: flags, which never drop anything.

A flag is a function of the sums of the last 90 days, so it is the same whatever order events came in, and it goes by
itself when its reason has aged out of the window. Evidence of no known day is not judged.

**An abrupt change** is told at the ends of the 7- and 30-day windows: what is younger against the rest of the 90 days,
by what was stated, poured or just right, which lies on the preferred heat. With the sums n, w, wq, wqq of either side
and their weighted means m:

    (m1 - m2)**2 > 9 * noise        noise = max(16,000,000 / w1 + 16,000,000 / w2, s2 / n1 + s2 / n2)

The first noise is what the evidence itself claims (w is a precision: 16 is one octave), the second what the customer
shows: s2 is the variance about the two means, pooled. So neither who pours at random is told to have changed, nor who
always pours one sauce and then its neighbour. 9 is three standard deviations.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple, get_args

from heat.events import Kind
from heat.profile import Sums
from heat.reading import ONE_SIDED, PRECISION_UNIT, WINDOWS_DAYS

Flag = Literal["turned_hotter", "turned_milder", "crowded_day", "wide_taste", "says_otherwise"]
FLAGS: tuple[Flag, ...] = get_args(Flag)
"""A change, up or down; more pours on a day than one person's; a taste as wide as that of several people; a stated heat
far from what is poured: of a token that goes from hand to hand, all three."""

LEAST_RECENT, LEAST_EARLIER = 3, 5
"""Pieces of evidence on either side of a change: with fewer, a dinner guest would be one."""
DEVIATIONS_SQUARED = 9
LEAST_CHANGE_MO = 600
"""mo; laboratories disagree by as much about one sauce, so a new label may move a customer as far."""
CROWDED_POURS = 40
"""Pours of one day: a customer who takes ten dishes takes some twenty."""
WIDE_SD_MO = 3500
"""mo; the sd of all heats that shops sell, mild to extract, is about this: one who pours so has no preference."""
LEAST_WIDE = 10
APART_MO = 4000
"""mo; sixteen times the capsaicin: two words of the table apart."""
LEAST_POURS = 5


class Dated(NamedTuple):
    """The sums of one bucket, and how many days ago they were, 0..89."""

    age: int
    kind: Kind
    sums: Sums


class Weighed(NamedTuple):
    """Sums without bands."""

    n: int
    w: int
    wq: int
    wqq: int

    @property
    def mean_mo(self) -> int:
        """The weighted mean, rounded down. There must be evidence."""
        return self.wq // self.w

    @property
    def spread(self) -> int:
        """Sum of w * (q - mean)**2, rounded down. Never negative, since numbers from afar may be no real sums."""
        return max(self.wqq - self.wq**2 // self.w, 0)


def weigh(evidence: Iterable[Sums]) -> Weighed:
    """The sums of all."""
    n = w = wq = wqq = 0
    for sums in evidence:
        n, w, wq, wqq = n + sums.n, w + sums.w, wq + sums.wq, wqq + sums.wqq
    return Weighed(n, w, wq, wqq)


def flags(evidence: Sequence[Dated]) -> tuple[Flag, ...]:
    """What is odd about the last 90 days, in the order of `FLAGS`."""
    found = {*_changes(evidence)}
    if _pours_of_fullest_day(evidence) > CROWDED_POURS:
        found.add("crowded_day")
    poured = weigh(part.sums for part in evidence if part.kind == "poured")
    stated = weigh(part.sums for part in evidence if part.kind == "stated")
    if poured.n >= LEAST_WIDE and poured.w and poured.spread > WIDE_SD_MO**2 * poured.w:
        found.add("wide_taste")
    if poured.n >= LEAST_POURS and poured.w and stated.w and abs(poured.mean_mo - stated.mean_mo) > APART_MO:
        found.add("says_otherwise")
    return tuple(flag for flag in FLAGS if flag in found)


def _changes(evidence: Sequence[Dated]) -> Iterable[Flag]:
    liked = [part for part in evidence if part.kind not in ONE_SIDED]
    for days in WINDOWS_DAYS[:-1]:
        recent = weigh(part.sums for part in liked if part.age < days)
        earlier = weigh(part.sums for part in liked if part.age >= days)
        if has_changed(recent, earlier):
            yield "turned_hotter" if recent.mean_mo > earlier.mean_mo else "turned_milder"


def has_changed(recent: Weighed, earlier: Weighed) -> bool:
    """Whether the means lie further apart than noise would bring them."""
    if recent.n < LEAST_RECENT or earlier.n < LEAST_EARLIER or not (recent.w and earlier.w):
        return False
    gap = abs(recent.mean_mo - earlier.mean_mo)
    claimed = PRECISION_UNIT // recent.w + PRECISION_UNIT // earlier.w
    n = recent.n + earlier.n
    # two means were taken out of these n
    variance = (recent.spread + earlier.spread) * n // ((recent.w + earlier.w) * (n - 2))
    shown = variance // recent.n + variance // earlier.n
    return gap >= LEAST_CHANGE_MO and gap**2 > DEVIATIONS_SQUARED * max(claimed, shown)


def _pours_of_fullest_day(evidence: Sequence[Dated]) -> int:
    by_age: dict[int, int] = {}
    for part in evidence:
        if part.kind == "poured":
            by_age[part.age] = by_age.get(part.age, 0) + part.sums.n
    return max(by_age.values(), default=0)
