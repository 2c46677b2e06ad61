"""Which weather is asked for, when, and what becomes of it in Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from cloud import weather
from cloud.config import load_cloud_config
from cloud.kafka import read_to_end
from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from cloud.open_weather import OpenWeather, spot_of
from cloud.topic_plan import differences
from cloud.weather import Site, Weatherman, read_key, record_of
from cloud.weather_book import WeatherBook
from cloud_sync.published import Context, read_published
from cloud_sync.topics import CONTEXT, HOUR_MS
from heat.errors import ConfigError
from tests.cloud.weather_service import DRIZZLE, NOW_MS, Answer, Service, weather_service
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until_async

LYON = Site("lyon-2", "eu", spot_of(45.764, 4.8357), ZoneInfo("Europe/Paris"))
MALL = Site("lyon-3", "eu", spot_of(45.7641, 4.8359), ZoneInfo("Europe/Paris"))
DELHI = Site("delhi-1", "in", spot_of(28.61, 77.21), ZoneInfo("Asia/Kolkata"))
HOUR = NOW_MS // HOUR_MS
MINUTE_MS = 60_000


@pytest.fixture
def service() -> Iterator[Service]:
    with weather_service() as running:
        yield running


class Shop:
    """The part, with a clock that tests set, and a book that outlives it."""

    def __init__(self, client: OpenWeather, path: Path) -> None:
        self.client = client
        self.path = path
        self.calls_a_day = 1000

    async def look(self, *sites: Site, now_ms: int = NOW_MS, confirm: bool = True) -> list[Context]:
        """A start of the part at `now_ms`: what it publishes, once no call is due."""
        with WeatherBook(self.path, self.calls_a_day) as book:
            man = Weatherman(list(sites), self.client, book)
            while await man.ask(now_ms):
                pass
            if (found := man.contexts(now_ms)) and confirm:
                man.confirm(found)
            return found


@pytest.fixture
async def shop(service: Service, tmp_path: Path) -> AsyncIterator[Shop]:
    async with OpenWeather(service.url, lambda: "key", 5) as client:
        yield Shop(client, tmp_path / "weather.db")


def measured(at_ms: int) -> Answer:
    body = Answer().body.replace(str(DRIZZLE["dt"]).encode(), str(at_ms // 1000).encode())
    return Answer(body)


async def test_stores_at_one_spot_share_a_call_and_a_restart_makes_none(service: Service, shop: Shop) -> None:
    contexts = await shop.look(LYON, MALL, DELHI, confirm=False)
    assert {(one.store, one.region, one.hour, one.utc_offset_minutes) for one in contexts} == {
        ("lyon-2", "eu", HOUR, 60),
        ("lyon-3", "eu", HOUR, 60),
        ("delhi-1", "in", HOUR, 330),
    }
    assert {(one.as_of_ms, one.centi_celsius, one.weather) for one in contexts} == {(NOW_MS - 300_000, 925, "Drizzle")}
    assert service.spots() == ["28.61,77.21", "45.76,4.84"]
    assert await shop.look(LYON, MALL, DELHI) == contexts, "what Kafka did not confirm is told again"
    assert await shop.look(LYON, MALL, DELHI, now_ms=NOW_MS + MINUTE_MS) == []
    assert len(service.asked) == 2
    later_ms = NOW_MS + HOUR_MS
    service.answer = lambda _asked: measured(later_ms)
    assert [(one.store, one.hour, one.as_of_ms) for one in await shop.look(LYON, now_ms=later_ms)] == [
        ("lyon-2", HOUR + 1, later_ms)
    ]


async def test_a_day_has_so_many_calls_whoever_restarts(service: Service, shop: Shop) -> None:
    shop.calls_a_day = 48
    service.answer = lambda _asked: Answer(b"{}", 503)
    midnight_ms = NOW_MS - NOW_MS % (24 * HOUR_MS)
    for minute in range(0, 24 * 60, 20):
        await shop.look(LYON, DELHI, now_ms=midnight_ms + minute * MINUTE_MS)
    assert len(service.asked) == 48
    assert await shop.look(LYON, DELHI, now_ms=midnight_ms + 24 * HOUR_MS) == []
    assert len(service.asked) == 50, "a new day has calls of its own"


async def test_a_small_budget_gives_spots_turns_and_the_hours_between_the_latest(service: Service, shop: Shop) -> None:
    shop.calls_a_day = 24
    start_ms = NOW_MS - NOW_MS % (24 * HOUR_MS)
    found: list[Context] = []
    for hour in range(4):
        now_ms = start_ms + hour * HOUR_MS + 5 * MINUTE_MS
        service.answer = lambda _asked, now_ms=now_ms: measured(now_ms)  # type: ignore[misc]
        found += await shop.look(LYON, DELHI, now_ms=now_ms)
    assert service.spots() == ["28.61,77.21", "45.76,4.84"] * 2
    lyon = [
        (one.hour - start_ms // HOUR_MS, (one.hour * HOUR_MS - one.as_of_ms) // HOUR_MS)
        for one in found
        if one.store == "lyon-2"
    ]
    assert lyon == [(1, -1), (2, 0), (3, -1)], "its own hour, the one after, and its next own"


async def test_a_silent_service_is_asked_three_times_and_the_hour_gets_the_latest(service: Service, shop: Shop) -> None:
    start_ms = HOUR * HOUR_MS
    service.answer = lambda _asked: measured(start_ms)
    await shop.look(LYON, now_ms=start_ms)
    service.answer = lambda _asked: Answer(b"", 500)
    seen = []
    for second in (*range(0, 480, 30), 3570):
        now_ms = start_ms + HOUR_MS + second * 1000
        before = len(service.asked)
        told = await shop.look(LYON, now_ms=now_ms)
        if len(service.asked) > before or told:
            seen.append((second, [one.as_of_ms for one in told]))
    assert seen == [(0, []), (60, []), (360, [start_ms])]
    for hour in (2, 3, 4):
        told = [
            one
            for minute in (0, 2, 8)
            for one in await shop.look(LYON, now_ms=start_ms + hour * HOUR_MS + minute * MINUTE_MS)
        ]
        assert [one.as_of_ms for one in told] == ([start_ms] if hour == 2 else [])


@pytest.mark.parametrize(("status", "pause_minutes"), [(401, 60), (429, 60), (404, 0)])
async def test_who_refuses_is_left_alone_for_all_spots(
    service: Service, shop: Shop, tmp_path: Path, status: int, pause_minutes: int
) -> None:
    with WeatherBook(tmp_path / "weather.db", 1000) as book:
        man = Weatherman([LYON, DELHI], shop.client, book)
        service.answer = lambda _asked: Answer(b"{}", status)
        while await man.ask(NOW_MS):
            pass
        assert len(service.asked) == (2 if status == 404 else 1)
        assert man.contexts(NOW_MS) == []
        assert not await man.ask(NOW_MS + HOUR_MS - MINUTE_MS - NOW_MS % HOUR_MS)
        service.answer = lambda _asked: measured(NOW_MS + HOUR_MS)
        assert not await man.ask(NOW_MS + pause_minutes * MINUTE_MS - 1)
        assert await man.ask(max(NOW_MS + pause_minutes * MINUTE_MS, (HOUR + 1) * HOUR_MS))


async def test_a_mended_key_counts_at_the_next_start_but_the_services_own_wish_holds(
    service: Service, shop: Shop, tmp_path: Path
) -> None:
    for status, calls in ((401, 2), (429, 1)):
        shop.path = tmp_path / f"{status}.db"
        service.asked.clear()
        service.answer = lambda _asked, status=status: Answer(b"{}", status)  # type: ignore[misc]
        await shop.look(LYON)
        service.answer = lambda _asked: Answer()
        assert len(await shop.look(LYON, now_ms=NOW_MS + 2 * MINUTE_MS)) == calls - 1
        assert len(service.asked) == calls


@pytest.mark.parametrize(("ahead_ms", "calls"), [(400 * 24 * HOUR_MS, 2), (HOUR_MS, 2), (-HOUR_MS, 1)])
async def test_a_rest_asked_for_while_the_clock_was_ahead_is_none(
    service: Service, shop: Shop, ahead_ms: int, calls: int
) -> None:
    """Else nobody would be asked for as long as it was ahead. A day is the longest rest there is."""
    service.answer = lambda _asked: Answer(b"{}", 429, {"Retry-After": "86400"})
    await shop.look(LYON, now_ms=NOW_MS + HOUR_MS + ahead_ms)
    service.answer = lambda _asked: Answer()
    await shop.look(LYON, now_ms=NOW_MS + HOUR_MS)
    assert len(service.asked) == calls


async def test_a_damaged_book_costs_calls_and_nothing_else(service: Service, shop: Shop) -> None:
    shop.path.write_bytes(b"no database " * 1000)
    assert len(await shop.look(LYON)) == 1
    assert await shop.look(LYON) == []


def cloud_toml(directory: Path, bootstrap: str, url: str) -> Path:
    (directory / "weather-key").touch(0o600)
    (directory / "weather-key").write_text("5ecre7\n")
    (directory / "cloud.toml").write_text(
        f'[cloud]\ndata_dir = "data"\n[kafka]\nbootstrap = "{bootstrap}"\n'
        f'[weather]\nurl = "{url}"\nkey_file = "weather-key"\n'
        '[[sites]]\nstore = "lyon-2"\nregion = "eu"\nlatitude = 45.764\nlongitude = 5\ntime_zone = "Europe/Paris"\n'
    )
    return directory / "cloud.toml"


async def test_the_part_publishes_each_hour_once(
    kafka: KafkaServer | ServerElsewhere, service: Service, tmp_path: Path
) -> None:
    cluster = Cluster(kafka.bootstrap)
    admin = Admin(cluster)
    admin.mend(differences([CONTEXT], admin.topics([CONTEXT.name]), 1, admin.brokers()), 1)
    body = Answer().body
    service.answer = lambda _asked: Answer(body.replace(str(DRIZZLE["dt"]).encode(), str(int(time.time())).encode()))
    config = load_cloud_config(cloud_toml(tmp_path, kafka.bootstrap, service.url))

    def published() -> list[tuple[bytes | None, object]]:
        return [
            (one.key, read_published(one.value or b"")) for batch in read_to_end(cluster, CONTEXT.name) for one in batch
        ]

    for _ in range(2):
        running = asyncio.create_task(weather.run(config))
        await wait_until_async(lambda: asyncio.to_thread(published), 15, "the hour's weather")
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    [(key, context)] = await asyncio.to_thread(published)
    assert isinstance(context, Context)
    assert key == f"lyon-2/{context.hour}".encode()
    assert len(service.asked) == 1


def test_a_record_says_what_its_key_says() -> None:
    context = Context(store="lyon-2", region="eu", hour=HOUR, as_of_ms=NOW_MS, weather="Rain")
    record = record_of(context, "cloud", NOW_MS)
    assert (record.topic, record.key) == (CONTEXT.name, f"lyon-2/{HOUR}".encode())
    assert read_published(record.value or b"") == context


def test_a_key_file_that_is_none_is_told_and_not_repeated(tmp_path: Path) -> None:
    file = tmp_path / "key"
    for content, mode, complaint in (
        ("5ecre7\n", 0o644, "chmod 600"),
        ("5ecre7 x", 0o600, "not a key"),
        ("", 0o600, "not a key"),
    ):
        file.write_text(content)
        file.chmod(mode)
        with pytest.raises(ConfigError, match=complaint) as raised:
            read_key(file)
        assert "5ecre7" not in str(raised.value)


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("latitude = 91", r"cloud.toml:9: sites.0.latitude"),
        ("latitude = nan", r"cloud.toml:9: sites.0.latitude"),
        ('time_zone = "Mars/Olympus"', r"cloud.toml:9: sites.0.time_zone: is no time zone"),
        ('url = "http://weather.example/"', r"cloud.toml:5: weather.url: must begin with https"),
        ("latitde = 3", r"cloud.toml:9: unknown key 'sites.0.latitde': did you mean 'latitude'"),
    ],
)
def test_what_is_wrong_in_cloud_toml_is_told_with_its_line(tmp_path: Path, line: str, complaint: str) -> None:
    lines = [
        "[kafka]",
        'bootstrap = "k:1"',
        "[cloud]",
        "[weather]",
        "calls_a_day = 9",
        "[[sites]]",
        'store = "s"',
        'region = "r"',
        "latitude = 1",
        "longitude = 2",
    ]
    lines[4 if line.startswith("url") else 8] = line
    (tmp_path / "cloud.toml").write_text("\n".join(lines))
    with pytest.raises(ConfigError, match=complaint):
        load_cloud_config(tmp_path / "cloud.toml")


def test_a_store_stands_there_once(tmp_path: Path) -> None:
    text = cloud_toml(tmp_path, "k:1", "https://weather.example/").read_text()
    site = text[text.index("[[sites]]") :]
    (tmp_path / "cloud.toml").write_text(text + site)
    with pytest.raises(ConfigError, match=r"cloud.toml:14: sites: store 'lyon-2' stands there twice$"):
        load_cloud_config(tmp_path / "cloud.toml")
