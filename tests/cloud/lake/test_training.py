"""Rows that a ranker learns from are as of their pick: whatever comes later changes nothing of what was known then."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from cloud.lake.lake import Lake
from cloud.lake.query import connected
from cloud.lake.training import COLUMNS, TrainingRows
from cloud_sync.envelope import encode
from cloud_sync.record import Consumed
from cloud_sync.topics import CLOUDEVENT, CONTENT_TYPE, EVENTS
from heat.catalog import default_catalog
from heat.events import AnyData, Impression, Poured, PourVoided, Rated, ShownPick, Stated
from heat.profile import Profile, contribution
from heat.reading import read
from heat.scale import heat_from_shu
from models.features import COLUMN, FEATURES, SCHEMA, Context, Menu, features
from models.logged import known, offered
from models.outcomes import VISIT_MS
from tests.cloud.lake.records import RECEIVED_MS, consumed, opened, put
from tests.cloud.lake.weather import HOUR_MS, context, told
from tests.cloud_sync.examples import DAY, GATEWAY, HEAT, POURED, TIME_MS, stored

MENU = Menu(list(default_catalog().values())[:4])
SHOWN, OTHER, *_ = MENU.ids
PLACE: dict[str, Any] = {"store": "lyon-2", "region": "eu", "channel": "gateway", "consent": "profile"}
ALWAYS = (date(1970, 1, 1), date(9999, 12, 31))


def stated(shu: int) -> Stated:
    return Stated(**{**PLACE, "channel": "dispenser"}, heat=heat_from_shu(shu), w=100, said=str(shu))


def profile_of(*events: AnyData) -> Profile:
    profile = Profile()
    for data in events:
        profile.fold(contribution(data, GATEWAY, DAY))
    return profile


def shown(profile: Profile, pick_id: str = "pick-1") -> Impression:
    reading, context = read(profile, DAY), Context()
    picks = (ShownPick(slot=1, nozzle=2, sauce=SHOWN, milli_octaves=7300, score=0.25, propensity=0.9),)
    return Impression(
        **PLACE, pick_id=pick_id, dispenser="hot-bar-1", picks=picks, candidates=MENU.ids, ranker="rule",
        latency_us=4100, catalog="2026-1", offered=offered(MENU, context), known=known(reading, MENU, context),
    )  # fmt: skip


def poured(sauce: str, volume_ul: int, pick_id: str | None = "pick-1") -> Poured:
    return Poured(
        **{**PLACE, "channel": "dispenser"}, sauce=sauce, heat=HEAT, flavours=("smoky",), w=16, nozzle=2,
        volume_ul=volume_ul, duration_ms=1200, pick_id=pick_id,
    )  # fmt: skip


def rated(sauce: str, verdict: Any) -> Rated:
    return Rated(
        **{**PLACE, "channel": "kiosk"}, sauce=sauce, heat=HEAT, flavours=(), w=8, verdict=verdict, pick_id="pick-1"
    )


def rows(lake: Lake, since: date = ALWAYS[0], until: date = ALWAYS[1]) -> list[dict[str, Any]]:
    with connected(lake) as connection:
        result: list[dict[str, Any]] = TrainingRows(connection, since, until).reader().read_all().to_pylist()
        return result


def test_the_weather_of_the_picks_hour_is_beside_it_or_missing(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    put(lake, [consumed(0, shown(profile_of(stated(500))))])
    shown_ms = int(rows(lake)[0]["time"].timestamp() * 1000)
    later, there = shown_ms + HOUR_MS, context(shown_ms, centi_celsius=-350, humidity_percent=80, weather="Rain")
    put(lake, [told(0, context(later, weather="Snow")), told(1, context(shown_ms, "porto-1", weather="Fog"))])
    assert {(row["celsius"], row["weather"]) for row in rows(lake)} == {(None, None)}
    put(lake, [told(2, there), told(3, there)])
    found = rows(lake)
    assert len(found) == len(MENU.ids)
    assert {(row["celsius"], row["humidity_percent"], row["weather"]) for row in found} == {(-3.5, 80, "Rain")}


def test_a_row_a_candidate_with_what_was_known_and_what_came_of_it(tmp_path: Path) -> None:
    lake, mild = opened(tmp_path), profile_of(stated(500))
    log: list[AnyData] = [
        shown(mild),
        poured(SHOWN, 3000),
        poured(SHOWN, 500),
        rated(SHOWN, "more"),
        rated(SHOWN, "just_right"),
    ]
    put(lake, [consumed(offset, data) for offset, data in enumerate(log)])
    found = rows(lake)
    assert [row["sauce"] for row in found] == list(MENU.ids)
    first, second = found[:2]
    assert (first["slot"], first["propensity"], first["score"]) == (1, 0.9, 0.25)
    assert (first["poured_ul"], first["verdict"]) == (3500, "just_right")
    assert (second["slot"], second["poured_ul"], second["verdict"]) == (None, 0, None)
    wanted = features(read(mild, DAY), MENU, Context())
    np.testing.assert_array_equal(
        np.array([[row[f"f_{name}"] for name in FEATURES] for row in found], np.float32), wanted
    )


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 0, 2, 1)])
def test_a_pour_that_was_taken_back_is_no_choice(tmp_path: Path, order: tuple[int, ...]) -> None:
    lake = opened(tmp_path)
    ghost = poured(SHOWN, 9_000)
    log: list[AnyData] = [shown(profile_of(stated(500))), ghost, poured(SHOWN, 2_000), _taken_back(ghost, sequence=2)]
    records = [consumed(offset, data) for offset, data in enumerate(log)]
    put(lake, [records[number] for number in order])
    assert [(row["poured_ul"], row["outcome"]) for row in rows(lake) if row["sauce"] == SHOWN] == [(2_000, "poured")]


def _taken_back(ghost: Poured, sequence: int) -> PourVoided:
    return PourVoided(
        **PLACE, voided=f"hot-bar-1:5e3a09c1:{sequence}", day=DAY, sauce=ghost.sauce, heat=ghost.heat,
        flavours=ghost.flavours, w=ghost.w, nozzle=ghost.nozzle, volume_ul=ghost.volume_ul, reason="test",
    )  # fmt: skip


def at(ms: int, offset: int, data: AnyData, **changes: Any) -> Consumed:
    """An event of so many ms after the first pick."""
    record = encode(stored(data, offset + 1, time_ms=TIME_MS + ms, **changes))
    return Consumed(EVENTS.name, 0, offset, RECEIVED_MS, record.key, record.value, ((CONTENT_TYPE, CLOUDEVENT),))


def outcomes(lake: Lake) -> dict[str, tuple[str | None, dict[str, int]]]:
    """By pick: what came of it, and what was poured."""
    found: dict[str, tuple[str | None, dict[str, int]]] = {}
    for row in rows(lake):
        kind, poured_ul = found.setdefault(row["pick_id"], (row["outcome"], {}))
        assert kind == row["outcome"]
        if row["poured_ul"]:
            poured_ul[row["sauce"]] = row["poured_ul"]
    return found


def test_what_names_no_pick_follows_the_last_one_of_the_same_visit(tmp_path: Path) -> None:
    lake, told = opened(tmp_path), "p1-" + "b" * 32
    put(
        lake,
        [
            at(0, 0, shown(Profile())),
            at(20_000, 1, shown(Profile(), "pick-2")),
            at(30_000, 2, shown(Profile(), "pick-3"), subject=told),
            at(40_000, 3, poured(OTHER, 4000, None)),
            at(20_000 + VISIT_MS, 4, poured(OTHER, 5000, None)),  # of a later visit
            at(50_000, 5, poured(SHOWN, 300, "pick-3"), subject=told),
            at(60_000, 6, poured(OTHER, 700, None), subject=None),
        ],
    )
    found = outcomes(lake)
    assert (found["pick-1"], found["pick-2"]) == (("abandoned", {}), ("elsewhere", {OTHER: 4000}))
    assert found["pick-3"] == (None, {SHOWN: 300}), "more may be told of this visit"
    put(lake, [at(30_000 + VISIT_MS, 7, stated(500))])
    assert outcomes(lake) == {**found, "pick-3": ("tasted", {SHOWN: 300})}


def test_a_profile_that_changes_later_changes_no_row(tmp_path: Path) -> None:
    lake, mild = opened(tmp_path), profile_of(stated(500))
    put(lake, [consumed(0, stated(500)), consumed(1, shown(mild)), consumed(2, poured(SHOWN, 3000))])
    before = rows(lake)
    later = [stated(300_000) for _ in range(5)]
    put(lake, [consumed(3 + offset, data) for offset, data in enumerate(later)])
    assert rows(lake) == before
    put(lake, [consumed(8, shown(profile_of(stated(500), *later), "pick-2"))])
    again = rows(lake)
    assert again[:4] == before  # and the profile of now would have said something else:
    assert again[4]["f_gap"] < before[0]["f_gap"] - 1
    assert COLUMN["gap"] == 0


def test_what_the_lake_has_twice_counts_once(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    records = [consumed(0, shown(Profile())), consumed(1, poured(SHOWN, 3000))]
    again = [Consumed(r.topic, r.partition, r.offset + 2, r.timestamp_ms, r.key, r.value, r.headers) for r in records]
    put(lake, [*records, *again])
    assert [row["poured_ul"] for row in rows(lake)] == [3000, 0, 0, 0]


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_contents_of_one_identity_the_same_counts_in_any_order(tmp_path: Path, order: int) -> None:
    lake = opened(tmp_path)
    contents = {volume_ul: consumed(1, poured(SHOWN, volume_ul)) for volume_ul in (1000, 2000)}
    wins = min(contents, key=lambda volume_ul: hashlib.sha256(contents[volume_ul].value or b"").digest())
    first, second = list(contents.values())[::order]
    late = Consumed(second.topic, 0, 2, second.timestamp_ms, second.key, second.value, ())
    put(lake, [consumed(0, shown(Profile())), first, late])
    assert rows(lake)[0]["poured_ul"] == wins


def test_impressions_that_kept_nothing_are_counted(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    old = Impression(**PLACE, pick_id="old", dispenser="d", picks=(), candidates=MENU.ids, ranker="rule", latency_us=1)
    put(lake, [consumed(0, old), consumed(1, POURED)])
    with connected(lake) as connection:
        training = TrainingRows(connection, *ALWAYS)
        assert (training.reader().read_all().num_rows, training.skipped) == (0, 1)


def test_days_bound_the_picks_and_columns_name_their_version(tmp_path: Path) -> None:
    lake = opened(tmp_path)
    put(lake, [consumed(0, msgspec.structs.replace(shown(Profile()), experiment="warmer-1", arm="control"))])
    found = rows(lake, date(2025, 11, 24), date(2025, 11, 25))
    assert {(row["experiment"], row["arm"]) for row in found} == {("warmer-1", "control")}
    assert not rows(lake, date(2025, 11, 25))
    assert not rows(lake, until=date(2025, 11, 24))
    assert COLUMNS.metadata == {b"picante.features": SCHEMA.encode()}
    assert COLUMNS.field("f_gap").type == pa.float32()
