"""Keeps the parts of the daemon running: the one place that retries, and the one that catches everything.

A part is a coroutine function that runs until something goes wrong, and says so by raising. The error's class decides:
`ConfigError`, `ForeignInstance` and `StoreCorrupt` stop the part; whatever else comes (a full disk among it) is retried
with jittered backoff.
A change of state is one log line; its repetition is a counter. A part is `running` again once it ran for `SETTLED_S`.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Literal

from heat.errors import (
    BrokerRefused,
    ConfigError,
    ForeignInstance,
    LinkLost,
    PicanteError,
    PortMissing,
    SinkRefused,
    StoreCorrupt,
)

log = logging.getLogger("cloud_sync.supervisor")

FIRST_BACKOFF_S = 0.25
LONGEST_BACKOFF_S = 4.0
"""s; a broker or a cluster that is back is used within 5 s."""
LONGEST_PORT_S = 2.0
"""s; a port that is back is served within 5 s: a serial server may have let pass the last SYN of a try, and the rest of
its 2 s goes by before this pause begins."""
LONGEST_REFUSED_S = 30.0
"""s; only a person mends a login, and a cluster has a thousand gateways that would knock with the old password."""
SETTLED_S = 60.0
"""s; a part that ran this long was healthy, and its next backoff is short again. More than the slowest failure takes:
15 s in which Kafka swallows packets, 5 s to find out why, 10 s for a first transaction."""
MANY_CRASHES = 3
"""Once may be chance; with the pauses between them, three take some seconds."""

State = Literal["running", "waiting", "stopped"]


@dataclass(slots=True)
class Part:
    """How a part of the daemon is doing.

    `waiting`: its last run failed, with `error`, and it is run again, or has not run for `SETTLED_S` yet.
    """

    name: str
    state: State = "running"
    since: float = 0.0
    """Unix time of the last change of state, s."""
    error: str | None = None
    restarts: int = 0
    crashes: int = 0
    """Failures since it last ran well that no class of errors foresees."""
    pause_s: float = 0.0
    """s until it is run again, at most."""
    pause: asyncio.Task[None] | None = None
    """The pause that it makes now."""


def _longest_s(error: Exception) -> float:
    match error:
        case SinkRefused() | BrokerRefused():
            return LONGEST_REFUSED_S
        case LinkLost() | PortMissing():
            return LONGEST_PORT_S
        case _:
            return LONGEST_BACKOFF_S


class Supervisor:
    """Runs parts and knows how they are."""

    def __init__(
        self,
        clock_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Coroutine[Any, Any, None]] = asyncio.sleep,
    ) -> None:
        self.parts: dict[str, Part] = {}
        self._clock_s = clock_s
        self._sleep = sleep

    async def run(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Run a part until it ends by itself, or must not go on. Cancellation passes through."""
        part = self.parts[name] = Part(name, since=time.time())
        backoff_s = FIRST_BACKOFF_S
        try:
            while True:
                started_s = self._clock_s()
                well = asyncio.get_running_loop().call_later(SETTLED_S, self._note, part, "running", None)
                try:
                    await run()
                    return
                except (ConfigError, ForeignInstance, StoreCorrupt) as error:
                    self._note(part, "stopped", str(error))
                    return
                except Exception as error:
                    if not isinstance(error, PicanteError):
                        log.exception("part failed unexpectedly", extra={"part": name})
                    if self._clock_s() - started_s > SETTLED_S:
                        backoff_s, part.state, part.crashes = FIRST_BACKOFF_S, "running", 0
                    part.crashes += not isinstance(error, PicanteError)
                    part.restarts += 1
                    part.pause_s = backoff_s = min(backoff_s, _longest_s(error))
                    self._note(part, "waiting", str(error) or type(error).__name__)
                finally:
                    well.cancel()
                await self._rest(part, backoff_s * random.uniform(0.5, 1.0))
                backoff_s *= 2
        finally:
            if part.state != "stopped":
                self.parts.pop(name, None)

    async def _rest(self, part: Part, pause_s: float) -> None:
        part.pause = asyncio.ensure_future(self._sleep(pause_s))
        try:
            await asyncio.wait([part.pause])
        finally:
            part.pause.cancel()
            part.pause = None

    def hurry(self, name: str) -> bool:
        """Run a part that makes a pause at once: somebody has mended what it failed in. Whether it made one."""
        part = self.parts.get(name)
        return part is not None and part.pause is not None and part.pause.cancel()

    def broken(self) -> set[str]:
        """The parts that won't get better by themselves: stopped, or crashing again and again."""
        return {part.name for part in self.parts.values() if part.state == "stopped" or part.crashes >= MANY_CRASHES}

    def _note(self, part: Part, state: State, error: str | None) -> None:
        if part.state != state or (state == "stopped"):
            part.since = time.time()
            level = logging.WARNING if state != "running" else logging.INFO
            log.log(level, "%s is %s", part.name, state, extra={"part": part.name, "error": error})
        part.state, part.error = state, error
