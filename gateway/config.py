"""gateway.toml -> `Config`. Unknown keys are refused, with the line and the nearest right key.

Relative paths are relative to the file. Secrets stand in files of their own, which nobody else may read.
"""

from __future__ import annotations

import difflib
import re
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from cloud_sync.settings import Mechanism, addresses
from firmware_bridge.line import check_url, is_url
from gateway.private import check_private, read_text
from heat.errors import ConfigError, DataError
from heat.identity import check_name

LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GatewaySection(_Section):
    """Who this gateway is and where it keeps its data."""

    id: str
    """Name of the gateway; also its Kafka transactional id."""
    store: str
    """Name of the shop or restaurant."""
    region: str
    data_dir: str = "/var/lib/picante"
    quota_mb: Annotated[int, Field(ge=16, le=1_048_576)] = 512
    """MiB that the database may take: 30 days offline at 33,000 events a day."""
    ballast_mb: Annotated[int, Field(ge=0, le=1024)] = 8
    """MiB kept aside, to be given up when the disk is full."""
    commit_interval_ms: Annotated[int, Field(ge=0, le=1000)] = 0
    """ms between commits at least; above 0 it spares an SD card and costs latency."""

    @field_validator("id", "store", "region")
    @classmethod
    def _named(cls, value: str) -> str:
        try:
            return check_name(value, "value")
        except DataError as error:
            raise ValueError(str(error)) from error


class KeysSection(_Section):
    """Files with secrets, mode 0600."""

    dispensers: str = "keys.toml"
    """TOML: a table [dispensers] with a line `name = "64 hex digits"` each."""
    pseudonym: str = "pseudonym.toml"
    """TOML: `version` and `key` (64 hex digits), given by the brand."""
    provisioning: str | None = None
    """TOML: dispensers that are adopted by themselves, with their names and planograms."""


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


