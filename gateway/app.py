"""The daemon: what `assembly` joined runs here, until somebody says stop.

All parts run in one task group under the supervisor, those that dispensers need first: the web is loaded meanwhile.
SIGTERM and SIGINT set `stopping`: links close, the store flushes, and the daemon is gone within 5 s, whatever Kafka,
brokers or browsers do meanwhile.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import signal
import sys
from collections.abc import Callable, Coroutine
from typing import Any

from cloud_sync.pulse import Pulse
from gateway.access.notes import SETUP
from gateway.assembly import assemble
from gateway.config import Config
from gateway.home_assistant import HomeAssistant
from gateway.loading import WEB, leave_to_stay, load
from gateway.notify import Notifier
from gateway.parts import (
    DaemonHands,
    is_ready,
    keep_adopting,
    keep_house,
    keep_prior,
    keep_uplink,
    ports,
    run_mqtt,
    status_line,
    use_onnx,
)
from gateway.setup_code import tell_code
from gateway.state import GatewayState
from gateway.web.leaf import check_issuer

log = logging.getLogger("gateway.app")

STOP_GRACE_S = 3.0
"""s that parts get to end after they were cancelled."""
TURN_S = 0.000_5
"""s after which a thread has to give way to the event loop, which takes a turn for each statement of SQL. With Python's
5 ms one in ten picks took 86 ms while a support bundle was made, with this 30."""


async def run(config: Config, begun: Callable[[], object] = lambda: None) -> bool:
    """Run the gateway until it is told to stop. Returns whether it is to be started anew, with what was released.

    `begun` is called once all that it works with is open: what fails before is the start's.

    Raises:
        ConfigError: a file that the configuration names can't be used.
        StoreError: the store can't be opened, or broke while running.
    """
    check_issuer(config)
    sys.setswitchinterval(TURN_S)
    async with assemble(config) as state:
        if await _ends_setup(state):
            return True
        begun()
        tell_code(state.access)
        leave_to_stay()
        loop = asyncio.get_running_loop()
        for told in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(told, _stop, state, told)
        notifier = Notifier()
        work = asyncio.create_task(run_parts(state, notifier), name="parts")
        stop = asyncio.create_task(state.stopping.wait(), name="stop")
        await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
        if not state.restart:
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
    return state.restart


async def _ends_setup(state: GatewayState) -> bool:
    """Whether a setup was over when the power failed, and has been closed now."""
    if state.access.notes.get(SETUP) is None:
        return False
    from gateway.web.entry.setup import Setup  # loads what the web needs; after the first boot nobody does

    return await Setup(state.access, state.config, lambda: None).go_on()


def _stop(state: GatewayState, told: signal.Signals) -> None:
    log.info("told to stop by %s", told.name)
    state.restart = False
    state.stopping.set()


def _first(error: BaseException) -> BaseException:
    """The error itself, out of the groups that task groups wrap around it."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


async def run_parts(state: GatewayState, notifier: Notifier) -> None:
    """Run everything that the configuration asks for, until one of it can't go on."""
    config, supervise = state.config, state.supervisor.run
    answering, hands = asyncio.Event(), DaemonHands(state)
    async with asyncio.TaskGroup() as group:

        def start(name: str, coroutine: Coroutine[Any, Any, None]) -> None:
            group.create_task(coroutine, name=name)

        if state.recommender.ranker.scorer == "numpy":
            start("scorer", use_onnx(state))
        start("housekeeping", supervise("housekeeping", lambda: keep_house(state)))
        start("site prior", supervise("site prior", lambda: keep_prior(state)))
        start("commands", supervise("commands", lambda: state.commands.run(state.dispensers.reach)))
        start("adoption", supervise("adoption", lambda: keep_adopting(state)))
        if config.serial is not None:
            start("serial", ports(state, config.serial).run())
        home = HomeAssistant(state) if config.mqtt is not None and config.mqtt.home_assistant else None
        if config.mqtt is not None:
            start("mqtt", supervise("mqtt", lambda: run_mqtt(state, config.mqtt, home)))  # type: ignore[arg-type]
            if home is not None:
                start("home assistant", supervise("home assistant", home.run))
        start("samples", supervise("samples", state.samples.run))
        start("releases", supervise("releases", lambda: state.releases.run(hands)))
        ready = functools.partial(is_ready, state, answering)
        start("trial", supervise("trial", lambda: state.releases.watch_trial(ready, hands)))
        if state.downlink is not None:
            start("downlink", supervise("downlink", state.downlink.run))
        await load(WEB)
        from gateway.heartbeat import Heart
        from gateway.web.server import serve
        from gateway.web.web import Web

        web = Web(state)
        if home is not None:
            home.repairs = lambda: web.board.repairs
        start("web", serve(web, answering.set))
        start("notify", notifier.run(state.store, answering, lambda: status_line(state)))
        if state.uplink is not None:
            state.uplink.pulse = Pulse(Heart(web))
            start("uplink", keep_uplink(state, state.uplink))
            start("summaries", supervise("summaries", state.summaries.run))
