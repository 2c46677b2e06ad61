"""What runs in the daemon, each under the supervisor: links, uplink, housekeeping, adoption, the scorer."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from pathlib import Path
from typing import NoReturn

from cloud_sync.log import catch_up as log_catch_up
from cloud_sync.uplink import Uplink
from firmware_bridge.line import is_url
from firmware_bridge.mqtt_link import MqttLink
from firmware_bridge.mqtt_settings import MqttSettings
from firmware_bridge.serial_link import SerialLink
from gateway import housekeeping
from gateway.assembly import bundle_path
from gateway.bundle_folder import Bundles
from gateway.bundle_trial import Terms, Trial, use_rankers
from gateway.commands import CommandRefused
from gateway.config import MqttSection, SerialSection
from gateway.door import Door
from gateway.home_assistant import HomeAssistant
from gateway.ports import Ports, Rates
from gateway.scorer import open_onnx
from gateway.security import load_credentials
from gateway.site_prior import LEARN_S
from gateway.state import GatewayState
from heat.errors import ModelError, ScorerError, StoreError
from models.ranker import RuleRanker

log = logging.getLogger("gateway.parts")

HOUSEKEEPING_S = 1.0
ADOPTING_S = 1.0


def ports(state: GatewayState, section: SerialSection) -> Ports:
    """The serial ports of this machine and of serial servers, as gateway.toml names them."""

    def make(port: str, baud: int) -> SerialLink:
        return SerialLink(port, baud, state.dispensers, state.dispensers, state.tracer)

    patterns = [port if is_url(port) else str(state.config.path(port)) for port in section.ports]
    rates = {
        port if is_url(port) else str(state.config.path(port)): rate for port, rate in section.baud_by_port.items()
    }
    return Ports(patterns, Rates(section.baud, rates), state.supervisor, state.serial, make)


async def run_mqtt(state: GatewayState, section: MqttSection, home: HomeAssistant | None) -> None:
    """Serve the broker until its connection is lost. Raises BrokerUnreachable, BrokerRefused."""
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


async def keep_uplink(state: GatewayState, uplink: Uplink) -> NoReturn:
    """Keep the way to Kafka supervised; where a foreign instance stopped it, again once that is adopted."""
    while True:
        await state.supervisor.run("uplink", uplink.run)
        await uplink.wait_for_adoption()


def status_line(state: GatewayState) -> str:
    """The daemon in a line, for `systemctl status`."""
    online = sum(dispenser.online for dispenser in state.dispensers.known.values())
    return f"{online} dispensers online, Kafka: {state.uplink.status.state if state.uplink else 'none'}"


async def use_onnx(state: GatewayState) -> None:
    """Let onnxruntime score, if it works here; NumPy has the same scores, unless the bundle contradicts itself."""
    rankers, bundle = state.recommender.rankers, state.bundle
    try:
        ranker = await open_onnx(bundle)
    except ModelError as error:
        log.warning("%s", error)
        if state.bundle == bundle:  # else another one came meanwhile
            state.model_error = error
            if not isinstance(error, ScorerError):
                rankers.current = RuleRanker()
    else:
        if state.bundle == bundle:
            rankers.current = ranker


class DaemonHands:
    """What releases change in the running daemon."""

    def __init__(self, state: GatewayState) -> None:
        self._state = state
        picks = state.config.picks
        self._trial = Trial(state.recommender.rankers, Terms(picks.trial_slates, picks.trial_hours))

    def use_door(self, door: Door) -> None:
        """See `releases.Hands`. An event that is being let in meets the old tables; the next one meets these."""
        state = self._state
        state.ingest.door = door
        state.recommender.use(door)
        state.dispensers.tell_limit()
        state.catalog, state.words = door.catalog, door.words.version
        state.adoption.catalog = door.catalog
        if state.provisioning is not None:
            state.provisioning.catalog = door.catalog

    async def use_bundle(self, bundles: Bundles) -> None:
        """See `releases.Hands`. NumPy scores until onnxruntime has shown that it can."""
        state, plain = self._state, bundle_path(self._state.config)
        self._trial.stop()
        state.bundle = bundles.now or plain
        state.model_error = await use_rankers(state.recommender.rankers, bundles, plain)
        if state.model_error is None:
            await use_onnx(state)

    async def looks_on(self, path: Path) -> str | None:
        """See `releases.Hands`."""
        return await self._trial.looks_on(path)

    def look_away(self) -> None:
        """See `releases.Hands`."""
        self._trial.stop()

    def why_back(self) -> str | None:
        """See `releases.Hands`."""
        return self._trial.why_back(self._state.reader)

    def settled(self) -> bool:
        """See `releases.Hands`."""
        return self._trial.settled(self._state.reader)

    def restart(self) -> None:
        """See `releases.Hands`."""
        if not self._state.stopping.is_set():
            log.info("the gateway starts anew, with another configuration")
            self._state.restart = True
            self._state.stopping.set()


def is_ready(state: GatewayState, answering: asyncio.Event) -> bool:
    """Whether the page answers, the store works, and no part but the uplink, which waits for a person, is broken."""
    return answering.is_set() and state.store.broken is None and not state.supervisor.broken() - {"uplink"}


async def keep_adopting(state: GatewayState) -> None:
    """Let in whom the provisioning file names, and send new keys until they are proved."""
    while True:
        if state.provisioning is not None:
            with contextlib.suppress(StoreError):  # told of by the store; tried again in a second
                await state.provisioning.look()
        with contextlib.suppress(CommandRefused, StoreError):
            await state.adoption.carry_on()
        state.dispensers.strangers.look()
        await asyncio.sleep(ADOPTING_S)


async def keep_prior(state: GatewayState) -> NoReturn:
    """Learn now and then what this site's customers like: the next stranger is believed to."""
    while True:
        state.recommender.prior = state.priors.current
        with contextlib.suppress(StoreError):  # told of by the store; looked at again the next time
            await state.priors.look()
        state.recommender.prior = state.priors.current
        await asyncio.sleep(LEARN_S)


async def keep_house(state: GatewayState) -> None:
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
