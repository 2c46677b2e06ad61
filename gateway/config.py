"""gateway.toml -> `Config`. Unknown keys are refused, with the line and the nearest right key.

Relative paths are relative to the file. Secrets stand in files of their own, which nobody else may read.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationInfo, field_validator

from cloud_sync.credentials import KafkaConnection, TlsSection
from cloud_sync.private import check_private, read_text
from cloud_sync.toml_file import Complete, Document, Name, Section, line_of
from firmware_bridge.line import check_url, is_url
from gateway import setup_file
from gateway.certificates import is_local
from gateway.setup_file import UNNAMED
from heat.errors import ConfigError, DataError
from heat.identity import check_name
from heat.scale import MAX_SHU

LOOPBACK = {"127.0.0.1", "::1", "localhost"}
DATA_DIR = "/var/lib/picante"


LEAST_BALLAST_MB = 3
"""MiB that heal a full disk: the commits that move from the WAL into the database, and what must be left beside."""


class GatewaySection(Section):
    """Who this gateway is and where it keeps its data."""

    id: Name
    """Name of the gateway; also its Kafka transactional id."""
    store: Name
    """Name of the shop or restaurant."""
    region: Name
    timezone: str | None = None
    """Time zone of the store, as `Europe/Berlin`: picks go by the hour there. Without it they don't."""
    data_dir: str = DATA_DIR
    quota_mb: Annotated[int, Field(ge=16, le=1_048_576)] = 512
    """MiB that the database may take: a month offline at 33,000 events a day."""
    ballast_mb: Annotated[int, Field(ge=0, le=1024)] = 8
    """MiB kept aside, to be given up when the disk is full; 0: none is."""
    commit_interval_ms: Annotated[int, Field(ge=0, le=1000)] = 0
    """ms between commits at least; above 0 it spares an SD card and costs latency."""

    @field_validator("ballast_mb")
    @classmethod
    def _heals(cls, value: int) -> int:
        if 0 < value < LEAST_BALLAST_MB:
            raise ValueError(
                f"too little to heal a full disk: set {LEAST_BALLAST_MB} at least (8 is good), or 0 for none"
            )
        return value

    @field_validator("timezone")
    @classmethod
    def _timezone(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                ZoneInfo(value)
            except (ZoneInfoNotFoundError, ValueError, OSError) as error:
                hint = "`timedatectl list-timezones` has those of this machine, as Europe/Berlin"
                raise ValueError(f"is no time zone here: {hint}") from error
        return value


class KeysSection(Section):
    """Files with secrets, mode 0600."""

    dispensers: str = "keys.toml"
    """TOML: a table [dispensers] with a line `name = "64 hex digits"` each."""
    pseudonym: str = "pseudonym.toml"
    """TOML: `version` and `key` (64 hex digits), given by the brand."""
    provisioning: str | None = None
    """TOML: dispensers that are adopted by themselves, with their names and planograms."""
    bundles: str | None = None
    """TOML: public keys of those whose released bundles are used; without it no released bundle is."""


def _rate(value: object) -> object:
    if type(value) is not int or value in RATES:
        return value
    below = [rate for rate in RATES if rate < value][-1:]
    above = [rate for rate in RATES if rate > value][:1]
    raise ValueError(f"no dispenser has this rate; next to it: {', '.join(map(str, below + above))}")


Rate = Annotated[
    Literal[
        9600, 14400, 19200, 28800, 38400, 57600, 76800, 115200,
        128000, 230400, 250000, 256000, 460800, 500000, 576000, 921600,
    ],
    BeforeValidator(_rate),
]  # fmt: skip
"""Bits a second on a serial line."""
RATES: tuple[int, ...] = get_args(get_args(Rate)[0])


class SerialSection(Section):
    """Serial ports."""

    ports: Annotated[tuple[str, ...], Field(min_length=1)] = ("/dev/serial/by-id/*",)
    """Paths, glob patterns, or servers (`socket://HOST:PORT`, `rfc2217://HOST:PORT`); ports may come and go."""
    baud: Rate = 115200
    baud_by_port: dict[str, Rate] = Field(default={})
    """Rates of single ports, by path, pattern or server as `ports` has them, or as a port is called; the first fits."""

    @field_validator("ports")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for port in value:
            if is_url(port):
                check_url(port)
        return value


class MqttSection(TlsSection):
    """The MQTT broker in the shop."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    home_assistant: bool = False
    """Whether Home Assistant is told of the dispensers, on the same broker."""


class KafkaSection(KafkaConnection):
    """The cloud's Kafka."""

    position: Literal["kafka", "sqlite"] = "kafka"
    """Where the position lives. `sqlite` is for brokers that keep no positions; exactly-once needs `kafka`."""


class HttpSection(Section):
    """The local web page and API."""

    host: str = "127.0.0.1"
    """Address to listen on; `0.0.0.0` is every one. Beyond this machine it takes `issuer`."""
    port: Annotated[int, Field(ge=1, le=65535)] = 8080
    issuer: str | None = None
    """PEM of who signs the page's certificate, and of its root; with it the page is served by HTTPS alone."""
    issuer_key: str = "web-issuer.key"
    """PEM with the issuer's key, mode 0600."""
    names: tuple[str, ...] = ()
    """Names under which phones reach the page, in `.local` or `.internal`; without them, the host's in `.local`."""
    plain_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of the one page in clear, with the root's certificate; 0: none. Without it 80, or 8081 where 80 is not to
    be had, if the page is open to the network."""

    @field_validator("names")
    @classmethod
    def _local(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for name in value:
            if not is_local(name):
                raise ValueError(f"{name!r} is no name in .local or .internal, which are all that phones would trust")
        return value


class PicksSection(Section):
    """What ranks the sauces."""

    bundle: str | None = None
    """Directory of a bundle; without it the one that ships with Picante."""
    catalog: str | None = None
    """JSON file of the brand's sauces; without it the one that ships with Picante."""
    words: str | None = None
    """JSON file of the brand's heat words; without it the one that ships with Picante."""
    limit_shu: Annotated[int, Field(ge=0, le=MAX_SHU)] | None = None
    """SHU; what is hotter is picked only if asked for, and poured only once confirmed. Without it there is no limit."""
    prior_shu: Annotated[int, Field(ge=0, le=MAX_SHU)] | None = None
    """SHU that a stranger is believed to like. Without it, it is learned from this site's customers."""
    prior_sd_octaves: Annotated[float, Field(ge=0.5, le=6)] | None = None
    """Octaves by which strangers differ. Without it, that is learned, too."""
    trial_slates: Annotated[int, Field(ge=0, le=100_000)] = 50
    """Slates at which a released bundle looks on before it answers."""
    trial_hours: Annotated[float, Field(ge=0, le=720)] = 24
    """Hours after which it has looked on for long enough, however few slates there were."""


class ClockSection(Section):
    """What makes the wall clock trustworthy."""

    trust: Literal["system", "ntp"] = "system"
    """`ntp`: only once systemd-timesyncd has synchronised; `system`: whenever the clock is plausible."""
    hold_hours: Annotated[int, Field(ge=1, le=720)] = 72
    """Hours that events wait for the time before they go up marked as unknown, and that a new setting is doubted."""
    synchronised: str = "/run/systemd/timesync/synchronized"
    """File that is touched whenever the network has set the clock: systemd-timesyncd's own."""


class SamplesSection(Section):
    """What the sensors of the dispensers read."""

    budget_mib: Annotated[int, Field(ge=4, le=65_536)] = 256
    """MiB that their file may take: a month of 20 dispensers. The oldest go first."""
    coldest_c: Annotated[int, Field(ge=-40, le=60)] = 5
    """°C in a cabinet below which it is told of."""
    warmest_c: Annotated[int, Field(ge=-40, le=60)] = 30
    """°C above which it is told of."""

    @field_validator("warmest_c")
    @classmethod
    def _above(cls, value: int, info: ValidationInfo) -> int:
        if value < info.data.get("coldest_c", value) + 2:
            raise ValueError("must be 2 degrees above coldest_c at least")
        return value


class DownlinkSection(Section):
    """What comes down from Kafka."""

    share_percent: Annotated[int, Field(ge=0, le=50)] = 10
    """Share of gateway.quota_mb that customers of other stores may take; 0: they are not read."""


class SystemSection(Section):
    """The machine itself."""

    root: str = "/"
    """Where `sys/` and `proc/` are read: power, temperature, wear. Another one than `/` tries out what they tell."""


class Config(Document):
    """The whole configuration."""

    gateway: GatewaySection
    keys: KeysSection = KeysSection()
    serial: SerialSection | None = None
    mqtt: MqttSection | None = None
    kafka: KafkaSection | None = None
    http: HttpSection = HttpSection()
    picks: PicksSection = PicksSection()
    clock: ClockSection = ClockSection()
    samples: SamplesSection = SamplesSection()
    downlink: DownlinkSection = DownlinkSection()
    system: SystemSection = SystemSection()

    _fixed: frozenset[str] | None = PrivateAttr(default=None)

    def is_fixed(self, key: str) -> bool:
        """Whether gateway.toml itself has a key (`gateway.store`), so that the first boot need not ask."""
        return self._fixed is None or key in self._fixed or (key.startswith("kafka.") and self._has_kafka())

    def _has_kafka(self) -> bool:
        return any(key.startswith("kafka.") for key in self._fixed or ())

    @classmethod
    def file_name(cls) -> str:
        """See `Document`."""
        return "gateway.toml"


def load_config(path: Path) -> Config:
    """Read and check a configuration file, and beneath it what the first boot asked for.

    Raises:
        ConfigError: naming file, line, key and the remedy.
    """
    config, unnamed = load_draft(path)
    if unnamed:
        raise nameless(config, unnamed)
    return config


def load_draft(path: Path) -> tuple[Config, frozenset[str]]:
    """Like `load_config`, of a gateway that may have no name yet; the keys of [gateway] that are to be asked for."""
    config = _checked(path, lambda document, directory: _named(_completed(document, directory)))
    return config, frozenset(key for key, name in UNNAMED.items() if getattr(config.gateway, key) == name)


def nameless(config: Config, unnamed: Iterable[str]) -> ConfigError:
    """What is said of a gateway whose keys of [gateway] are neither in gateway.toml nor were answered."""
    data_dir = config.path(config.gateway.data_dir)
    keys, answered = ", ".join(sorted(unnamed)), data_dir / setup_file.FILE
    said = f"[gateway] needs {keys}: neither {config.file_name()} nor {answered}"
    if setup_file.may_ask(data_dir):
        hint = "Go through its setup: picante gateway setup-code tells the code; or write them into gateway.toml"
        return ConfigError(f"{said} has them yet", hint=hint)
    hint = "Restore a backup, write them into gateway.toml, or answer anew: picante gateway setup-code --again"
    return ConfigError(f"{said} has them any more", hint=hint)


def _named(document: dict[str, Any]) -> dict[str, Any]:
    return setup_file.completed(document, {"gateway": UNNAMED})


def _completed(document: dict[str, Any], directory: Path) -> dict[str, Any]:
    said = document.get("gateway", {})
    data_dir = said.get("data_dir", DATA_DIR) if isinstance(said, dict) else DATA_DIR
    if not isinstance(data_dir, str):
        return document
    return setup_file.completed(document, setup_file.read(directory / Path(data_dir).expanduser()))


def _checked(path: Path, complete: Complete) -> Config:
    config, text = Config.load(path, complete)
    given = tomllib.loads(text)
    config._fixed = frozenset(  # noqa: SLF001 -- its own
        f"{table}.{key}" for table, values in given.items() if isinstance(values, dict) for key in values
    )
    if config.http.host not in LOOPBACK and config.http.issuer is None:
        line = line_of(text, ("http", "host"))
        raise ConfigError(
            f"{path}:{line}: http.host = {config.http.host!r} would be open to the network in clear",
            hint="Set http.issuer to what picante gateway web-pki made, or use 127.0.0.1 and a tunnel"
            " (ssh -L 8080:127.0.0.1:8080)",
        )
    for name, section in (("kafka", config.kafka), ("mqtt", config.mqtt)):
        if section is not None:
            section.check(name, path, text)
    if (mqtt := config.mqtt) is not None and mqtt.username is not None and _in_clear(mqtt):
        where = f"{path}:{line_of(text, ('mqtt', 'username'))}: mqtt.username"
        raise ConfigError(f"{where} would send the password in clear", hint="Set tls = true in [mqtt]")
    return config


def _in_clear(mqtt: MqttSection) -> bool:
    return not mqtt.tls and mqtt.host not in LOOPBACK


def load_dispenser_keys(path: Path) -> dict[str, bytes]:
    """The dispensers' keys, by name. Raises ConfigError; the keys themselves are never repeated."""
    table = _read_secret(path, "keys.dispensers").get("dispensers", {})
    if not isinstance(table, dict):
        raise ConfigError(f"{path}: [dispensers] is not a table")
    keys = {}
    for name, value in table.items():
        try:
            check_name(name, "dispenser")
        except DataError as error:
            raise ConfigError(f"{path}: {error}") from error
        keys[name] = _hex_key(path, f"dispensers.{name}", value)
    return keys


def pseudonym_path(config: Config) -> Path:
    """Where the pseudonym key is: where gateway.toml says, or, until the brand's is there, one of the gateway's own."""
    path, own = config.path(config.keys.pseudonym), own_pseudonym_path(config)
    is_named = "pseudonym" in config.keys.model_fields_set
    return own if not is_named and not path.exists() and own.exists() else path


def own_pseudonym_path(config: Config) -> Path:
    """Where the first boot makes a pseudonym key. Customers that it names are known in this store alone."""
    return config.path(config.gateway.data_dir) / "own-pseudonym.toml"


def load_pseudonym_key(path: Path) -> tuple[bytes, int]:
    """The brand's pseudonym key and its version. Raises ConfigError; the key itself is never repeated."""
    document = _read_secret(path, "keys.pseudonym")
    version = document.get("version")
    if type(version) is not int or not 1 <= version <= 9999:
        raise ConfigError(f"{path}: version must be a number from 1 to 9999")
    return _hex_key(path, "key", document.get("key")), version


def _read_secret(path: Path, name: str) -> dict[str, Any]:
    check_private(path, name)
    text = read_text(path, name)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        # tomllib's message may quote the line: say only where
        where = re.search(r"line \d+", str(error))
        raise ConfigError(f"{path}: not TOML, at {where[0] if where else 'its end'}") from None


def _hex_key(path: Path, name: str, value: object) -> bytes:
    if not isinstance(value, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", value):
        raise ConfigError(f"{path}: {name} must be 64 hex digits in quotes", hint="Make one: openssl rand -hex 32")
    return bytes.fromhex(value)
