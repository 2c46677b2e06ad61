"""Dispensers as devices of Home Assistant, which finds them by itself on the shop's broker.

    homeassistant/device/STORE/DISPENSER/config   retained: what there is to see of a dispenser ("device discovery")
    picante/home/STORE/DISPENSER/state            retained: how it is now, a JSON object
    picante/home/STORE/availability               retained: whether the gateway is there; its last will is `offline`

The gateway itself is one more device (`home_gateway`).

Nothing is heard from Home Assistant, and nothing of a customer is told. What is told changes at most every `EVERY_S`; a
dispenser that is not adopted any more is taken back, also one that an earlier life of the gateway told of: its retained
configuration comes back from the broker. The format: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NoReturn

import msgspec

from gateway import home_gateway
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.levels import Levels
from heat.errors import DataError
from heat.events import Poured, read_data
from heat.identity import check_name

if TYPE_CHECKING:
    from gateway.web.repairs.repair import Repair

log = logging.getLogger("gateway.home_assistant")

EVERY_S = 5.0
"""s between two looks: what is told of a dispenser, and what a broker's SD card has to take of it."""
MAX_DEVICES = 500
"""Dispensers that are told of, and configurations that are remembered."""
MAX_BYTES = 12 * 1024
"""Bytes of what is told of a dispenser at once. A broker ends the connection over a packet that is larger than it takes
(16,384 bytes with the configuration of deploy/), and with it every dispenser's. Twelve nozzles take ten thousand."""
LOOK_BACK = 500
"""Rows in which the last pours are looked for at the start, and that are read at a time."""
MOST_READS = 100
"""Reads of so many rows at one look: ten thousand events a second, which is all that the store takes."""

Publish = Callable[[str, bytes], None]
"""Send a retained message: its topic and payload. An empty one takes the topic's message back."""


@dataclass(frozen=True, slots=True)
class Told:
    """What Home Assistant is told of one dispenser."""

    name: str
    firmware: str
    online: bool
    events: int
    """Since the gateway started."""
    nozzles: tuple[tuple[int, str, int], ...]
    """(nozzle, what the sauce is called, ml)."""
    pour: tuple[str, str] | None
    """The last one: when, in ISO 8601, and what the sauce is called."""
    label: str | None = None
    """What people call it."""


# -- what is said -----------------------------------------------------------------------------------------------------


def availability_topic(store: str) -> str:
    """Where the gateway says that it is there."""
    return f"picante/home/{store}/availability"


def state_topic(store: str, dispenser: str) -> str:
    """Where a dispenser's state is."""
    return f"picante/home/{store}/{dispenser}/state"


def config_topic(store: str, dispenser: str) -> str:
    """Where a dispenser is announced; `+` for all of them."""
    return f"homeassistant/device/{store}/{dispenser}/config"


def state_of(told: Told) -> dict[str, Any]:
    """A dispenser's state, as the templates of `config_of` read it."""
    when, sauce = told.pour or (None, None)
    return {
        "availability": "online" if told.online else "offline",
        "events": told.events,
        "last_pour": when,
        "last_sauce": sauce,
        "nozzles": {f"n{nozzle}": {"sauce": name, "level_ml": level} for nozzle, name, level in told.nozzles},
    }


