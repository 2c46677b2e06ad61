"""The composition root: configuration in, a running daemon out.

    store -> ingest, recommender -> dispensers -> serial ports, MQTT      uplink      web      housekeeping

All parts run in one task group under the supervisor. SIGTERM and SIGINT set `stopping`: links close, the store flushes,
and the daemon is gone within 5 s, whatever Kafka, brokers or browsers do meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import logging
import os
import signal
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import Any, NoReturn

from cloud_sync.settings import UplinkSettings
from cloud_sync.uplink import Uplink
from firmware_bridge.line import is_url
from firmware_bridge.mqtt_link import MqttLink
from firmware_bridge.mqtt_settings import MqttSettings
from firmware_bridge.serial_link import SerialLink
from firmware_bridge.verbs import Calibrate, Tare
from gateway import housekeeping, keyring, store
from gateway.adoption import Adoption
from gateway.clock import HOUR_MS, Clock, kernel_boot_id, uptime_ns
from gateway.commands import CommandRefused, Commands
from gateway.config import Config, MqttSection, SerialSection, TlsSection, load_dispenser_keys, load_pseudonym_key
from gateway.dating import register_boot
from gateway.dispensers import Dispensers
from gateway.door import Door
from gateway.home_assistant import HomeAssistant
from gateway.ingest import Ingest, Stored
from gateway.judge import Limits
from gateway.log import catch_up as log_catch_up
from gateway.notify import Notifier
from gateway.orders import Order
from gateway.outbox import StoreOutbox
from gateway.picks import Recommender
from gateway.plans import load_plans
from gateway.ports import Ports, Rates
from gateway.provisioning import Fleet, Provisioning, load_fleet
from gateway.sample_file import FILE, SampleFile
from gateway.samples import Samples
from gateway.scorer import open_onnx, probe
from gateway.security import check_dates, load_credentials, load_security
from gateway.state import GatewayState
from gateway.summaries import Summaries
from gateway.supervisor import Supervisor
from gateway.tracing import Tracer
from gateway.web.server import serve
from heat.catalog import Catalog, default_catalog, parse_catalog
from heat.errors import ConfigError, DataError, ModelError, ScorerError, StoreError
from heat.identity import EventId
from heat.scale import default_words, parse_words
from models.bundle import load as load_bundle
from models.bundle import pretrained
from models.ranker import RuleRanker, open_ranker

log = logging.getLogger("gateway.app")

HOUSEKEEPING_S = 1.0
ADOPTING_S = 1.0
STOP_GRACE_S = 3.0
"""s that parts get to end after they were cancelled."""


async def run(config: Config) -> None:
    """Run the gateway until it is told to stop.

    Raises:
        ConfigError: a file that the configuration names can't be used.
        StoreError: the store can't be opened, or broke while running.
    """
    async with _assemble(config) as state:
        leave_to_stay()
        loop = asyncio.get_running_loop()
        for told in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(told, _stop, state, told)
        notifier = Notifier()
        work = asyncio.create_task(_run_parts(state, notifier), name="parts")
        stop = asyncio.create_task(state.stopping.wait(), name="stop")
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        notifier.tell("STOPPING=1")
        stop.cancel()
        work.cancel()
        _, late = await asyncio.wait([work], timeout=STOP_GRACE_S)
        if late:
            log.warning("parts did not end in %s s", STOP_GRACE_S)
        elif not work.cancelled() and (error := work.exception()) is not None:
            raise _first(error)
    if state.store.broken is not None:
        raise state.store.broken


def leave_to_stay() -> None:
    """Let the garbage collector look no more at what is there by now: libraries, and what the daemon is made of.

    It goes through everything now and then, and a customer's picks wait: 40 ms on a PC for these 89,000 objects.
    """
    gc.freeze()


def _stop(state: GatewayState, told: signal.Signals) -> None:
    log.info("told to stop by %s", told.name)
    state.stopping.set()


def _first(error: BaseException) -> BaseException:
    """The error itself, out of the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def _run_parts(state: GatewayState, notifier: Notifier) -> None:
    config, supervise = state.config, state.supervisor.run
    answering = asyncio.Event()
    async with asyncio.TaskGroup() as group:

        def start(name: str, coroutine: Coroutine[Any, Any, None]) -> None:
            group.create_task(coroutine, name=name)

        start("web", serve(state, answering.set))
        start("notify", notifier.run(state.store, answering, lambda: _status(state)))
        if state.recommender.ranker.scorer == "numpy":
            start("scorer", _use_onnx(state))
        start("housekeeping", supervise("housekeeping", lambda: _keep_house(state)))
        start("commands", supervise("commands", lambda: state.commands.run(state.dispensers.reach)))
        start("adoption", supervise("adoption", lambda: _keep_adopting(state)))
        if config.serial is not None:
            start("serial", _ports(state, config.serial).run())
        if config.mqtt is not None:
            home = HomeAssistant(state) if config.mqtt.home_assistant else None
            start("mqtt", supervise("mqtt", lambda: _run_mqtt(state, config.mqtt, home)))  # type: ignore[arg-type]
            if home is not None:
                start("home assistant", supervise("home assistant", home.run))
        start("samples", supervise("samples", state.samples.run))
        if state.uplink is not None:
            start("uplink", _keep_uplink(state, state.uplink))
            start("summaries", supervise("summaries", state.summaries.run))


