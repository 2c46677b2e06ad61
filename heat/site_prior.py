"""What a site's customers were found to like -> what is believed of the next one before they did anything. Pure.

A bar by the sea and a taqueria have other strangers. Of each customer with enough evidence at this site the mean of
what they like is taken; the prior's mean and variance are those of these means, less the noise that each one's own
evidence has, and drawn towards the brand's prior by as many customers as that is worth.

A gateway learns it from its store (`gateway.site_prior`), the simulation from its crowd.
"""

from __future__ import annotations

from collections.abc import Iterable
from math import isqrt

import msgspec

from heat.reading import PRECISION_UNIT, Prior

LIKED = ("stated", "poured", "just_right")
"""Kinds of evidence that lie on what is liked; verdicts that point one way don't."""
LEAST_EVIDENCE = 5
"""Pieces of evidence of a customer who counts."""
LEAST_CUSTOMERS = 20
"""Customers, without whom it is the brand's prior. That counts as many."""
NARROWEST_MO, WIDEST_MO = 1000, 4000
"""mo; customers of no site are so alike, or so different, that a stranger's own doses should count no more or less."""


class SitePrior(msgspec.Struct, frozen=True):
    """What was learned, and of how many."""

    mean_mo: int
    sd_mo: int
    customers: int


def learn(customers: Iterable[tuple[int, int]], brand: Prior) -> SitePrior | None:
    """The prior of a site with these customers, each with sum w and sum w*q; None where they are too few."""
    likings = [(wq // w, PRECISION_UNIT // w) for w, wq in customers if w > 0]
    n = len(likings)
    if n < LEAST_CUSTOMERS:
        return None
    mean = sum(liked for liked, _ in likings) // n
    # what evidence itself is unsure by is no difference between customers
    spread = sum((liked - mean) ** 2 for liked, _ in likings) // (n - 1) - sum(noise for _, noise in likings) // n
    spread = max(spread, NARROWEST_MO**2)
    drawn = (n * mean + LEAST_CUSTOMERS * brand.mean_mo) // (n + LEAST_CUSTOMERS)
    apart = n * LEAST_CUSTOMERS * (mean - brand.mean_mo) ** 2 // (n + LEAST_CUSTOMERS) ** 2
    variance = (n * spread + LEAST_CUSTOMERS * brand.sd_mo**2) // (n + LEAST_CUSTOMERS) + apart
    return SitePrior(drawn, min(max(isqrt(variance), NARROWEST_MO), WIDEST_MO), n)