class SerialSection(_Section):
    """Serial ports."""

    ports: Annotated[tuple[str, ...], Field(min_length=1)] = ("/dev/serial/by-id/*",)
    """Paths, glob patterns, or servers (`socket://HOST:PORT`, `rfc2217://HOST:PORT`); ports may come and go."""
    baud: Rate = 115200
    baud_by_port: dict[str, Rate] = {}
    """Rates of single ports, by path, pattern or server as `ports` has them, or as a port is called; the first fits."""

    @field_validator("ports")
    @classmethod
    def _servers(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for port in value:
            if is_url(port):
                check_url(port)
        return value


class TlsSection(_Section):
    """How a broker and the gateway prove themselves to each other."""

    tls: bool = False
    """Whether connections are encrypted, and the brokers' certificates checked."""
    ca: str | None = None
    """PEM file of the authorities that are trusted; without it those of the system."""
    certificate: str | None = None
    """PEM file of the gateway's own certificate, for brokers that ask for one."""
    key: str | None = None
    """PEM file of the certificate's private key."""
    username: str | None = None
    """Who logs in; without it nobody does."""
    password_file: str | None = None
    """File with the password, and nothing else."""


class MqttSection(TlsSection):
    """The MQTT broker in the shop."""

    host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 1883
    home_assistant: bool = False
    """Whether Home Assistant is told of the dispensers, on the same broker."""


class KafkaSection(TlsSection):
    """The cloud's Kafka."""

    bootstrap: str
    """HOST:PORT, several separated by commas; an IPv6 address in brackets."""
    position: Literal["kafka", "sqlite"] = "kafka"
    """Where the position lives. `sqlite` is for brokers that keep no positions; exactly-once needs `kafka`."""
    sasl_mechanism: Mechanism = "SCRAM-SHA-512"
    """How the password is proved. `PLAIN` sends it, and needs TLS."""

    @field_validator("bootstrap")
    @classmethod
    def _addresses(cls, value: str) -> str:
        addresses(value)
        return value


class HttpSection(_Section):
    """The local web page and API."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8080


class PicksSection(_Section):
    """What ranks the sauces."""

    bundle: str | None = None
    """Directory of a bundle; without it the one that ships with Picante."""
    catalog: str | None = None
    """JSON file of the brand's sauces; without it the one that ships with Picante."""
    words: str | None = None
    """JSON file of the brand's heat words; without it the one that ships with Picante."""


class ClockSection(_Section):
    """What makes the wall clock trustworthy."""

    trust: Literal["system", "ntp"] = "system"
    """`ntp`: only once systemd-timesyncd has synchronised; `system`: whenever the clock is plausible."""
    hold_hours: Annotated[int, Field(ge=1, le=720)] = 72
    """Hours that events wait for the time before they go up marked as unknown, and that a new setting is doubted."""
    synchronised: str = "/run/systemd/timesync/synchronized"
    """File that is touched whenever the network has set the clock: systemd-timesyncd's own."""


class SamplesSection(_Section):
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


class Config(_Section):
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
    directory: Path = Field(default=Path(), exclude=True)
    """Where the file stood; not a key of the file."""

    def path(self, text: str) -> Path:
        """A path of the file, made absolute."""
        return self.directory / Path(text).expanduser()


def load_config(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError naming file, line, key and the remedy."""
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="Give the path of a gateway.toml") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", hint="TOML reads: key = value, texts in quotes") from error
    except RecursionError:
        raise ConfigError(f"{path}: nested too deep", hint="No key of the gateway takes more than a list") from None
    if "directory" in document:
        raise ConfigError(_unknown(path, text, ("directory",)))
    try:
        # lists of TOML are tuples here: JSON mode accepts them in strict mode
        config = Config.model_validate({**_tuples(document), "directory": path.resolve().parent})
    except ValidationError as error:
        raise ConfigError("\n".join(_explain(path, text, problem) for problem in error.errors())) from error
    if config.http.host not in LOOPBACK:
        line = _line(text, ("http", "host"))
        raise ConfigError(
            f"{path}:{line}: http.host = {config.http.host!r} would be open to the network",
            hint="Access has not been set up: use 127.0.0.1, and a tunnel (ssh -L 8080:127.0.0.1:8080) from elsewhere",
        )
    for name, section in (("kafka", config.kafka), ("mqtt", config.mqtt)):
        if section is not None and (wrong := _contradiction(name, section)) is not None:
            key, message, hint = wrong
            raise ConfigError(f"{path}:{_line(text, (name, key))}: {name}.{key} {message}", hint=hint)
    return config


def _contradiction(name: str, section: TlsSection) -> tuple[str, str, str] | None:
    """A key that does not go with the others, what is wrong with it, and what to do."""
    if not section.tls:
        for key in ("ca", "certificate", "key"):
            if getattr(section, key) is not None:
                return key, "has no use without TLS", f"Set tls = true in [{name}], or leave it out"
    for one, other in (("certificate", "key"), ("username", "password_file")):
        for key, needs in ((one, other), (other, one)):
            if getattr(section, key) is not None and getattr(section, needs) is None:
                return key, f"needs {name}.{needs}", f"Set {needs} in [{name}], or leave {key} out"
    if isinstance(section, KafkaSection):
        return _contradiction_of_kafka(section)
    if isinstance(section, MqttSection) and section.username is not None and _in_clear(section):
        return "username", "would send the password in clear", "Set tls = true in [mqtt]"
    return None


def _contradiction_of_kafka(kafka: KafkaSection) -> tuple[str, str, str] | None:
    if not kafka.tls and kafka.sasl_mechanism == "PLAIN":
        return "sasl_mechanism", '= "PLAIN" would send the password in clear', "Set tls = true in [kafka]"
    if "sasl_mechanism" in kafka.model_fields_set and kafka.username is None:
        return "sasl_mechanism", "needs kafka.username", "Set username and password_file in [kafka], or leave it out"
    return None


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


def _tuples(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return tuple(_tuples(item) for item in value) if isinstance(value, list) else value


def _explain(path: Path, text: str, problem: Any) -> str:
    location = tuple(str(part) for part in problem["loc"])
    if problem["type"] == "extra_forbidden":
        return _unknown(path, text, location)
    if problem["type"] == "missing":
        section = ".".join(location[:-1])
        where = f"[{section}] needs" if section else "there must be a table"
        return f"{path}: {where} {location[-1] if section else f'[{location[-1]}]'}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{path}:{_line(text, location)}: {'.'.join(location)}: {message} (got {problem['input']!r})"


def _unknown(path: Path, text: str, location: tuple[str, ...]) -> str:
    model: type[BaseModel] = Config
    for part in location[:-1]:
        annotation = model.model_fields[part].annotation
        candidates = [annotation, *getattr(annotation, "__args__", ())]
        model = next(c for c in candidates if isinstance(c, type) and issubclass(c, BaseModel))
    known = [name for name in model.model_fields if name != "directory"]
    near = difflib.get_close_matches(location[-1], known, n=1)
    advice = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return f"{path}:{_line(text, location)}: unknown key {'.'.join(location)!r}: {advice}"


def _line(text: str, location: tuple[str, ...]) -> int:
    """The line of a key: its own, or that of its table; 1 if neither is written out."""
    table: tuple[str, ...] = ()
    found = 1
    for number, line in enumerate(text.splitlines(), 1):
        if header := re.match(r"\s*\[\s*([\w.\-\s]+?)\s*\]", line):
            table = tuple(header[1].split("."))
            if table == location[: len(table)]:
                found = number
        elif (key := re.match(r"""\s*["']?([\w.\-]+)["']?\s*=""", line)) is not None:
            full = (*table, *key[1].split("."))
            if full == location[: len(full)]:
                return number
    return found
