"""The weather at each store and hour, on picante.context.v1: a service's answers, by key `STORE/HOUR`.

Once an hour each spot on Earth where a store is gets one call, within the day's budget; what a call brought serves all
stores there. An hour that no call was spent on gets the latest answer, as long as that is not too old, and each record
says when its weather was measured (`as_of_ms`). Readers join it by equality of store and hour. An hour without a record
is a feature that is missing, whatever the reason: nobody waits for the weather, and it is in no profile.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from prometheus_client import Counter

from cloud.config import CloudConfig, SiteSection
from cloud.kafka import Producer
from cloud.librdkafka import cluster_of
from cloud.metrics import REGISTRY
from cloud.open_weather import NoWeather, OpenWeather, Spot, spot_of
from cloud.threads import in_thread
from cloud.weather_book import WeatherBook
from cloud_sync.private import check_private, read_text
from cloud_sync.published import Context, publish
from cloud_sync.record import Record
from cloud_sync.topics import HOUR_MS
from heat.errors import ConfigError

log = logging.getLogger("cloud.weather")

CALLS = Counter("picante_cloud_weather_calls", "Calls of the weather service.", ["outcome"], registry=REGISTRY)

LOOK_S = 15.0
"""s from one look at what is due to the next."""
PACE_S = 1.2
"""s from one call to the next: 50 a minute, of the 60 that OpenWeatherMap's free plan has."""
MAX_KEY_CHARS = 256


@dataclass(frozen=True, slots=True)
class Site:
    """A store, and where it is."""

    store: str
    region: str
    spot: Spot
    zone: ZoneInfo


def site_of(section: SiteSection) -> Site:
    """A `[[sites]]` of cloud.toml."""
    spot = spot_of(section.latitude, section.longitude)
    return Site(section.store, section.region, spot, ZoneInfo(section.time_zone))


class Weatherman:
    """Asks, and makes records of the answers."""

    def __init__(self, sites: list[Site], service: OpenWeather, book: WeatherBook) -> None:
        self._sites = sites
        self._spots = {site.spot for site in sites}
        self._service = service
        self._book = book

    async def ask(self, now_ms: int) -> bool:
        """Make one call, if one is due at `now_ms` (Unix time); returns whether it was."""
        due = [spot for spot, at_ms in self._book.pending(self._spots, now_ms).items() if at_ms <= now_ms]
        if not due:
            return False
        self._book.spend(due[0], now_ms)
        answer = await self._service.ask(due[0], now_ms)
        self._book.note(due[0], answer, now_ms)
        CALLS.labels(answer.reason if isinstance(answer, NoWeather) else "weather").inc()
        if isinstance(answer, NoWeather):
            log.warning("no weather: %s", answer.reason, extra={"spot": due[0], "detail": answer.detail})
        return True

    def contexts(self, now_ms: int) -> list[Context]:
        """What is known of this hour and not in Kafka, of the spots that won't be asked for (again) in it."""
        hour = now_ms // HOUR_MS
        pending, told = self._book.pending(self._spots, now_ms), self._book.told(hour)
        ready = [site for site in self._sites if site.store not in told and site.spot not in pending]
        return list(self._known(ready, hour, now_ms))

    def _known(self, sites: list[Site], hour: int, now_ms: int) -> Iterator[Context]:
        for site in sites:
            if (weather := self._book.latest(site.spot, now_ms)) is not None:
                offset = datetime.fromtimestamp(hour * 3600, UTC).astimezone(site.zone).utcoffset()
                yield Context(
                    store=site.store,
                    region=site.region,
                    hour=hour,
                    utc_offset_minutes=int(offset.total_seconds()) // 60 if offset is not None else None,
                    as_of_ms=weather.as_of_ms,
                    centi_celsius=weather.centi_celsius,
                    feels_centi_celsius=weather.feels_centi_celsius,
                    humidity_percent=weather.humidity_percent,
                    weather=weather.weather,
                )

    def confirm(self, contexts: list[Context]) -> None:
        """Kafka has these, all of one hour."""
        self._book.confirm([context.store for context in contexts], contexts[0].hour)


def record_of(context: Context, name: str, now_ms: int) -> Record:
    """The record that cloud `name` writes at `now_ms`."""
    key = f"{context.store}/{context.hour}"
    return publish(key, context, f"/cloud/{name}", f"weather:{key}", now_ms)


def read_key(path: Path) -> str:
    """The service's key: a file's one line. Raises ConfigError; the key is never repeated."""
    check_private(path, "weather.key_file")
    key = read_text(path, "weather.key_file").strip()
    if not key or len(key) > MAX_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
        raise ConfigError(f"{path}: not a key", hint="weather.key_file names a file with one line, the service's key")
    return key


async def run(config: CloudConfig) -> None:
    """The part of `picante cloud run`; it returns at once where cloud.toml names no key or no sites."""
    weather = config.weather
    if weather.key_file is None or not config.sites:
        log.info("no weather: weather.key_file or [[sites]] is missing in cloud.toml")
        return
    key_file = config.path(weather.key_file)
    read_key(key_file)  # what is wrong at the start is told as such
    with (
        WeatherBook(config.path(config.cloud.data_dir) / "weather.db", weather.calls_a_day) as book,
        Producer(cluster_of(config)) as producer,
    ):
        async with OpenWeather(weather.url, lambda: read_key(key_file)) as service:
            man = Weatherman([site_of(section) for section in config.sites], service, book)
            while True:
                asked = await man.ask(_now_ms())
                if contexts := man.contexts(now_ms := _now_ms()):
                    records = [record_of(context, config.cloud.name, now_ms) for context in contexts]
                    await in_thread("weather", functools.partial(_send, producer, records))
                    man.confirm(contexts)
                await asyncio.sleep(PACE_S if asked else LOOK_S)


def _send(producer: Producer, records: list[Record], _stop: threading.Event) -> None:
    for record in records:
        producer.send(record)
    producer.flush()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