async def check(config: Config) -> list[str]:
    """What a configuration leads to, a line each, having read every file that it names, and tried the bundle.

    Raises:
        ConfigError: a file can't be used.
        ModelError: the bundle can't be used (the daemon would run, and rank by rule).
    """
    given = _given_keys(config)
    _, key_version = load_pseudonym_key(config.path(config.keys.pseudonym))
    door = _open_door(config)
    fleet = load_fleet(config.path(provisioned), door.catalog) if (provisioned := config.keys.provisioning) else None
    adopted = _count_adopted(config, {**given, **(fleet.keys if fleet else {})})
    bundle = load_bundle(_bundle_path(config))
    load_security(config)
    load_credentials(config)
    check_dates(config)
    scored_by = "onnxruntime"
    try:
        await probe(bundle.path)
    except ScorerError as error:
        scored_by = f"NumPy: {error}"
    return [
        f"gateway    {config.gateway.id} in store {config.gateway.store}, region {config.gateway.region}",
        f"data       {config.path(config.gateway.data_dir)}, at most {config.gateway.quota_mb} MiB",
        f"keys       {adopted}, pseudonym key version {key_version}",
        f"fleet      {_fleet(fleet)}",
        f"sauces     {len(door.catalog)} of catalogue {door.catalog.version}, words {door.words.version}",
        f"ranker     bundle {bundle.short_id}, scored by {scored_by}",
        f"serial     {', '.join(config.serial.ports) if config.serial else 'none'}",
        f"mqtt       {_mqtt(config)}",
        f"kafka      {_kafka(config)}",
        f"page       http://{config.http.host}:{config.http.port}/",
    ]


def _count_adopted(config: Config, given: Mapping[str, bytes]) -> str:
    directory = config.path(config.gateway.data_dir)
    if directory.exists() and not os.access(directory, os.X_OK):
        return f"{len(given)} dispensers in files (those adopted here are the daemon's alone to read)"
    return f"{len(keyring.load(directory, given).adopted)} dispensers"


def _fleet(fleet: Fleet | None) -> str:
    if fleet is None:
        return "none: dispensers are adopted by hand"
    return f"{len(fleet.dispensers)} dispensers by id, {len(fleet.hardware)} by hardware"


def _mqtt(config: Config) -> str:
    mqtt = config.mqtt
    if mqtt is None:
        return "none"
    parts = [f"{mqtt.host}:{mqtt.port}", *_proofs(config, mqtt)]
    return ", ".join(parts if mqtt.username is None else [*parts, f"user {mqtt.username}"])


def _kafka(config: Config) -> str:
    kafka = config.kafka
    if kafka is None:
        return "none: events stay here"
    parts = [kafka.bootstrap, *_proofs(config, kafka)]
    if kafka.username is not None:
        parts.append(f"user {kafka.username} by {kafka.sasl_mechanism}")
    return ", ".join([*parts, f"position in {kafka.position}"])


def _proofs(config: Config, section: TlsSection) -> list[str]:
    encrypted = "TLS" if section.tls else "not encrypted"
    return (
        [encrypted] if section.certificate is None else [encrypted, f"certificate {config.path(section.certificate)}"]
    )


