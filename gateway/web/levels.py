"""How full the bottles are: what the last HELLO said, less what was poured since, up to what was refilled.

A dispenser tells its levels when its link opens, and a link may stay open for weeks. An estimate: pours that were
still on their way when HELLO was said are told apart by their time alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gateway.state import GatewayState
from gateway.web import reads
from heat.events import Poured, Refilled, decode_data

ROWS = 500
"""Rows read at one look; more than a shop makes in a second."""
SAID_BY = frozenset({Poured.type, Refilled.type})


@dataclass(slots=True)
class _Tank:
    openings: int
    """Which HELLO the levels are of."""
    since_ms: int
    ul: dict[int, int] = field(default_factory=dict)


class Levels:
    """Follows the stored events of the dispensers that are here."""

    def __init__(self, state: GatewayState) -> None:
        self._state = state
        self._tanks: dict[str, _Tank] = {}
        self._position = reads.backlog(state.reader).stored

    def level_ml(self, dispenser: str, nozzle: int) -> int | None:
        """About how much is in a bottle; None where no HELLO told of it."""
        tank = self._tanks.get(dispenser)
        ul = tank.ul.get(nozzle) if tank else None
        return None if ul is None else ul // 1000

    def look(self) -> None:
        """Take in new HELLOs, then new rows."""
        for name, dispenser in self._state.dispensers.known.items():
            tank = self._tanks.get(name)
            if tank is None or tank.openings != dispenser.openings:
                levels = {nozzle.nozzle: nozzle.level_ml * 1000 for nozzle in dispenser.hello.nozzles}
                self._tanks[name] = _Tank(dispenser.openings, self._state.clock.now().wall_ms, levels)
        for row in reads.rows_after(self._state.reader, self._position, ROWS):
            self._position = row.position
            if row.type in SAID_BY and (tank := self._tanks.get(row.source)) and row.time_ms >= tank.since_ms:
                self._take(tank, row)

    def _take(self, tank: _Tank, row: reads.Row) -> None:
        assert row.type is not None  # looked at by the caller
        data = decode_data(row.type, row.data)
        if isinstance(data, Poured) and data.nozzle in tank.ul:
            tank.ul[data.nozzle] = max(tank.ul[data.nozzle] - data.volume_ul, 0)
        elif isinstance(data, Refilled) and data.nozzle in tank.ul:
            tank.ul[data.nozzle] = data.volume_ul
