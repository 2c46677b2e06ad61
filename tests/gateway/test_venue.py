"""The hour on the store's clocks."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from firmware_bridge.messages import NozzleInfo
from gateway.clock import Clock, Now
from gateway.config import load_config
from gateway.door import Door
from gateway.picks import Recommender
from gateway.rankers import Rankers
from gateway.store import Store
from gateway.venue import Venue
from heat.errors import ConfigError
from models.features import Context
from models.ranker import RuleRanker
from tests.gateway.conftest import KEY

CONFIG = '[gateway]\nid = "gw-1"\nstore = "s"\nregion = "eu"\ntimezone = "{timezone}"\n'


def at(text: str, *, known: bool = True) -> Now:
    return Now(int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp() * 1000), 0, known)


@pytest.mark.parametrize(
    ("zone", "utc", "hour"),
    [
        ("Europe/Berlin", "2026-01-15T16:59", 17),
        ("Europe/Berlin", "2026-07-15T16:59", 18),
        ("America/Los_Angeles", "2026-07-15T03:00", 20),
        ("Asia/Kolkata", "2026-07-15T18:45", 0),
    ],
)
def test_the_hour_is_that_of_the_store(zone: str, utc: str, hour: int) -> None:
    assert Venue(timezone=ZoneInfo(zone)).hour(at(utc)) == hour


def test_nobody_knows_the_hour_without_a_zone_or_a_clock() -> None:
    assert Venue().hour(at("2026-01-15T12:00")) is None
    assert Venue(timezone=ZoneInfo("Europe/Berlin")).hour(at("2026-01-15T12:00", known=False)) is None


async def test_picks_go_by_the_hour_of_the_store(store: Store, clock: Clock, door: Door, boot: int) -> None:
    venue = Venue(timezone=ZoneInfo("Asia/Kolkata"))
    recommender = Recommender(store, clock, door, boot, Rankers(RuleRanker()), (KEY, 1), lambda: None, venue)
    assert recommender.slate((NozzleInfo(1, "table-red", 500),), [], Context()).context.hour == 17, "noon UTC is 17:30"
    recommender.close()


def test_a_zone_that_there_is_none_of_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text(CONFIG.format(timezone="Europe/Berlin"))
    assert load_config(path).gateway.timezone == "Europe/Berlin"
    for wrong in ("Europe/Hamburg", "../etc/passwd", ""):
        path.write_text(CONFIG.format(timezone=wrong))
        with pytest.raises(ConfigError, match=r"gateway\.toml:5: gateway\.timezone.*no time zone"):
            load_config(path)
