"""What came of an impression."""

from __future__ import annotations

from typing import Any

import pytest

from heat.events import Impression, ShownPick, Verdict
from models.outcomes import Outcome, outcome

PLACE: dict[str, Any] = {"store": "lyon-2", "region": "eu", "channel": "dispenser", "consent": "session"}
SHOWN = Impression(
    **PLACE,
    pick_id="pick-1",
    dispenser="hot-bar-1",
    picks=tuple(
        ShownPick(slot=slot, nozzle=slot, sauce=sauce, milli_octaves=8000, score=0.0, propensity=0.5)
        for slot, sauce in enumerate(("ancho", "bird"), 1)
    ),
    candidates=("ancho", "bird", "cayenne", "datil"),
    ranker="rule",
    latency_us=1,
)


@pytest.mark.parametrize(
    ("poured", "kind", "sauce", "slot"),
    [
        ({}, "abandoned", None, None),
        ({"ancho": 0}, "abandoned", None, None),
        ({"bird": 1000}, "poured", "bird", 2),
        ({"bird": 999}, "tasted", "bird", 2),
        ({"ancho": 1200, "bird": 4000}, "poured", "bird", 2),
        ({"ancho": 400, "bird": 300}, "tasted", "ancho", 1),
        ({"cayenne": 3000}, "elsewhere", "cayenne", None),
        ({"cayenne": 200}, "elsewhere", "cayenne", None),
        # what was shown counts first, a portion before a taster
        ({"ancho": 1000, "cayenne": 9000}, "poured", "ancho", 1),
        ({"ancho": 500, "cayenne": 3000}, "elsewhere", "cayenne", None),
        ({"ancho": 500, "cayenne": 700}, "tasted", "ancho", 1),
        # no sauce for itself is a portion
        ({"ancho": 600, "bird": 600}, "tasted", "bird", 2),
    ],
)
def test_outcomes_are_told_apart(poured: dict[str, int], kind: str, sauce: str | None, slot: int | None) -> None:
    found = outcome(SHOWN, poured, ())
    assert (found.kind, found.sauce, found.slot, found.verdict, found.too_hot) == (kind, sauce, slot, None, False)


def test_the_last_verdict_on_the_poured_sauce_counts_and_too_hot_about_any() -> None:
    said: list[tuple[str, Verdict]] = [("bird", "more"), ("ancho", "too_hot"), ("bird", "just_right")]
    assert outcome(SHOWN, {"bird": 2000}, said) == Outcome("poured", "bird", 2, "just_right", too_hot=True)
    assert outcome(SHOWN, {"bird": 2000}, said[:1]) == Outcome("poured", "bird", 2, "more")
    assert outcome(SHOWN, {}, said) == Outcome("abandoned", too_hot=True)
    elsewhere = Outcome("elsewhere", "datil", None, "too_hot", too_hot=True)
    assert outcome(SHOWN, {"datil": 2000}, [("datil", "too_hot")]) == elsewhere
