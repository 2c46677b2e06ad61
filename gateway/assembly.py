"""The composition root: configuration in, the daemon's parts out, joined and not yet running.

store -> ingest, recommender, samples, commands -> dispensers -> serial ports, MQTT      uplink      web
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

from cloud_sync.downlink import Downlink
from cloud_sync.settings import ConnectionSettings, UplinkSettings
from cloud_sync.supervisor import Supervisor
from cloud_sync.uplink import Uplink
from firmware_bridge.verbs import Calibrate, Tare
from gateway import keyring, store
from gateway.access.access import open_access
from gateway.adoption import Adoption
from gateway.bundle_folder import Bundles
from gateway.bundle_trial import use_rankers
from gateway.clock import HOUR_MS, Clock, kernel_boot_id, uptime_ns
from gateway.commands import Commands
from gateway.config import Config, load_dispenser_keys, load_pseudonym_key, pseudonym_path
from gateway.dating import register_boot
from gateway.dispensers import Dispensers
from gateway.door import Door
from gateway.downlink import StoreInbox, Wanted
from gateway.ingest import Ingest
from gateway.judge import Limits
from gateway.kiosk import Kiosk
from gateway.looking import Looking
from gateway.lots import Lots
from gateway.orders import Order
from gateway.outbox import StoreOutbox
from gateway.picks import Recommender
from gateway.plans import load_plans
from gateway.provisioning import Provisioning
from gateway.rankers import Rankers
from gateway.releases import Releases
from gateway.sample_file import FILE, SampleFile
from gateway.samples import Samples
from gateway.security import load_credentials, load_security
from gateway.site_prior import SitePriors
from gateway.state import GatewayState
from gateway.summaries import Summaries
from gateway.tracing import Tracer
from gateway.venue import Venue
from heat.catalog import Catalog, default_catalog, parse_catalog
from heat.errors import ConfigError, DataError, ModelError
from heat.scale import default_words, parse_words
from models.bundle import pretrained
from models.heat_text import classifier
from models.ranker import RuleRanker

log = logging.getLogger("gateway.assembly")


@contextlib.asynccontextmanager
async def assemble(config: Config) -> AsyncIterator[GatewayState]:
    """Open what the daemon works with, and close it at the end. Raises ConfigError, StoreError."""
    dispenser_keys = given_keys(config)
    pseudonym_key = load_pseudonym_key(pseudonym_path(config))
    load_credentials(config)
    door, section = open_door(config), config.gateway
    opened = _open_store(config)
    try:
        releases = Releases(opened, config, door)
        begun = await releases.begin()
        config, door = begun.config, begun.door
        rankers, model_error = await _open_rankers(begun.bundles, bundle_path(config))
        clock, boot = await _start_clock(config, opened)
        lots = Lots(opened, lambda: _today(config, clock))
        outbox = StoreOutbox(opened, lambda: clock.holds)
        ingest = Ingest(
            opened, clock, door, boot, lambda _stored, _event_id: outbox.wake(), rankers.note_rating, lots.look_again
        )
        recommender = Recommender(opened, clock, door, boot, rankers, pseudonym_key, outbox.wake, _venue(config))
        commands = Commands(opened, clock, boot)
        keys = keyring.load(config.path(section.data_dir), dispenser_keys)
        reader = opened.reader()
        samples = _open_samples(config, clock)
        commands.done = functools.partial(_note_done, samples)
        plans = load_plans(opened, reader)
        dispensers = Dispensers(keys, opened, clock, ingest, recommender, commands, samples, lots.fit)
        adoption = Adoption(dispensers, plans, door.catalog, commands)
        state = GatewayState(
            config=config,
            store=opened,
            reader=reader,
            clock=clock,
            outbox=outbox,
            catalog=door.catalog,
            words=door.words.version,
            ingest=ingest,
            recommender=recommender,
            priors=SitePriors(opened, config.picks.prior_shu, config.picks.prior_sd_octaves),
            commands=commands,
            kiosk=Kiosk(opened, clock, boot, ingest, recommender, reader, outbox.wake),
            dispensers=dispensers,
            plans=plans,
            adoption=adoption,
            lots=lots,
            provisioning=_provisioning(config, door.catalog, adoption, dispensers),
            samples=samples,
            looking=_looking(samples, dispensers),
            summaries=Summaries(samples, opened, clock, boot, (section.store, section.region), outbox.wake),
            supervisor=Supervisor(),
            uplink=_uplink(config, outbox),
            downlink=_downlink(config, opened, clock, releases),
            model_error=model_error,
            stopping=asyncio.Event(),
            boot=boot,
            tracer=Tracer(section.id),
            releases=releases,
            bundle=begun.bundles.now or bundle_path(config),
            access=open_access(config.path(section.data_dir)),
        )
        try:
            if state.provisioning is not None:
                await state.provisioning.start()
            yield state
        finally:
            await dispensers.aclose()
            recommender.close()
            reader.close()
            releases.close()
            state.access.close()
            await asyncio.to_thread(samples.close)
    finally:
        await asyncio.to_thread(opened.close)


def _open_store(config: Config) -> store.Store:
    section = config.gateway
    return store.open_store(
        store.Settings(
            config.path(section.data_dir),
            section.id,
            section.quota_mb * 1024 * 1024,
            section.ballast_mb * 1024 * 1024,
            section.commit_interval_ms,
        )
    )


def _today(config: Config, clock: Clock) -> date:
    """On the store's calendar."""
    timezone = config.gateway.timezone
    return datetime.fromtimestamp(clock.now().wall_ms / 1000, ZoneInfo(timezone) if timezone else UTC).date()