# -- assembly -------------------------------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def _assemble(config: Config) -> AsyncIterator[GatewayState]:
    dispenser_keys = _given_keys(config)
    pseudonym_key = load_pseudonym_key(config.path(config.keys.pseudonym))
    load_credentials(config)
    door = _open_door(config)
    ranker, model_error = open_ranker(_bundle_path(config))
    if model_error is not None:
        log.warning("%s", model_error)
    section = config.gateway
    opened = store.open_store(
        store.Settings(
            config.path(section.data_dir),
            section.id,
            section.quota_mb * 1024 * 1024,
            section.ballast_mb * 1024 * 1024,
            section.commit_interval_ms,
        )
    )
    try:
        clock, boot = await _start_clock(config, opened)
        outbox = StoreOutbox(opened, lambda: clock.holds)

        def on_commit(_stored: Stored, _event_id: EventId) -> None:
            outbox.wake()

        ingest = Ingest(opened, clock, door, boot, on_commit)
        recommender = Recommender(opened, clock, door, boot, ranker, pseudonym_key, outbox.wake)
        commands = Commands(opened, clock, boot)
        keys = keyring.load(config.path(section.data_dir), dispenser_keys)
        reader = opened.reader()
        samples = _open_samples(config, clock)
        commands.done = functools.partial(_note_done, samples)
        place = section.store, section.region
        plans = load_plans(opened, reader)
        dispensers = Dispensers(keys, opened, clock, ingest, recommender, commands, samples)
        adoption = Adoption(dispensers, plans, door.catalog, commands)
        state = GatewayState(
            config=config,
            store=opened,
            reader=reader,
            clock=clock,
            outbox=outbox,
            catalog=door.catalog,
            ingest=ingest,
            recommender=recommender,
            commands=commands,
            dispensers=dispensers,
            plans=plans,
            adoption=adoption,
            provisioning=_provisioning(config, door.catalog, adoption, dispensers),
            samples=samples,
            summaries=Summaries(samples, opened, clock, boot, place, outbox.wake),
            supervisor=Supervisor(),
            uplink=_uplink(config, outbox),
            model_error=model_error,
            stopping=asyncio.Event(),
            boot=boot,
            tracer=Tracer(section.id),
        )
        try:
            if state.provisioning is not None:
                await state.provisioning.start()
            yield state
        finally:
            await dispensers.aclose()
            recommender.close()
            reader.close()
            await asyncio.to_thread(samples.close)
    finally:
        await asyncio.to_thread(opened.close)


def _given_keys(config: Config) -> dict[str, bytes]:
    """The keys of the keys file, which need not be there unless gateway.toml names it."""
    path = config.path(config.keys.dispensers)
    if "dispensers" not in config.keys.model_fields_set and not path.exists():
        return {}
    return load_dispenser_keys(path)


def _provisioning(config: Config, catalog: Catalog, adoption: Adoption, dispensers: Dispensers) -> Provisioning | None:
    if config.keys.provisioning is None:
        return None
    path, keys = config.path(config.keys.provisioning), dispensers.keyring
    return Provisioning(path, catalog, adoption, keys, dispensers.strangers, keys.given)


def _note_done(samples: Samples, order: Order) -> None:
    """A sensor that was set anew has to be learned anew."""
    said = order.read_arguments()
    if isinstance(said, Calibrate | Tare):
        samples.set_anew(order.dispenser, said.nozzle)


def _open_samples(config: Config, clock: Clock) -> Samples:
    section = config.samples
    path = config.path(config.gateway.data_dir) / FILE
    file = SampleFile(path, section.budget_mib * 1024 * 1024, kernel_boot_id())
    return Samples(file, clock, Limits(section.coldest_c, section.warmest_c))


async def _start_clock(config: Config, opened: store.Store) -> tuple[Clock, int]:
    """The clock, with what the store remembers of it, and the number of this kernel boot."""
    section = config.clock
    clock = Clock(section.trust, synchronised=config.path(section.synchronised), hold_ms=section.hold_hours * HOUR_MS)
    boot_id, boot_ms = kernel_boot_id(), uptime_ns() // 1_000_000
    boot = await asyncio.wrap_future(opened.write(lambda tx: register_boot(tx, boot_id, boot_ms), upkeep=True))
    clock.recall(boot.offset_ms, boot.newest_ms, boot.unknown)
    return clock, boot.number


