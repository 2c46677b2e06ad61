"""Run a scenario until it is over: by a signal, a request to stop, its seconds, or all of its load made."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from hw_sim.control import ControlServer
from hw_sim.scenario import Scenario
from hw_sim.simulation import Simulation

LOOK_S = 0.1
"""Seconds between two looks at whether it is over."""
DRAIN_S = 60.0
"""Seconds that the gateway has for what is still in the rings, once nothing new comes."""


async def run(
    scenario: Scenario,
    state: Path,
    *,
    seconds: float | None = None,
    drain: bool = False,
    ready: Callable[[Simulation], None] = lambda _: None,
) -> bool:
    """Run a scenario; whether every ring was empty at the end.

    `ready` is called once the dispensers are there. With `drain` it also ends when a load with a total has been made,
    and the gateway gets time to take what is in the rings. SIGTERM and SIGINT end it at once: the rings keep the rest.
    """
    over, killed = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def kill() -> None:
        killed.set()
        over.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, kill)
    give_up = None if seconds is None else loop.time() + seconds
    try:
        async with Simulation(scenario, state) as simulation, ControlServer(simulation, over.set):
            ready(simulation)
            while not over.is_set():
                simulation.check_tasks()
                if (drain and simulation.load_is_done) or (give_up is not None and loop.time() >= give_up):
                    break
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK_S):
                        await over.wait()
            if drain and not killed.is_set():
                await _until_killed(simulation.drain(DRAIN_S), killed)
            return not any(unit.header.held for unit in simulation.units.values())
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)


async def _until_killed(work: Coroutine[Any, Any, object], killed: asyncio.Event) -> None:
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(killed.wait())]
    await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in tasks:
        task.cancel()
