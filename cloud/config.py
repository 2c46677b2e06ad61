"""cloud.toml -> `CloudConfig`: what `picante cloud` and `picante lake` are told. See docs/cloud.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from pydantic import Field, field_validator

from cloud_sync.credentials import KafkaConnection, TlsSection
from cloud_sync.settings import addresses
from cloud_sync.toml_file import Document, Name, Section
from cloud_sync.topics import EVENTS

PARTS = ("pipeline", "lake", "hot_store", "recommender", "clock", "weather", "trends", "fleet", "reconciliation")
"""What `picante cloud run` consists of, each in a thread of its own."""
REDIS_URL = re.compile(r"rediss?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):[0-9]{1,5}(?:/[0-9]{1,4})?")
"""Without a login."""


_LOOPBACK = {("http", host) for host in ("127.0.0.1", "::1", "localhost")}


class CloudSection(Section):
    """This installation."""

    name: Name = "cloud"
    """Who says so in what is published: `/cloud/NAME`."""
    data_dir: str = "/var/lib/picante-cloud"
    """Where the state lies; it can be rebuilt from Kafka."""
    parts: tuple[str, ...] = PARTS
    """What this process runs; several processes may run one part, and share its partitions."""
    metrics: str | None = None
    """HOST:PORT at which Prometheus finds this process's figures."""

    @field_validator("metrics")
    @classmethod
    def _one_address(cls, value: str | None) -> str | None:
        if value is not None and len(addresses(value)) != 1:
            raise ValueError("write one HOST:PORT")
        return value

    @field_validator("parts")
    @classmethod
    def _known(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for part in value:
            if part not in PARTS:
                raise ValueError(f"{part!r} is no part; there are: {', '.join(PARTS)}")
        return value


class KafkaSection(KafkaConnection):
    """Where the events come from."""

    replication: Annotated[int, Field(ge=1, le=9)] = 3
    """Copies of each topic; fewer where there are fewer brokers."""


class PipelineSection(Section):
    """What folds events into profiles."""

    topic: str = EVENTS.name
    """The topic of the events; another one once history was replayed into it."""
    group: str = "picante-pipeline"
    """The consumer group whose members share the partitions."""
    generation: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    """Raised to fold everything anew: what a higher one publishes replaces what a lower one did."""
    batch: Annotated[int, Field(ge=1, le=100_000)] = 2000
    """Events in one transaction at most."""


class LakeSection(Section):
    """Where history is kept."""

    path: str = "lake"
    """A folder, or s3://BUCKET/PREFIX."""
    storage_options: str | None = None
    """TOML file with the object store's options (endpoint, keys), mode 0600."""
    commit_seconds: Annotated[int, Field(ge=1, le=3600)] = 60
    """Seconds after which what came is committed."""
    commit_rows: Annotated[int, Field(ge=1, le=1_000_000)] = 20_000
    """Records that are committed at once at most: they wait in memory."""
    commit_mib: Annotated[int, Field(ge=1, le=1024)] = 64
    """MiB of records that are committed at once, about."""
    maintain_minutes: Annotated[int, Field(ge=1, le=10_080)] = 60
    """Minutes from one maintenance to the next: small files are melted, days that are over are dropped."""
    raw_days: Annotated[int, Field(ge=0, le=36_600)] = 0
    """Days that raw records are kept; 0 keeps them for ever."""
    event_days: Annotated[int, Field(ge=0, le=36_600)] = 0
    """Days that typed rows are kept; 0 keeps them for ever."""
    vacuum_hours: Annotated[int, Field(ge=1, le=8760)] = 24
    """Hours that files stay which newer versions of a table don't need."""


class HotStoreSection(TlsSection):
    """Where profiles, features and picks are looked up in a millisecond."""

    kind: Literal["memory", "redis"] = "memory"
    url: str | None = None
    """redis://HOST:PORT/DB, or rediss:// where `tls` is set."""
    session_hours: Annotated[int, Field(ge=1, le=168)] = 1
    """Hours that a session is kept after its last event."""
    customer_days: Annotated[int, Field(ge=1, le=3660)] = 90
    """Days that a customer is kept after their last event."""

    def _contradiction(self, name: str) -> tuple[str, str, str] | None:
        if self.kind == "redis" and self.url is None:
            return "kind", f'= "redis" needs {name}.url', f'Set url in [{name}], or kind = "memory"'
        if self.url is not None and not REDIS_URL.fullmatch(self.url):
            # it may hold a password, and is not repeated
            return "url", "is not redis://HOST:PORT/DB", "Who logs in is told by username and password_file"
        if self.url is not None and self.url.startswith("rediss:") != self.tls:
            return "url", "and tls disagree", f"In [{name}]: rediss:// with tls = true, redis:// without"
        wrong = super()._contradiction(name)
        return None if wrong is not None and wrong[0] == "password_file" else wrong  # Redis knows logins without a name


class RecommenderSection(Section):
    """What picks sauces for each customer, out of all that the brand has."""

    bundle: str | None = None
    """Directory of a bundle; without it the one that ships with Picante."""
    catalog: str | None = None
    """JSON file of the brand's sauces; without it the one that ships with Picante."""
    picks: Annotated[int, Field(ge=1, le=100)] = 10
    """Sauces for a customer at most: a shop has some of them."""


class TrendsSection(Section):
    """What regions pour, by the hour."""

    wait_minutes: Annotated[int, Field(ge=1, le=1440)] = 60
    """Minutes after its end for which an hour's events may still come; then the hour is closed."""


class WeatherSection(Section):
    """The service that knows the weather, of OpenWeatherMap's shape."""

    url: str = "https://api.openweathermap.org/data/2.5/weather"
    """Its current weather."""
    key_file: str | None = None
    """File with the key, and nothing else, mode 0600; without it there is no weather."""
    calls_a_day: Annotated[int, Field(ge=1, le=1_000_000)] = 1000
    """Calls from midnight to midnight, UTC, at most."""

    @field_validator("url")
    @classmethod
    def _keeps_the_key(cls, value: str) -> str:
        parts = urlsplit(value)
        if (parts.scheme != "https" and (parts.scheme, parts.hostname) not in _LOOPBACK) or not parts.hostname:
            raise ValueError("must begin with https://HOST, or http://127.0.0.1: the key is sent with it")
        return value


class SiteSection(Section):
    """A store, and where it is."""

    store: Name
    """As the gateway's configuration has it."""
    region: Name
    """Likewise."""
    latitude: Annotated[float, Field(ge=-90, le=90)]
    longitude: Annotated[float, Field(ge=-180, le=180)]
    time_zone: str = "UTC"
    """As `Europe/Paris`."""

    @field_validator("time_zone")
    @classmethod
    def _zoned(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, KeyError):
            raise ValueError("is no time zone: write it as Europe/Paris") from None
        return value


class CloudConfig(Document):
    """The whole configuration."""

    cloud: CloudSection = CloudSection()
    kafka: KafkaSection
    pipeline: PipelineSection = PipelineSection()
    lake: LakeSection = LakeSection()
    hot_store: HotStoreSection = HotStoreSection()
    recommender: RecommenderSection = RecommenderSection()
    trends: TrendsSection = TrendsSection()
    weather: WeatherSection = WeatherSection()
    sites: Annotated[tuple[SiteSection, ...], Field(max_length=10_000)] = ()

    @field_validator("sites")
    @classmethod
    def _once(cls, value: tuple[SiteSection, ...]) -> tuple[SiteSection, ...]:
        stores = [site.store for site in value]
        if twice := sorted({store for store in stores if stores.count(store) > 1}):
            raise ValueError(f"store {twice[0]!r} stands there twice")
        return value

    @classmethod
    def file_name(cls) -> str:
        """See `Document`."""
        return "cloud.toml"


def load_cloud_config(path: Path) -> CloudConfig:
    """Read and check a configuration file. Raises ConfigError naming file, line, key and the remedy."""
    config, text = CloudConfig.load(path)
    config.kafka.check("kafka", path, text)
    config.hot_store.check("hot_store", path, text)
    return config