def _venue(config: Config) -> Venue:
    timezone = config.gateway.timezone
    return Venue(config.picks.limit_shu, ZoneInfo(timezone) if timezone is not None else None)


async def _open_rankers(bundles: Bundles, plain: Path) -> tuple[Rankers, ModelError | None]:
    rankers = Rankers(RuleRanker())
    error = await use_rankers(rankers, bundles, plain)
    if error is not None:
        log.warning("%s", error)
    return rankers, error


def given_keys(config: Config) -> dict[str, bytes]:
    """The keys of the keys file, which need not be there unless gateway.toml names it."""
    path = config.path(config.keys.dispensers)
    if "dispensers" not in config.keys.model_fields_set and not path.exists():
        return {}
    if not path.exists():
        hint = "keys.dispensers in gateway.toml names it; where all dispensers are adopted, take that line out"
        raise ConfigError(f"{path}: there is no such file", hint=hint)
    return load_dispenser_keys(path)


def _provisioning(config: Config, catalog: Catalog, adoption: Adoption, dispensers: Dispensers) -> Provisioning | None:
    if config.keys.provisioning is None:
        return None
    path = config.path(config.keys.provisioning)
    return Provisioning(path, catalog, adoption, dispensers, dispensers.keyring.given)


def _note_done(samples: Samples, order: Order) -> None:
    """A sensor that was set anew has to be learned anew."""
    said = order.read_arguments()
    if isinstance(said, Calibrate | Tare):
        samples.set_anew(order.dispenser, said.nozzle)


def _looking(samples: Samples, dispensers: Dispensers) -> Looking:
    looking = Looking(lambda name: reach.link if (reach := dispensers.reach(name)) else None)
    samples.came = looking.came
    return looking


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


def bundle_path(config: Config) -> Path:
    """The ranker's bundle: the configured one, or the one that Picante brings."""
    return config.path(config.picks.bundle) if config.picks.bundle is not None else pretrained()


def open_door(config: Config) -> Door:
    """What lets events in, with its catalogue and words. Raises ConfigError."""
    picks = config.picks
    try:
        catalog = parse_catalog(_read(config.path(picks.catalog))) if picks.catalog else default_catalog()
        words = parse_words(_read(config.path(picks.words))) if picks.words else default_words()
    except DataError as error:
        raise ConfigError(str(error)) from error
    return Door(catalog, words, config.gateway.store, config.gateway.region, classifier())


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


def _downlink(config: Config, opened: store.Store, clock: Clock, releases: Releases) -> Downlink | None:
    if config.kafka is None:
        return None
    wanted = Wanted(config.gateway.region, config.downlink.share_percent, releases.wake)
    inbox = StoreInbox(opened, clock, wanted)
    security = functools.partial(load_security, config)
    settings = ConnectionSettings(config.kafka.bootstrap, config.gateway.id, config.kafka.position, security=security)
    return Downlink(inbox, settings, wanted.topics)
