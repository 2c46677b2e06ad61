"""*Check again*: what failed is tried now, where something can be tried, and everything is looked at anew."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from gateway.state import GatewayState
from gateway.web.repairs.board import Board
from gateway.web.repairs.of_ports import connected
from gateway.web.repairs.repair import Repair
from heat.errors import StoreError

PATIENCE_S = 6.0
"""s that a try may take: a serial server answers within 2 s, a broker that is there within one."""
LOOK_S = 0.05


async def check(state: GatewayState, board: Board, repair: Repair) -> Repair | None:
    """The repair as it is now; None: it is gone."""
    await _try(state, repair)
    await board.read()
    await board.look()
    return await board.get(repair.key)


async def _try(state: GatewayState, repair: Repair) -> None:
    match repair.code:
        case "sync_unreachable" | "sync_refused":
            await _hurry(state, "uplink", lambda: _connected(state))
            state.supervisor.hurry("downlink")
        case "heartbeat_failing" if state.uplink is not None:
            pulse, said = state.uplink.pulse, state.uplink.pulse.last_error
            pulse.hurry()
            await _until(lambda: pulse.last_error is not said)
        case "port_in_use" | "port_forbidden" | "port_unreachable" | "port_unusable":
            part = f"serial:{repair.subject}"
            await _hurry(state, part, lambda: _opened(state, repair.subject))
        case "part_failing":
            await _hurry(state, repair.subject, lambda: connected(state, repair.subject))
        case "model_fallback":
            before = state.model_error
            state.releases.try_bundle_again()
            await _until(lambda: state.model_error is not before)
        case "provisioning_invalid":
            if state.provisioning is not None:
                try:
                    await state.provisioning.look()
                except StoreError:
                    return  # the store tells of it
        case _:
            return


async def _hurry(state: GatewayState, name: str, well: Callable[[], bool]) -> None:
    """Run a part now, and wait until it works, or failed once more."""
    part = state.supervisor.parts.get(name)
    failed = 0 if part is None else part.restarts
    if part is not None and state.supervisor.hurry(name):
        await _until(lambda: well() or part.restarts > failed)


def _connected(state: GatewayState) -> bool:
    return state.uplink is not None and state.uplink.status.state in {"idle", "draining"}


def _opened(state: GatewayState, port: str) -> bool:
    link = state.serial.get(port)
    return link is not None and link.failure is None


async def _until(done: Callable[[], bool]) -> None:
    ends_s = time.monotonic() + PATIENCE_S
    while not done() and time.monotonic() < ends_s:  # noqa: ASYNC110 -- parts have no event for each of their states
        await asyncio.sleep(LOOK_S)
