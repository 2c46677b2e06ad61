"""A dispenser's way to the gateway; and two of them, for one that has a cable and a network.

Each of two lines has firmware of its own behind it, with a link of its own, over the one ring. Nothing keeps both from
saying HELLO: the gateway has one in use, and turns the other away (`replaced`), which backs off, asks again now and
then, and at once when the line in use goes (see `unit`).
"""

from __future__ import annotations

import asyncio
from typing import Protocol


class Line(Protocol):
    """A dispenser's way to the gateway."""

    @property
    def bad_frames(self) -> int:
        """What came down and was none."""

    @property
    def plugged(self) -> bool:
        """Whether the cable is in."""

    def plug(self) -> None:
        """Put the cable in."""

    def unplug(self) -> None:
        """Pull it."""

    def wake(self) -> None:
        """The firmware may have something to say."""

    def babble(self, seconds: float) -> None:
        """Let garbage come out of it for so long."""

    async def aclose(self) -> None:
        """Leave in good order."""


class TwoLines:
    """Two lines as one; each can be plugged and pulled by itself, too."""

    def __init__(self, cable: Line, network: Line) -> None:
        self.cable = cable
        self.network = network
        self._both = (cable, network)

    @property
    def bad_frames(self) -> int:
        """See `Line`."""
        return sum(line.bad_frames for line in self._both)

    @property
    def plugged(self) -> bool:
        """See `Line`: either."""
        return any(line.plugged for line in self._both)

    def plug(self) -> None:
        """See `Line`."""
        for line in self._both:
            line.plug()

    def unplug(self) -> None:
        """See `Line`."""
        for line in self._both:
            line.unplug()

    def wake(self) -> None:
        """See `Line`."""
        for line in self._both:
            line.wake()

    def babble(self, seconds: float) -> None:
        """See `Line`: a network card lets no garbage through."""
        self.cable.babble(seconds)

    async def aclose(self) -> None:
        """See `Line`."""
        await asyncio.gather(*(line.aclose() for line in self._both))