def config_of(store: str, told: Told) -> dict[str, Any]:
    """What announces a dispenser: a device, and an entity for each thing to see."""
    identity = f"picante-{store}-{told.name}"
    gateway = {"topic": availability_topic(store)}
    own = {"topic": state_topic(store, told.name), "value_template": "{{ value_json.availability }}"}
    entities = {
        "online": {
            "platform": "binary_sensor",
            "name": "Online",
            "device_class": "connectivity",
            "entity_category": "diagnostic",
            "value_template": own["value_template"],
            "payload_on": "online",
            "payload_off": "offline",
            "availability": [gateway],  # its own absence is what it tells
        },
        "events": _sensor("Events", "events", state_class="total_increasing", entity_category="diagnostic"),
        "last_pour": _sensor("Last pour", "last_pour", device_class="timestamp"),
        "last_sauce": _sensor("Last sauce", "last_sauce"),
    }
    for nozzle, _, _ in told.nozzles:
        entities[f"nozzle_{nozzle}_sauce"] = _sensor(f"Nozzle {nozzle} sauce", f"nozzles.n{nozzle}.sauce")
        entities[f"nozzle_{nozzle}_level"] = _sensor(
            f"Nozzle {nozzle} level",
            f"nozzles.n{nozzle}.level_ml",
            device_class="volume_storage",
            unit_of_measurement="mL",
            state_class="measurement",
        )
    return {
        "device": {
            "identifiers": [identity],
            "name": told.label or told.name,
            "manufacturer": "Picante",
            "model": "Hot sauce dispenser",
            "sw_version": told.firmware,
        },
        "origin": {"name": "Picante", "sw_version": version("picante")},
        "availability": [gateway, own],
        "availability_mode": "all",
        "state_topic": own["topic"],
        "qos": 1,
        "components": {name: {**entity, "unique_id": f"{identity}-{name}"} for name, entity in entities.items()},
    }


def _sensor(name: str, path: str, **more: str) -> dict[str, Any]:
    return {"platform": "sensor", "name": name, "value_template": f"{{{{ value_json.{path} }}}}", **more}


def without_what_is_gone(config: dict[str, Any], before: bytes) -> dict[str, Any] | None:
    """A configuration that removes what one before it had and this one has not; None if there is no such thing."""
    try:
        had = msgspec.json.decode(before)["components"]
        gone = {name: {"platform": str(had[name]["platform"])} for name in had.keys() - config["components"].keys()}
    except (msgspec.DecodeError, AttributeError, KeyError, TypeError):  # somebody else's
        return None
    return {**config, "components": config["components"] | gone} if gone else None


# -- saying it --------------------------------------------------------------------------------------------------------


