"""A scenario: which dispensers there are, who comes to them, what goes wrong. TOML in, frozen values out.

Everything that it can say:

    seed = 7                        # shoppers, nozzles, load, faults; the rings' generations are always fresh
    store = "store-1"
    gateway = "unix:data/gateway.sock"   # or http://HOST:PORT; asked by `picante sim run --check`
    keys = "keys.toml"              # beside the state, or an absolute path

    [mqtt]                          # needed by dispensers with link = "mqtt"
    host = "127.0.0.1"
    port = 1883
    ca = "pki/ca.pem"               # both for TLS, beside the state, or absolute paths
    certificates = "pki/dispensers"

    [crowd]                         # customers who come and go, at every dispenser
    [load]                          # or events as fast as wanted, without customers
    [physics]                       # how exact meters and sensors are, how warm the room is
    [faults]                        # shares of frames lost, doubled, damaged; how often worse things happen

    [[dispensers]]
    id = "bar-1"
    link = "serial"                 # or "mqtt", or "both" at once
    baud = 115200                   # 0: no pacing
    nozzles = ["table-red", ...]    # or how many, drawn from the catalogue by the seed
    ring = 2048                     # events that it can hold
    sample_hz = 0                   # how often sensors are read while something flows or somebody looks; 0: never
    faults = [                      # what happens when, by the verbs of `picante sim ctl`
        {at_s = 30, do = "unplug", seconds = 5},
    ]
    factory_new = false             # true: has no key yet
    count = 1                       # more than 1: bar-1, bar-2, ...

Whatever is left out has the default that stands in the classes below.
"""

from __future__ import annotations

import difflib
import random
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_type_hints

import msgspec
from msgspec import Meta

from firmware_bridge.messages import MAX_NOZZLES, NAME_BYTES
from heat.catalog import Catalog, default_catalog
from heat.errors import ConfigError, DataError
from heat.identity import check_name
from hw_sim.faults import FaultRates
from hw_sim.mishaps import planned
from hw_sim.physics import Physics
from hw_sim.plant import Nozzle
from hw_sim.shoppers.world import World

PositiveInt = Annotated[int, Meta(ge=1)]


class _Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    pass


