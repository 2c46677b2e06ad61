"""What is left in a dispenser's bottles, as picks need it: an empty one is no pick, and one that was refilled is.

A dispenser tells its levels in HELLO, and a link may stay open for weeks. From then on its events tell: a pour takes
what its meter counted, a refill gives what it says. What happened before the HELLO, and comes after it, is in its
levels already: the dispenser's own uptime tells the two apart.

Called in the event loop's thread: by `ingest`, once an event is on disk, and by `dispensers`, at each ASK.
"""

from __future__ import annotations

import msgspec

from firmware_bridge.messages import EventMessage, Hello, NozzleInfo
from heat.events import AnyData, Poured, Refilled

LEAST_ML = 5
"""ml; counted down to less than that a bottle is empty: it has no whole dose left, and meters err by some percent."""


class Bottles:
    """The levels of all dispensers that said HELLO since this daemon started."""

    def __init__(self) -> None:
        self._told: dict[str, Hello] = {}
        """What each said last."""
        self._left_ul: dict[str, dict[int, int]] = {}
        """What is left on its nozzles now."""

    def greet(self, hello: Hello) -> None:
        """A dispenser tells its levels."""
        self._told[hello.dispenser] = hello
        self._left_ul[hello.dispenser] = {nozzle.nozzle: nozzle.level_ml * 1000 for nozzle in hello.nozzles}

    def take(self, dispenser: str, message: EventMessage, data: AnyData) -> None:
        """An event of a dispenser was stored: `data` is what it tells of."""
        if not isinstance(data, Poured | Refilled) or (hello := self._told.get(dispenser)) is None:
            return
        left_ul = self._left_ul[dispenser]
        before = left_ul.get(data.nozzle)
        if before is None or (message.boot, message.uptime_ms) <= (hello.boot, hello.uptime_ms):
            return
        left_ul[data.nozzle] = data.volume_ul if isinstance(data, Refilled) else max(before - data.volume_ul, 0)

    def now(self, hello: Hello) -> Hello:
        """What a dispenser said, with the levels of now."""
        told = self._told.get(hello.dispenser)
        if told is None:
            return hello
        left_ul = self._left_ul[hello.dispenser]
        nozzles = tuple(_with_level(nozzle, left_ul[nozzle.nozzle] // 1000) for nozzle in told.nozzles)
        return msgspec.structs.replace(told, nozzles=nozzles)


def _with_level(nozzle: NozzleInfo, level_ml: int) -> NozzleInfo:
    if level_ml == nozzle.level_ml:
        return nozzle
    return msgspec.structs.replace(nozzle, level_ml=level_ml if level_ml >= LEAST_ML else 0)
