"""Hypothesis strategies for events of taste."""

from __future__ import annotations

import json
from typing import Any

import msgspec
from hypothesis import strategies as st

from heat.events import AnyData, Poured, PourVoided, Rated, SessionClaimed, Stated, Verdict
from heat.profile import contribution, merge, precision_class
from heat.scale import MAX_SHU, Heat, heat_from_shu

ORIGINS = ("gw-1", "gw-2", "app")
PLACE: dict[str, Any] = {"store": "s-1", "region": "r-1", "channel": "dispenser", "consent": "profile"}
TAGS = ("smoky", "sweet", "garlic")
SHU = st.one_of(st.integers(0, 2000), st.integers(0, MAX_SHU), st.just(MAX_SHU))


def poured(shu: int, *, w: int | None = None, tags: tuple[str, ...] = (), sd_mo: int = 600) -> Poured:
    """A pour of a sauce of this many SHU."""
    heat = heat_from_shu(shu, source="label", sd_milli_octaves=sd_mo)
    weight = precision_class("poured", heat) if w is None else w
    return Poured(**PLACE, sauce="s", heat=heat, flavours=tags, w=weight, nozzle=1, volume_ul=3000, duration_ms=900)


def rated(shu: int, verdict: Verdict, *, w: int | None = None, tags: tuple[str, ...] = ()) -> Rated:
    """A verdict on a sauce of this many SHU."""
    heat = heat_from_shu(shu, source="label")
    weight = precision_class(verdict, heat) if w is None else w
    return Rated(**PLACE, sauce="s", heat=heat, flavours=tags, w=weight, verdict=verdict)


def stated(shu: int, *, w: int | None = None) -> Stated:
    """A stated preference of this many SHU."""
    heat: Heat = heat_from_shu(shu)
    return Stated(**PLACE, heat=heat, w=precision_class("stated", heat) if w is None else w, said=str(shu))


def voided(pour: Poured, day: int, identity: str = "d:00000001:1") -> PourVoided:
    """What takes a pour of that day back."""
    place = PLACE | {"channel": "gateway"}
    return PourVoided(
        **place, voided=identity, day=day, sauce=pour.sauce, heat=pour.heat, flavours=pour.flavours, w=pour.w,
        nozzle=pour.nozzle, volume_ul=pour.volume_ul, reason="test",
    )  # fmt: skip


_W = st.integers(1, 400)
_TAGS = st.lists(st.sampled_from(TAGS), unique=True, max_size=3).map(tuple)
_DIRECT: st.SearchStrategy[AnyData] = st.one_of(
    st.builds(lambda shu, w, tags: poured(shu, w=w, tags=tags), SHU, _W, _TAGS),
    st.builds(
        lambda shu, verdict, w, tags: rated(shu, verdict, w=w, tags=tags),
        SHU,
        st.sampled_from(("too_hot", "just_right", "more")),
        _W,
        _TAGS,
    ),
    st.builds(lambda shu, w: stated(shu, w=w), SHU, _W),
)
DAYS = st.one_of(st.integers(20_000, 20_006), st.just(-3))


def _claimed(parts: list[tuple[AnyData, str, int]]) -> SessionClaimed:
    buckets, flavours = merge(contribution(*part) for part in parts).rows()
    return SessionClaimed(**PLACE, session="s-d-00000001-1", buckets=buckets, flavours=flavours)


_PART = st.tuples(_DIRECT, st.sampled_from(ORIGINS), DAYS)
EVIDENCE: st.SearchStrategy[tuple[AnyData, str, int]] = st.one_of(
    _PART, st.tuples(st.lists(_PART, max_size=4).map(_claimed), st.sampled_from(ORIGINS), DAYS)
)
"""(data, origin, day): a pour, rating, statement or claimed session, in few buckets so that they collide."""


def plain(evidence: tuple[AnyData, str, int], subject: str = "p1-a") -> dict[str, Any]:
    """The evidence as the reference wants it."""
    body, origin, day = evidence
    return {
        "subject": subject,
        "origin": origin,
        "day": day,
        "type": body.type,
        "data": json.loads(msgspec.json.encode(body)),
    }
