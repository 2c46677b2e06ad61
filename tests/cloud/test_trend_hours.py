"""Whose pours make a trend, when an hour is over, and that nobody is told of alone."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from pathlib import Path

import msgspec
import pytest

from cloud.trend_hours import AHEAD_MS, TrendHours, trend_of
from cloud_sync.envelope import encode
from cloud_sync.published import Trend
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS, HOUR_MS
from heat.events import AnyData, SessionClaimed
from heat.identity import session_subject
from heat.scale import heat_from_shu
from tests.cloud_sync.examples import EVERY_TYPE, POURED, stored

HOUR = 493_000
WAIT_MS = HOUR_MS
CLAIMED = next(data for data in EVERY_TYPE if isinstance(data, SessionClaimed))
PLAIN = msgspec.structs.replace(POURED, flags=(), pick_id=None)


@pytest.fixture
def hours(tmp_path: Path) -> Iterator[TrendHours]:
    with TrendHours(tmp_path / "trends.db", WAIT_MS) as opened:
        yield opened


def customer(number: int) -> str:
    return f"p1-{number:032x}"


class Log:
    """Records of a partition, one after the other."""

    def __init__(self) -> None:
        self.length = 0

    def pour(
        self,
        subject: str | None,
        hour: int = HOUR,
        minute: int = 5,
        received_minutes: int = 1,
        data: AnyData = PLAIN,
        sequence: int | None = None,
        **members: object,
    ) -> Consumed:
        """A pour in a minute of an hour, received some minutes later."""
        self.length += 1
        time_ms = hour * HOUR_MS + minute * 60_000
        members = {"clock": "known", **members, "subject": subject, "time_ms": time_ms, "day": time_ms // DAY_MS}
        record = encode(stored(data, sequence or self.length, None, **members))
        return Consumed(
            record.topic, 0, self.length - 1, time_ms + received_minutes * 60_000, record.key, record.value, ()
        )


def over(hour: int) -> int:
    """A watermark at which the hour is closed, exactly."""
    return (hour + 1) * HOUR_MS + WAIT_MS


def tell(hours: TrendHours, records: Iterable[Consumed], watermark_ms: int = over(HOUR)) -> list[Trend]:
    hours.fold(records)
    below = hours.passed(watermark_ms)
    found = hours.trends(below)
    hours.close(below)
    return found


def test_ten_customers_are_a_trend_and_nine_are_none(hours: TrendHours) -> None:
    log = Log()
    nine = [log.pour(customer(number), minute=number) for number in range(9)]
    lone = [log.pour(customer(8)) for _ in range(50)]
    ten = [log.pour(customer(number), HOUR + 1) for number in range(10)]
    assert [
        (trend.hour, trend.customers, trend.visits, trend.pours)
        for trend in tell(hours, [*nine, *lone, *ten], over(HOUR + 1))
    ] == [(HOUR + 1, 10, 10, 10)]
    assert hours.counts() == {"poured": 69, "told": 1, "withheld": 1}


def test_sessions_make_no_hour_tellable_and_a_claimed_one_is_its_customers(hours: TrendHours) -> None:
    log = Log()
    sessions = [session_subject("hot-bar-1", 0x5E3A09C1, number) for number in range(30)]
    records = [log.pour(session) for session in sessions] + [log.pour(customer(number)) for number in range(9)]
    claims = [
        log.pour(customer(8), data=msgspec.structs.replace(CLAIMED, session=session, flags=()), minute=50)
        for session in sessions[:20]
    ]
    hours.fold([*records[:10], *claims, *records[10:]])
    assert hours.trends(HOUR + 1) == []
    [trend] = tell(hours, [log.pour(customer(9))])
    assert (trend.customers, trend.visits, trend.pours) == (10, 20, 40)


def test_each_visit_counts_once_with_its_mean(hours: TrendHours) -> None:
    log = Log()
    hot = msgspec.structs.replace(PLAIN, heat=heat_from_shu(2_000_000, source="label"))
    records = [log.pour(customer(0), data=hot) for _ in range(50)]
    records += [log.pour(customer(number)) for number in range(1, 10)]
    [trend] = tell(hours, records)
    mild, hottest = PLAIN.heat.milli_octaves, hot.heat.milli_octaves
    assert trend.mean_mo == (9 * mild + hottest) // 10
    assert trend.bands == tuple(9 if b == mild // 2000 else 1 if b == hottest // 2000 else 0 for b in range(10))
    assert (trend.pours, sum(trend.bands)) == (59, trend.visits)


def test_who_opted_out_is_nobody_or_came_at_no_known_time_is_not_in_it(hours: TrendHours) -> None:
    log = Log()
    records = [log.pour(customer(number)) for number in range(10)]
    silent = msgspec.structs.replace(PLAIN, consent="none")
    records += [log.pour(customer(20), data=silent), log.pour(None)]
    records += [log.pour(customer(21), clock="estimated"), log.pour(customer(22), received_minutes=-6)]
    other = log.pour(customer(23))
    records += [Consumed(other.topic, 0, 99, other.timestamp_ms, b"another key", other.value, ())]
    records += [Consumed(other.topic, 0, 100, other.timestamp_ms, other.key, None, ())]
    [trend] = tell(hours, records)
    assert trend.customers == 10
    assert hours.counts() == {"nobody": 1, "poured": 10, "refused": 3, "told": 1, "undated": 2}
    assert AHEAD_MS == 5 * 60_000


def test_an_hour_is_closed_when_we_have_waited_and_what_comes_later_is_counted(hours: TrendHours) -> None:
    log = Log()
    records = [log.pour(customer(number)) for number in range(9)]
    last_minute = 60 + 60 - 5 - 1
    records.append(log.pour(customer(9), received_minutes=last_minute))
    records.append(log.pour(customer(10), received_minutes=last_minute + 1))
    hours.fold(records)
    assert hours.passed(over(HOUR) - 1) == HOUR
    [trend] = tell(hours, [])
    assert trend.customers == 10
    assert (
        tell(hours, [log.pour(customer(11)), *(log.pour(customer(number)) for number in range(30))], over(HOUR + 5))
        == []
    )
    assert hours.counts()["late"] == 32


def test_what_comes_twice_counts_once_across_a_restart_and_in_any_order(tmp_path: Path) -> None:
    log = Log()
    records = [log.pour(customer(number % 12), minute=number) for number in range(48)]
    told = []
    for seed in range(3):
        order = records * 2
        random.Random(seed).shuffle(order)
        path = tmp_path / f"{seed}.db"
        for part in (order[:30], order[30:]):
            with TrendHours(path, WAIT_MS) as hours:
                hours.fold(part)
        with TrendHours(path, WAIT_MS) as hours:
            told.append(hours.trends(HOUR + 1))
            assert hours.counts() == {"duplicate": 48, "poured": 48}
            hours.close(HOUR + 1)
            kept = hours._connection.execute("SELECT (SELECT COUNT(*) FROM seen), (SELECT COUNT(*) FROM tastes)")
            assert kept.fetchone() == (0, 0), "identities are remembered for as long as an hour is open"
    assert told[0] == told[1] == told[2] != []


def test_no_difference_of_trends_is_fewer_than_ten_customers(hours: TrendHours) -> None:
    """One customer more or less changes one trend: no two are about the same pour, however events come."""
    rng = random.Random(7)
    log = Log()
    about: dict[tuple[str, int], set[str]] = {}
    found: list[Trend] = []
    for round_ in range(40):
        batch = []
        for _ in range(60):
            subject, hour = customer(rng.randrange(25)), HOUR + round_ // 8 - rng.randrange(4)
            region = rng.choice(["eu", "jp"])
            batch.append(log.pour(subject, hour, data=msgspec.structs.replace(PLAIN, region=region)))
            if hour >= hours.closed:
                about.setdefault((region, hour), set()).add(subject)
        found += tell(hours, batch, (HOUR + round_ // 8) * HOUR_MS + round_ % 8 * 450_000)
    keys = [(trend.region, trend.hour) for trend in found]
    assert len(keys) == len(set(keys)) >= 4
    assert all(trend.customers == len(about[trend.region, trend.hour]) >= 10 for trend in found)


def test_a_wrong_stamp_closes_no_hour_that_nobody_poured_in(hours: TrendHours) -> None:
    hours.fold([Log().pour(customer(1))])
    assert hours.passed((HOUR + 100_000) * HOUR_MS) == HOUR + 1


def test_another_log_is_read_from_its_start_and_closed_hours_stay_closed(tmp_path: Path) -> None:
    log = Log()
    with TrendHours(tmp_path / "trends.db", WAIT_MS) as hours:
        hours.begin("one")
        tell(hours, [log.pour(customer(1)), log.pour(customer(2), HOUR + 1)])
        hours.begin("one")
        assert (hours.positions(), hours.closed) == ({0: 2}, HOUR + 1)
        hours.begin("other")
        assert (hours.positions(), hours.stamps(), hours.closed) == ({}, {}, HOUR + 1)
        assert tell(hours, [log.pour(customer(number), sequence=number + 1) for number in range(20)]) == []


def test_nine_customers_and_any_sessions_are_no_trend() -> None:
    sessions = [(session_subject("d", 1, number), 1, 5000) for number in range(100)]
    customers = [(customer(number), 3, 21_000) for number in range(10)]
    assert trend_of("eu", HOUR, sessions + customers[:9]) is None
    assert trend_of("eu", HOUR, customers) == Trend(
        region="eu", hour=HOUR, customers=10, visits=10, pours=30, mean_mo=7000, bands=(0, 0, 0, 10, 0, 0, 0, 0, 0, 0)
    )