class Broker(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Where the MQTT broker is."""

    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535)] = 1883
    ca: str | None = None
    """PEM file of the authority that signed the broker's certificate; with it, everything goes by TLS."""
    certificates: str | None = None
    """Folder with NAME.pem and NAME.key for each dispenser, as `picante gateway pki` makes it."""


class CrowdSettings(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Customers with a taste of their own."""

    world: World = "burn"
    """How they choose: `burn`, `satisficing` or `company` (docs/simulator.md)."""
    size: PositiveInt = 200
    """People."""
    visit_every_s: Annotated[float, Meta(gt=0)] = 20.0
    """Seconds from one customer's leaving to the next one's coming at a dispenser, on average."""
    pace: Annotated[float, Meta(ge=0)] = 1.0
    """How long reading, pouring and tasting take, by a real customer's time; 0: no time."""


class LoadSettings(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Events without customers, for measuring."""

    events_per_s: Annotated[float, Meta(ge=0)] = 0.0
    """Over all dispensers; 0: as fast as the rings take them, and never faster."""
    total: PositiveInt | None = None
    """Over all dispensers and all runs on one state directory; None: until stopped."""
    ask_share: Annotated[float, Meta(ge=0, le=1)] = 0.1
    """Share of customer sessions that ask for picks with a loyalty token."""
    customers: PositiveInt = 1000
    """Loyalty tokens to draw from."""


class DispenserSettings(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """One dispenser, or `count` of a kind."""

    id: str
    link: Literal["serial", "mqtt", "both"] = "serial"
    baud: Annotated[int, Meta(ge=0)] = 115_200
    nozzles: Annotated[int, Meta(ge=1, le=MAX_NOZZLES)] | tuple[str, ...] = 8
    ring: Annotated[int, Meta(ge=16, le=1_000_000)] = 2048
    sample_hz: Annotated[int, Meta(ge=0, le=50)] = 0
    """Readings a second while something flows, 10 as a rule, and one a second else; 0: its sensors are not read."""
    firmware: Annotated[str, Meta(min_length=1, max_length=32)] = "1.0.0"
    hardware: Annotated[str, Meta(min_length=1)] | None = None
    """Model, revision, serial number: what HELLO tells of it."""
    faults: tuple[dict[str, Any], ...] = ()
    """What goes wrong when: `at_s`, what to `do` (a verb of the control socket), and what that takes."""
    factory_new: bool = False
    """Whether it comes without a key, and has to be adopted."""
    count: PositiveInt = 1


class Scenario(_Section, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """All of it. `dispensers` are told one by one, whatever their `count` was."""

    seed: int = 1
    store: str = "store-1"
    gateway: str | None = None
    keys: str = "keys.toml"
    mqtt: Broker | None = None
    crowd: CrowdSettings | None = None
    load: LoadSettings | None = None
    physics: Physics = msgspec.field(default_factory=Physics)
    faults: FaultRates = msgspec.field(default_factory=FaultRates)
    dispensers: tuple[DispenserSettings, ...]


def load_scenario(path: Path) -> Scenario:
    """The scenario in a file. Raises ConfigError, naming the place."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint="Name a scenario file, such as scenarios/store.toml") from error
    return parse_scenario(text, str(path))


def parse_scenario(text: str, name: str = "scenario") -> Scenario:
    """The scenario in a TOML text. Raises ConfigError, naming the place."""
    try:
        table = tomllib.loads(text)
        _check_keys(table, Scenario, name)
        scenario = msgspec.convert(table, Scenario)
        check_name(scenario.store, "store")
    except (tomllib.TOMLDecodeError, msgspec.ValidationError, DataError) as error:
        raise ConfigError(f"{name}: {error}") from error
    dispensers = tuple(one for entry in scenario.dispensers for one in _each(entry))
    _check_broker(scenario.mqtt, name)
    _check_dispensers(dispensers, scenario.mqtt, name)
    return msgspec.structs.replace(scenario, dispensers=dispensers)


def nozzles_of(settings: DispenserSettings, seed: int, catalog: Catalog | None = None) -> list[Nozzle]:
    """The nozzles of a dispenser: those named, or so many drawn from the catalogue, mildest first."""
    catalog = catalog or default_catalog()
    if isinstance(settings.nozzles, int):
        rng = random.Random(f"{seed}:{settings.id}:nozzles")
        drawn = rng.sample(list(catalog.values()), min(settings.nozzles, len(catalog)))
        sauces = sorted(drawn, key=lambda sauce: sauce.shu)
    else:
        sauces = [catalog[sauce_id] for sauce_id in settings.nozzles]
    return [Nozzle(number, sauce) for number, sauce in enumerate(sauces, start=1)]


def _each(entry: DispenserSettings) -> list[DispenserSettings]:
    if entry.count == 1:
        return [entry]
    numbers = range(1, entry.count + 1)
    return [
        msgspec.structs.replace(
            entry,
            id=f"{entry.id}-{number}",
            hardware=None if entry.hardware is None else f"{entry.hardware}-{number}",
            count=1,
        )
        for number in numbers
    ]


def _check_broker(broker: Broker | None, name: str) -> None:
    if broker is not None and (broker.ca is None) != (broker.certificates is None):
        hint = "TLS wants both: whom dispensers trust, and who they are"
        raise ConfigError(f"{name}: mqtt.ca and mqtt.certificates go together", hint=hint)


def _check_dispensers(dispensers: tuple[DispenserSettings, ...], broker: Broker | None, name: str) -> None:
    if not dispensers:
        raise ConfigError(f"{name}: no dispensers", hint="Add a [[dispensers]] entry")
    seen: set[str] = set()
    for entry in dispensers:
        try:
            check_name(entry.id, "dispenser")
        except DataError as error:
            raise ConfigError(f"{name}: {error}") from error
        if entry.id in seen:
            raise ConfigError(f"{name}: dispenser {entry.id!r} stands there twice")
        if entry.link != "serial" and broker is None:
            raise ConfigError(f"{name}: dispenser {entry.id!r} needs a broker", hint="Add an [mqtt] section")
        if entry.hardware is not None and len(entry.hardware.encode()) > NAME_BYTES:
            hint = f"{NAME_BYTES} bytes fit into a HELLO"
            raise ConfigError(f"{name}: {entry.id}: hardware {entry.hardware!r} is too long", hint=hint)
        _check_nozzles(entry, name)
        _check_faults(entry, name)
        seen.add(entry.id)


def _check_nozzles(entry: DispenserSettings, name: str) -> None:
    if isinstance(entry.nozzles, int):
        return
    catalog = default_catalog()
    for sauce_id in entry.nozzles:
        if sauce_id not in catalog:
            nearest = _nearest(sauce_id, list(catalog))
            raise ConfigError(f"{name}: {entry.id}: no sauce {sauce_id!r} in the catalogue", hint=nearest)
    if not 1 <= len(entry.nozzles) <= MAX_NOZZLES:
        raise ConfigError(f"{name}: {entry.id}: {len(entry.nozzles)} nozzles", hint=f"Give 1 to {MAX_NOZZLES}")


def _check_faults(entry: DispenserSettings, name: str) -> None:
    for fault in entry.faults:
        try:
            planned(fault, entry.id)
        except msgspec.ValidationError as error:
            hint = 'It reads {at_s = 30, do = "unplug", seconds = 5}; `picante sim ctl` lists what there is'
            raise ConfigError(f"{name}: {entry.id}: fault {fault}: {error}", hint=hint) from error


def _check_keys(table: Mapping[str, Any], kind: type[Any], where: str) -> None:
    """Refuse a key that `kind` hasn't, and name the one that was meant."""
    hints = get_type_hints(kind)
    for key, value in table.items():
        if key not in kind.__struct_fields__:
            raise ConfigError(f"{where}: unknown key {key!r}", hint=_nearest(key, list(kind.__struct_fields__)))
        inner = next((t for t in (hints[key], *get_args(hints[key])) if _is_section(t)), None)
        entries = value if isinstance(value, list) else [value]
        for entry in entries:
            if inner is not None and isinstance(entry, dict):
                _check_keys(entry, inner, f"{where}: {key}")


def _is_section(hint: Any) -> bool:
    return isinstance(hint, type) and issubclass(hint, msgspec.Struct)


def _nearest(word: str, known: list[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.5)
    return f"Did you mean {close[0]!r}?" if close else f"Known: {', '.join(known)}"
