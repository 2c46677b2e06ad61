"""The composition root of `picante cloud run`: the parts that cloud.toml names, each kept running by the supervisor."""

from __future__ import annotations

import asyncio
import functools
import gc
import itertools
import signal
from collections.abc import Awaitable, Callable, Iterable
from typing import get_args

from prometheus_client import Gauge

from cloud import clock, fleet_watch, metrics, recommender, trends, weather
from cloud.config import CloudConfig
from cloud.hot_store import part as hot_store
from cloud.lake import part as lake
from cloud.pipeline import loop as pipeline
from cloud.reconciliation import part as reconciliation
from cloud_sync.supervisor import Part as PartState
from cloud_sync.supervisor import State, Supervisor
from heat.errors import ConfigError, PicanteError

Part = Callable[[], Awaitable[None]]

STATE = Gauge("picante_cloud_part", "1 in the state in which a part is.", ["part", "state"], registry=metrics.REGISTRY)


def parts(config: CloudConfig) -> dict[str, Part]:
    """The parts that this process is to run, by name. A new one is joined on here."""
    known: dict[str, Callable[[CloudConfig], Awaitable[None]]] = {
        "clock": clock.run,
        "fleet": fleet_watch.run,
        "hot_store": hot_store.run,
        "weather": weather.run,
        "trends": trends.run,
        "lake": lake.run,
        "recommender": recommender.run,
        "pipeline": pipeline.run,
        "reconciliation": reconciliation.run,
    }
    return {name: functools.partial(known[name], config) for name in config.cloud.parts if name in known}


def spare_the_collector() -> None:
    """What is here stays; batches make young objects by the ten thousand, which Python would look through 60 times."""
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)


async def run(config: CloudConfig) -> None:
    """Run until SIGTERM or SIGINT.

    Raises:
        ConfigError: there is nothing to run. PicanteError: a part can't go on; whoever started us sees it by that.
    """
    chosen = parts(config)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    spare_the_collector()
    supervisor = Supervisor()
    _tell_of(supervisor, chosen)
    with metrics.served(config.cloud.metrics):
        running = {asyncio.create_task(supervisor.run(name, part), name=name) for name, part in chosen.items()}
        told = asyncio.create_task(stop.wait())
        stopped = list[PartState]()
        while running and not stopped and not told.done():
            ended, _ = await asyncio.wait({told, *running}, return_when=asyncio.FIRST_COMPLETED)
            running -= ended
            stopped = [part for part in supervisor.parts.values() if part.state == "stopped"]
        for task in (told, *running):
            task.cancel()
        await asyncio.gather(told, *running, return_exceptions=True)
    if stopped:
        raise PicanteError(f"{stopped[0].name} can't go on: {stopped[0].error}")
    if not stop.is_set():
        raise ConfigError("nothing that cloud.parts names has anything to do", hint="The log says why")


def _tell_of(supervisor: Supervisor, names: Iterable[str]) -> None:
    """Have the figures say how these parts are."""

    def look(name: str, state: State) -> float:
        part = supervisor.parts.get(name)
        return float(part is not None and part.state == state)

    for name, state in itertools.product(names, get_args(State)):
        STATE.labels(name, state).set_function(functools.partial(look, name, state))
