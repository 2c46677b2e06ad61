"""All dispensers of a scenario in one process: made from a state directory, run on one event loop, left on disk.

<state>/ports/usb-picante-<id>   the serial dispensers' ports
<state>/rings/<id>.ring          every dispenser's ring
<state>/rings/<id>.eeprom        its EEPROM: key, calibration, planogram, commands
<state>/journal.jsonl            what truly happened
<state>/keys.toml                the dispensers' keys, which the gateway reads as well
<state>/sim.sock                 the control socket
<state>/sim.lock                 held by the one simulator of this directory
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import functools
import random
import secrets
import ssl
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import IO, Any, Self

from heat.catalog import default_catalog
from heat.errors import ConfigError
from hw_sim.board import new_generation
from hw_sim.eeprom import Contents, Eeprom
from hw_sim.faults import FaultRates, Faults
from hw_sim.firmware import Firmware
from hw_sim.journal import Journal, Recorder
from hw_sim.keys import ensure_keys
from hw_sim.lines import Line
from hw_sim.load import keep_loading, share_of
from hw_sim.mcu import Identity
from hw_sim.mishaps import Mishap, planned, schedule
from hw_sim.mqtt_device import MqttLine, MqttSettings, trust
from hw_sim.plant import Plant
from hw_sim.ports import PortSettings, SerialLine
from hw_sim.ring import Ring
from hw_sim.sampling import keep_sampling
from hw_sim.scenario import Broker, DispenserSettings, Scenario, nozzles_of
from hw_sim.shoppers.world import Crowd
from hw_sim.shopping import keep_shop
from hw_sim.unit import Unit
from hw_sim.verbs import NotDone

DRAIN_POLL_S = 0.05


def ring_path(state: Path, dispenser: str) -> Path:
    """Where a dispenser's ring is."""
    return state / "rings" / f"{dispenser}.ring"


def eeprom_path(state: Path, dispenser: str) -> Path:
    """Where a dispenser's EEPROM is."""
    return state / "rings" / f"{dispenser}.eeprom"


def port_path(state: Path, dispenser: str) -> Path:
    """The port of a serial dispenser."""
    return state / "ports" / f"usb-picante-{dispenser}"


def journal_path(state: Path) -> Path:
    """Where the journal is."""
    return state / "journal.jsonl"


def lock_state(state: Path) -> IO[str]:
    """Have a state directory for ourselves, until the file is closed. Raises ConfigError if somebody else has it."""
    state.mkdir(parents=True, exist_ok=True)
    lock = (state / "sim.lock").open("w", encoding="ascii")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        lock.close()
        raise ConfigError(f"another simulator runs in {state}", hint="Stop it, or give another --state") from error
    return lock


