"""Readings, menus and contexts for tests of the ranker."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from heat.catalog import Sauce, default_catalog
from heat.reading import WINDOWS_DAYS, HeatState, Prior, Reading, Window
from heat.scale import MAX_MO, default_words
from models.bundle import load, pretrained
from models.features import FEATURES, Context, Menu
from models.ranker import LinearRanker

CATALOG = default_catalog()
SAUCES = tuple(CATALOG.values())
WEIGHTS = load(pretrained()).manifest.weights


def sauce(sauce_id: str, shu: int, flavours: tuple[str, ...] = (), popularity: int = 0) -> Sauce:
    """A sauce."""
    return Sauce(id=sauce_id, name=sauce_id, shu=shu, flavours=flavours, popularity=popularity)


def reading(
    mean_mo: int = Prior().mean_mo,
    sd_mo: int = Prior().sd_mo,
    tolerance_mo: int | None = None,
    evidence: int = 0,
    recent_mo: int | None = None,
    flavours: dict[str, float] | None = None,
) -> Reading:
    """A reading; the prior's, if nothing is said."""
    return Reading(
        state=HeatState(mean_mo, sd_mo, mean_mo + 2000 if tolerance_mo is None else tolerance_mo),
        evidence=evidence,
        windows=tuple(Window(days, int(recent_mo is not None), recent_mo) for days in WINDOWS_DAYS),
        flavours=flavours or {},
    )


@st.composite
def readings(draw: st.DrawFn) -> Reading:
    """Any reading that can be."""
    mean = draw(st.integers(0, MAX_MO))
    return reading(
        mean_mo=mean,
        sd_mo=draw(st.integers(0, 2500)),
        tolerance_mo=draw(st.integers(mean, MAX_MO)),
        evidence=draw(st.integers(0, 50)),
        recent_mo=draw(st.none() | st.integers(0, MAX_MO)),
        flavours=draw(st.dictionaries(st.sampled_from(CATALOG.flavours), st.floats(0, 1, width=32))),
    )


MENUS = st.lists(st.sampled_from(SAUCES), min_size=1, max_size=12, unique_by=lambda one: one.id).map(Menu)
CONTEXTS = st.builds(
    Context,
    dial=st.none() | st.integers(0, 100).map(default_words().dial),
    mood=st.sampled_from((None, "mellow", "usual", "bold", "hangry")),
    popularity=st.none() | st.dictionaries(st.sampled_from(list(CATALOG)), st.floats(0, 1e6)),
    last_poured=st.none() | st.sampled_from(SAUCES),
    last_verdict=st.sampled_from((None, "too_hot", "just_right", "more")),
    pours=st.none() | st.dictionaries(st.sampled_from(list(CATALOG)), st.floats(0, 1e6), max_size=5),
    hour=st.none() | st.integers(0, 23),
    temperature_c=st.none() | st.floats(-60, 60),
    new=st.frozensets(st.sampled_from(list(CATALOG)), max_size=3),
)


def unsure(scale: float = 1.0, seed: int = 1, members: int = 64) -> LinearRanker:
    """The shipped weights, which may be wrong by about `scale` each."""
    drawn = np.random.default_rng(seed).normal(scale=scale, size=(members, len(FEATURES)))
    return LinearRanker(f"unsure-{seed}", WEIGHTS, drawn.astype(np.float32))