def _bundle_path(config: Config) -> Path:
    return config.path(config.picks.bundle) if config.picks.bundle is not None else pretrained()


def _open_door(config: Config) -> Door:
    picks = config.picks
    try:
        catalog = parse_catalog(_read(config.path(picks.catalog))) if picks.catalog else default_catalog()
        words = parse_words(_read(config.path(picks.words))) if picks.words else default_words()
    except DataError as error:
        raise ConfigError(str(error)) from error
    return Door(catalog, words, config.gateway.store, config.gateway.region)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="[picks] in gateway.toml names this file") from error


def _uplink(config: Config, outbox: StoreOutbox) -> Uplink | None:
    if config.kafka is None:
        return None
    load_security(config)
    return Uplink(
        outbox,
        UplinkSettings(
            config.kafka.bootstrap,
            config.gateway.id,
            config.kafka.position,
            security=functools.partial(load_security, config),
        ),
    )


# -- parts ----------------------------------------------------------------------------------------------------------


def _ports(state: GatewayState, section: SerialSection) -> Ports:
    def make(port: str, baud: int) -> SerialLink:
        return SerialLink(port, baud, state.dispensers, state.dispensers, state.tracer)

    patterns = [port if is_url(port) else str(state.config.path(port)) for port in section.ports]
    rates = {
        port if is_url(port) else str(state.config.path(port)): rate for port, rate in section.baud_by_port.items()
    }
    return Ports(patterns, Rates(section.baud, rates), state.supervisor, state.serial, make)


async def _run_mqtt(state: GatewayState, section: MqttSection, home: HomeAssistant | None) -> None:
    gateway = state.config.gateway
    settings = MqttSettings(
        section.host,
        section.port,
        f"picante-{gateway.id}",
        gateway.store,
        functools.partial(load_credentials, state.config),
    )
    link = state.mqtt = MqttLink(settings, state.dispensers, state.dispensers, home, state.tracer)
    await link.run()


async def _keep_uplink(state: GatewayState, uplink: Uplink) -> NoReturn:
    """Keep the way to Kafka supervised; where a foreign instance stopped it, again once that is adopted."""
    while True:
        await state.supervisor.run("uplink", uplink.run)
        await uplink.wait_for_adoption()


def _status(state: GatewayState) -> str:
    """The daemon in a line, for `systemctl status`."""
    online = sum(dispenser.online for dispenser in state.dispensers.known.values())
    return f"{online} dispensers online, Kafka: {state.uplink.status.state if state.uplink else 'none'}"


async def _use_onnx(state: GatewayState) -> None:
    """Let onnxruntime score, if it works here; NumPy has the same scores, unless the bundle contradicts itself."""
    try:
        state.recommender.ranker = await open_onnx(_bundle_path(state.config))
    except ModelError as error:
        if not isinstance(error, ScorerError):
            state.recommender.ranker = RuleRanker()
        state.model_error = error
        log.warning("%s", error)


async def _keep_adopting(state: GatewayState) -> None:
    """Let in whom the provisioning file names, and send new keys until they are proved."""
    while True:
        if state.provisioning is not None:
            with contextlib.suppress(StoreError):  # told of by the store; tried again in a second
                await state.provisioning.look()
        with contextlib.suppress(CommandRefused, StoreError):
            await state.adoption.carry_on()
        state.dispensers.strangers.look()
        await asyncio.sleep(ADOPTING_S)


async def _keep_house(state: GatewayState) -> None:
    """Give waiting events their day, end idle sessions, prune what Kafka has; end the daemon if the store broke."""
    clock = state.clock
    while True:
        log_catch_up()
        if state.store.broken is not None:
            state.stopping.set()
            return
        clock.look()
        with contextlib.suppress(StoreError):  # as below
            await housekeeping.date_anew(clock, state.store, state.outbox, state.boot, sending=state.uplink is not None)
            await housekeeping.note_wait(clock, state.store)
        state.outbox.look()
        now, full = clock.now(), state.store.full is not None
        work = housekeeping.due(state.reader, now, state.boot, given_up=clock.waits_ms() == 0, full=full)
        if work is not None:
            with contextlib.suppress(StoreError):  # full: looked at again in a second; broken: seen above
                await asyncio.wrap_future(state.store.write(work, upkeep=True))
                state.outbox.wake()
        await asyncio.sleep(HOUSEKEEPING_S)
