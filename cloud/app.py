"""The composition root of `picante cloud run`: the parts that cloud.toml names, each kept running by the supervisor."""

from __future__ import annotations

import asyncio
import functools
import gc
import signal
from collections.abc import Awaitable, Callable

from cloud import clock, fleet_watch, metrics, recommender, trends, weather
from cloud.config import CloudConfig
from cloud.hot_store import part as hot_store
from cloud.lake import part as lake
from cloud.pipeline import loop as pipeline
from cloud.reconciliation import part as reconciliation
from cloud_sync.supervisor import Supervisor
from heat.errors import ConfigError

Part = Callable[[], Awaitable[None]]


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
    """Run until SIGTERM or SIGINT."""
    chosen = parts(config)
    if not chosen:
        raise ConfigError("cloud.parts names nothing that could run")
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    spare_the_collector()
    supervisor = Supervisor()
    with metrics.served(config.cloud.metrics):
        running = [asyncio.create_task(supervisor.run(name, part), name=name) for name, part in chosen.items()]
        await stop.wait()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
