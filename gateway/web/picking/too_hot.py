"""How often picks were too hot: of the ratings among the last events, with what chance alone would make of it."""

from __future__ import annotations

import sqlite3
from collections import Counter
from math import sqrt
from typing import Annotated

from fastapi import APIRouter

from gateway.packed import unpack
from gateway.state import GatewayState
from gateway.web.answers import Answer, example
from gateway.web.records.reading import in_thread
from gateway.web.sentences import name_of
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer
from heat.events import Rated, read_data

router = APIRouter(prefix="/api/v1/picks", tags=["v1"])

EVENTS = 100_000
"""Of the last so many events the ratings are looked at: about three days of a busy gateway."""
_Z = 1.96
"""Standard deviations of the normal distribution: 95 %."""

_RATED = "SELECT CAST(data AS BLOB) FROM events WHERE position > (SELECT max(position) FROM events) - ? AND type = ?"


class Rate(Answer):
    """How many ratings were "too hot"."""

    rated: Annotated[int, example(120)]
    too_hot: Annotated[int, example(9)]
    share: Annotated[float | None, example(0.075)]
    """Null where nobody has rated anything."""
    low: Annotated[float, example(0.04)]
    """Wilson's interval, 95 %."""
    high: Annotated[float, example(0.14)]


class SauceRate(Rate):
    """That of a sauce."""

    sauce: Annotated[str, example("chipotle-honey")]
    name: Annotated[str, example("Chipotle Honey")]


class RankerRate(Rate):
    """That of what a ranker showed, ever since it came: of an experiment, one arm's."""

    ranker: Annotated[str, example("9f0c2f1be0a4")]
    arm: Annotated[str | None, example("challenger")]


class TooHot(Answer):
    """How often customers found it too hot."""

    all: Rate
    sauces: list[SauceRate]
    """The worst first."""
    rankers: list[RankerRate]
    events: Annotated[int, example(100000)]
    """Of the last so many events the ratings were looked at."""


@router.get("/too-hot")
async def too_hot(web: TheWeb, _who: Viewer) -> TooHot:
    """How often customers found it too hot: in all, by sauce, and by what had ranked."""
    return await read_too_hot(web)


async def read_too_hot(web: Web) -> TooHot:
    """As of now."""
    return await in_thread(web.state, lambda reader: _read(web.state, reader))


def _read(state: GatewayState, reader: sqlite3.Connection) -> TooHot:
    rated: Counter[str] = Counter()
    hot: Counter[str] = Counter()
    for (data,) in reader.execute(_RATED, (EVENTS, Rated.type)):
        event = read_data(Rated.type, unpack(data))
        if isinstance(event, Rated):
            rated[event.sauce] += 1
            hot[event.sauce] += event.verdict == "too_hot"
    sauces = [
        SauceRate(sauce=sauce, name=name_of(sauce, state.catalog), **rate(n, hot[sauce]).model_dump())
        for sauce, n in rated.items()
    ]
    sauces.sort(key=lambda one: (-one.low, one.sauce))
    return TooHot(all=rate(rated.total(), hot.total()), sauces=sauces, rankers=_rankers(state, reader), events=EVENTS)


def _rankers(state: GatewayState, reader: sqlite3.Connection) -> list[RankerRate]:
    rankers = state.recommender.rankers
    arms = {}
    if rankers.experiment is not None and rankers.before is not None:
        arms = {rankers.current.name: "challenger", rankers.before.name: "control"}
    rows = reader.execute("SELECT ranker, rated, too_hot FROM ranked ORDER BY rated DESC LIMIT 10")
    return [RankerRate(ranker=name, arm=arms.get(name), **rate(n, hot).model_dump()) for name, n, hot in rows]


def rate(n: int, hits: int) -> Rate:
    """A share of `n`, with Wilson's interval; what is impossible is cut off."""
    hits = min(max(hits, 0), n)
    if n <= 0:
        return Rate(rated=0, too_hot=0, share=None, low=0.0, high=1.0)
    share = hits / n
    middle = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Rate(
        rated=n,
        too_hot=hits,
        share=round(share, 4),
        low=round(max(middle - half, 0.0), 4),
        high=round(min(middle + half, 1.0), 4),
    )