class Simulation:
    """The dispensers of a scenario, running. Use it as an asynchronous context."""

    def __init__(self, scenario: Scenario, state: Path) -> None:
        self.scenario = scenario
        self.state = state
        self.units: dict[str, Unit] = {}
        self.opened = asyncio.Event()
        """Set while customers may come and load is made."""
        self.opened.set()
        self._tasks: list[asyncio.Task[None]] = []
        self._trouble: list[asyncio.Task[None]] = []
        self._lock: IO[str] | None = None
        self._journal: Journal | None = None

    async def __aenter__(self) -> Self:
        try:
            self._open()
        except BaseException:
            await self.__aexit__()
            raise
        return self

    def _open(self) -> None:
        self._lock = lock_state(self.state)
        self._journal = Journal(journal_path(self.state))
        names = [settings.id for settings in self.scenario.dispensers if not settings.factory_new]
        keys = ensure_keys(self.state / self.scenario.keys, names)
        last = self._journal.last_sequences()
        for settings in self.scenario.dispensers:
            unit = self._make_unit(settings, keys.get(settings.id), self._journal, last)
            self.units[settings.id] = unit
            unit.line.plug()
        self._start_customers()
        self._start_sampling()
        self._start_trouble()

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._tasks, *self._trouble):
            task.cancel()
        await asyncio.gather(*self._tasks, *self._trouble, return_exceptions=True)
        await asyncio.gather(*(unit.aclose() for unit in self.units.values()))
        if self._journal is not None:
            self._journal.close()
        if self._lock is not None:
            self._lock.close()

    def check_tasks(self) -> None:
        """Raise what a customer's task died of, if one did."""
        for task in (*self._tasks, *self._trouble):
            if task.done() and not task.cancelled():
                task.result()

    async def drain(self, deadline_s: float) -> bool:
        """Let nobody in any more, mend what is broken, and wait until every ring is empty; whether it was in time."""
        self.opened.clear()
        for task in self._trouble:
            task.cancel()
        for unit in self.units.values():
            unit.heal()
        give_up = asyncio.get_running_loop().time() + deadline_s
        while any(unit.header.held or unit.in_use.locked() for unit in self.units.values()):
            if asyncio.get_running_loop().time() >= give_up:
                return False
            await asyncio.sleep(DRAIN_POLL_S)
        return True

    @property
    def load_is_done(self) -> bool:
        """Whether a load with a total has all been made."""
        load = self.scenario.load
        return load is not None and load.total is not None and all(task.done() for task in self._tasks)

    def _make_unit(
        self, settings: DispenserSettings, key: bytes | None, journal: Journal, last: dict[tuple[str, int], int]
    ) -> Unit:
        ring = Ring.open(ring_path(self.state, settings.id), settings.ring, lambda: new_generation(secrets.token_bytes))
        recorder = Recorder(settings.id, ring, journal)
        recorder.catch_up(last.get((settings.id, ring.header.generation), 0))
        eeprom = Eeprom.open(eeprom_path(self.state, settings.id), Contents(key=key))
        rng = random.Random(f"{self.scenario.seed}:{settings.id}:plant")
        nozzles = nozzles_of(settings, self.scenario.seed)
        plant = Plant(nozzles, self.scenario.physics, rng, eeprom.pulses_per_ml, eeprom.tare_ml)
        unit = Unit(
            Identity(settings.id, settings.firmware, eeprom.contents.key, settings.hardware),
            plant,
            recorder,
            eeprom,
            secrets.token_bytes,
            functools.partial(self._on_mqtt if settings.link == "mqtt" else self._on_serial, settings, recorder),
        )
        if settings.link == "both":
            unit.add_network(functools.partial(self._on_mqtt, settings, recorder))
        return unit

    def _on_serial(self, settings: DispenserSettings, recorder: Recorder, firmware: Firmware) -> Line:
        rates, seed = self.scenario.faults, f"{self.scenario.seed}:{settings.id}:faults"
        port = PortSettings(port_path(self.state, settings.id), settings.baud)
        return SerialLine(firmware, port, Faults(rates, seed, recorder.note_fault))

    def _on_mqtt(self, settings: DispenserSettings, recorder: Recorder, firmware: Firmware) -> Line:
        rates, seed = self.scenario.faults, f"{self.scenario.seed}:{settings.id}:faults"
        # TCP lets no damaged byte through
        intact = FaultRates(drop=rates.drop, duplicate=rates.duplicate)
        broker = self.scenario.mqtt or Broker()
        where = MqttSettings(broker.host, broker.port, self.scenario.store, settings.id, self._tls(broker, settings.id))
        return MqttLine(firmware, where, Faults(intact, seed, recorder.note_fault))

    def _tls(self, broker: Broker, dispenser: str) -> Callable[[], ssl.SSLContext] | None:
        if broker.ca is None or broker.certificates is None:
            return None
        own = self.state / broker.certificates / f"{dispenser}.pem"
        return functools.partial(trust, self.state / broker.ca, own, own.with_suffix(".key"))

    def _start_customers(self) -> None:
        scenario = self.scenario
        units = list(self.units.values())
        if scenario.crowd is not None:
            crowd = Crowd(scenario.seed, scenario.crowd.size, default_catalog(), scenario.crowd.world)
            for unit in units:
                rng = random.Random(f"{scenario.seed}:{unit.name}:crowd")
                self._start(f"shop {unit.name}", keep_shop(unit, crowd, scenario.crowd, rng, self.opened))
        if scenario.load is not None:
            for index, unit in enumerate(units):
                rng = random.Random(f"{scenario.seed}:{unit.name}:load")
                share = share_of(scenario.load, index, len(units))
                self._start(f"load {unit.name}", keep_loading(unit, share, rng, self.opened))

    def _start_sampling(self) -> None:
        for settings in self.scenario.dispensers:
            if settings.sample_hz:
                work = keep_sampling(self.units[settings.id], settings.sample_hz)
                self._trouble.append(asyncio.create_task(work, name=f"sensors {settings.id}"))

    def _start_trouble(self) -> None:
        for settings in self.scenario.dispensers:
            set_times = [planned(fault, settings.id) for fault in settings.faults]
            mishaps = schedule(self.scenario.faults, set_times, self.scenario.seed, settings.id)
            work = _befall(self.units[settings.id], mishaps)
            self._trouble.append(asyncio.create_task(work, name=f"trouble {settings.id}"))

    def _start(self, name: str, work: Coroutine[Any, Any, None]) -> None:
        self._tasks.append(asyncio.create_task(work, name=name))


async def _befall(unit: Unit, mishaps: Iterator[Mishap]) -> None:
    """Let mishaps happen to a dispenser when it is their time."""
    begun_s = asyncio.get_running_loop().time()
    for mishap in mishaps:
        await asyncio.sleep(begun_s + mishap.at_s - asyncio.get_running_loop().time())
        with contextlib.suppress(NotDone):  # chance has cut the power already, say
            await mishap.trouble.at(unit)
