"""Which serial ports there are, and a supervised link on each: they are looked for once a second.

A port is known by the name under which it was found, a name that stays (`/dev/serial/by-id/...`), and opened anew when
that name leads to another device. Two names of one device are one port: the first found has it. Who is at a port is not
the port's business: a dispenser tells that in its HELLO.
"""

from __future__ import annotations

import asyncio
import functools
import glob
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from cloud_sync.supervisor import Supervisor
from firmware_bridge.line import is_url
from firmware_bridge.serial_link import SerialLink

LOOK_EVERY_S = 1.0
"""s between two looks; together with what opening takes, a cable put back is served again within 5 s. A look at an
empty directory and eight missing names takes 0.1 ms."""


@dataclass(frozen=True, slots=True)
class Rates:
    """How fast ports are."""

    usual: int
    by_port: Mapping[str, int]
    """By path, pattern or URL; the first that fits."""

    def of(self, port: str) -> int:
        """The rate of a port, bits a second."""
        for pattern, rate in self.by_port.items():
            if pattern == port or fnmatchcase(port, pattern):
                return rate
        return self.usual


def device_of(name: str) -> str:
    """The device that a name leads to, whether it is there or not."""
    return name if is_url(name) else os.path.realpath(name)


def find(patterns: Sequence[str]) -> dict[str, str]:
    """The ports that are there: by name the device that it leads to. A server is always there, and its own device."""
    found: dict[str, str] = {}
    for pattern in patterns:
        names = [pattern] if is_url(pattern) else sorted(glob.glob(pattern))  # noqa: PTH207 -- absolute
        for name in names:
            found.setdefault(device_of(name), name)
    return {name: device for device, name in found.items() if is_url(device) or os.path.exists(device)}  # noqa: PTH110


@dataclass(slots=True)
class _Served:
    device: str
    """What was opened last."""
    task: asyncio.Task[None] | None = None


class Ports:
    """Keeps `links` in step with the ports that are there. `make(port, rate)` makes a link."""

    def __init__(
        self,
        patterns: Sequence[str],
        rates: Rates,
        supervisor: Supervisor,
        links: dict[str, SerialLink],
        make: Callable[[str, int], SerialLink],
    ) -> None:
        self._patterns = patterns
        self._rates = rates
        self._supervisor = supervisor
        self._links = links
        self._make = make
        self._served: dict[str, _Served] = {}

    async def run(self) -> None:
        """Look for ports until cancelled."""
        async with asyncio.TaskGroup() as group:
            while True:
                self._look(group)
                await asyncio.sleep(LOOK_EVERY_S)

    def _look(self, group: asyncio.TaskGroup) -> None:
        present = find(self._patterns)
        for name, served in list(self._served.items()):
            assert served.task is not None
            if present.get(name) != served.device or served.task.done():
                served.task.cancel()  # it closes its port before those below are opened: its turn is earlier
                del self._served[name]
                self._links.pop(name, None)
        for name, device in present.items():
            if name not in self._served:
                part, served = f"serial:{name}", _Served(device)
                run = self._supervisor.run(part, functools.partial(self._serve, name, served))
                served.task = group.create_task(run, name=part)
                self._served[name] = served

    async def _serve(self, name: str, served: _Served) -> None:
        served.device = device_of(name)  # a cable that was out for less than a look may have made another of it
        link, before = self._make(name, self._rates.of(name)), self._links.get(name)
        link.failure = before.failure if before is not None else None  # told until it is known to be over
        self._links[name] = link
        await link.run()