class HomeAssistant:
    """Tells Home Assistant over whichever connection to the broker is up (`firmware_bridge.mqtt_link.Companion`)."""

    def __init__(self, state: GatewayState) -> None:
        self.repairs: Callable[[], Sequence[Repair]] | None = None
        """What wants repair, the worst first; None while the web is not there yet."""
        self._gateway = state
        self._store = state.config.gateway.store
        self.filters = (config_topic(self._store, "+"),)
        self.will = (availability_topic(self._store), b"offline")
        self._publish: Publish | None = None
        self._fresh = False
        """Whether what the broker retained may still be on its way here."""
        self._configs: dict[str, bytes] = {}
        """What the broker has, by dispenser."""
        self._states: dict[str, bytes] = {}
        """What was told on this connection."""
        self._own: tuple[bytes, bytes] | None = None
        """What was told of the gateway on this connection: its announcement, its state."""
        self._levels = Levels(state.reader)
        self._pours: dict[str, tuple[str, str]] = {}
        self._position = max(reads.backlog(state.reader).stored - LOOK_BACK, 0)

    def connected(self, publish: Publish) -> None:
        """See `Companion`."""
        self._publish, self._fresh = publish, True
        self._configs.clear()
        self._states.clear()
        self._own = None
        publish(availability_topic(self._store), b"online")

    def disconnected(self) -> None:
        """See `Companion`."""
        self._publish = None

    def heard(self, topic: str, payload: bytes) -> None:
        """See `Companion`: a configuration that is retained at the broker, ours or another life's."""
        name = topic.split("/")[3]
        try:
            check_name(name, "dispenser")
        except DataError:
            return  # no dispenser of ours is called so
        if not payload:
            self._configs.pop(name, None)
        elif len(self._configs) < MAX_DEVICES:
            self._configs[name] = payload

    async def run(self) -> NoReturn:
        """Look, and tell what has changed, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await self._catch_up()
            told = self._look()
            if self._publish is not None and not self._fresh:
                self._tell(told, self._publish)
                if self.repairs is not None:
                    self._tell_of_gateway(self._publish, self.repairs())
            self._fresh = False

    def _tell(self, dispensers: list[Told], publish: Publish) -> None:
        said = {told.name: (config_of(self._store, told), msgspec.json.encode(state_of(told))) for told in dispensers}
        self._note_untold(
            {name for name, (config, state) in said.items() if max(_size(config), len(state)) > MAX_BYTES}
        )
        for name, (config, state) in said.items():
            if name in self._gateway.untold:
                continue
            payload, before = msgspec.json.encode(config), self._configs.get(name)
            if before != payload:
                self._configs[name] = payload
                if before is not None and (removing := without_what_is_gone(config, before)) is not None:
                    # where both are too much at once, the device goes, and comes again
                    larger = b"" if _size(removing) > MAX_BYTES else msgspec.json.encode(removing)
                    publish(config_topic(self._store, name), larger)
                publish(config_topic(self._store, name), payload)
            if self._states.get(name) != state:
                self._states[name] = state
                publish(state_topic(self._store, name), state)
        for name in self._configs.keys() - (said.keys() - self._gateway.untold):
            publish(config_topic(self._store, name), b"")
            publish(state_topic(self._store, name), b"")
            del self._configs[name]
            self._states.pop(name, None)

    def _tell_of_gateway(self, publish: Publish, repairs: Sequence[Repair]) -> None:
        store, name = self._store, home_gateway.NAME
        at = config_topic(store, name), state_topic(store, name)
        config = home_gateway.config_of(
            store, self._gateway.config.gateway.id, version("picante"), at[1], availability_topic(store)
        )
        told = msgspec.json.encode(config), msgspec.json.encode(home_gateway.state_of(repairs))
        for topic, payload, before in zip(at, told, self._own or (None, None), strict=True):
            if payload != before:
                publish(topic, payload)
        self._own = told

    def _note_untold(self, untold: set[str]) -> None:
        for name in sorted(untold - self._gateway.untold):
            log.warning("not told to Home Assistant: more than %d bytes", MAX_BYTES, extra={"dispenser": name})
        self._gateway.untold = untold

    async def _catch_up(self) -> None:
        """Take in what was stored since the last look, leaving the loop to others in between."""
        for _ in range(MOST_READS):
            behind = self._levels.look(), self._look_at_pours()
            if not any(behind):
                return
            await asyncio.sleep(0)

    def _look(self) -> list[Told]:
        """The adopted dispensers that ever opened a link."""
        gateway = self._gateway
        adopted = [
            stored
            for stored in reads.dispensers(gateway.reader)
            if gateway.dispensers.key_of(stored.name, None) is not None
        ]
        return [self._told(stored) for stored in adopted[:MAX_DEVICES]]

    def _told(self, stored: reads.StoredDispenser) -> Told:
        known = self._gateway.dispensers.known.get(stored.name)
        nozzles = [
            (nozzle, self._called(sauce), level if (now := self._levels.level_ml(stored.name, nozzle)) is None else now)
            for nozzle, sauce, level in stored.nozzles
        ]
        return Told(
            name=stored.name,
            firmware=stored.firmware,
            online=known is not None and known.online,
            events=known.events if known is not None else 0,
            nozzles=tuple(nozzles),
            pour=self._pours.get(stored.name),
            label=self._gateway.plans.of(stored.name).name,
        )

    def _look_at_pours(self) -> bool:
        rows = reads.rows_after(self._gateway.reader, self._position, LOOK_BACK)
        for row in rows:
            self._position = row.position
            data = read_data(row.type, row.data) if row.type == Poured.type else None
            if isinstance(data, Poured) and row.clock != "unknown":
                self._pours[row.source] = (reads.moment(row.time_ms).isoformat(), self._called(data.sauce))
        return len(rows) == LOOK_BACK

    def _called(self, sauce: str) -> str:
        known = self._gateway.catalog.get(sauce)
        return known.name if known is not None else sauce


def _size(config: dict[str, Any]) -> int:
    return len(msgspec.json.encode(config))
