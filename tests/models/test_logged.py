"""What an impression keeps is all that its features were made of."""

from __future__ import annotations

import msgspec
import numpy as np
from hypothesis import given

from heat.consistency import contradiction
from heat.events import Impression
from heat.reading import Reading
from models.features import Context, Menu, features
from models.logged import asked, known, offered
from tests.tasting import CONTEXTS, MENUS, SAUCES, reading, readings


def impression(reading: Reading, menu: Menu, context: Context) -> Impression:
    return Impression(
        store="s-1", region="r-1", channel="gateway", consent="profile", pick_id="p", dispenser="d", picks=(),
        candidates=menu.ids, ranker="rule", latency_us=1, catalog="2026-1", offered=offered(menu, context),
        known=known(reading, menu, context),
    )  # fmt: skip


@given(readings(), MENUS, CONTEXTS)
def test_the_event_alone_gives_the_very_same_features(reading: Reading, menu: Menu, context: Context) -> None:
    logged = impression(reading, menu, context)
    read = msgspec.json.decode(msgspec.json.encode(logged), type=Impression)
    assert contradiction(read, None, "gw-1", 20_416) is None
    again = asked(read)
    assert again is not None
    np.testing.assert_array_equal(features(*again), features(reading, menu, context), strict=True)


def test_what_no_feature_may_need_today_is_kept() -> None:
    menu = Menu(SAUCES[:3])
    pours = {SAUCES[1].id: 2.5, SAUCES[2].id: 0.0, SAUCES[9].id: 7.0}
    logged = impression(reading(), menu, Context(pours=pours, hour=21, temperature_c=-3.5))
    again = asked(logged)
    assert again is not None
    context = again[2]
    assert (context.pours, context.hour, context.temperature_c) == ({SAUCES[1].id: 2.5}, 21, -3.5)


def test_an_impression_of_before_kept_nothing() -> None:
    old = Impression(
        store="s-1", region="r-1", channel="gateway", consent="profile", pick_id="p", dispenser="d", picks=(),
        candidates=("table-red",), ranker="rule", latency_us=1,
    )  # fmt: skip
    assert asked(old) is None
