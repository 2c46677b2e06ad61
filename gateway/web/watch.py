"""What must be looked at again and again to be told later. Called by the server, once a second."""

from __future__ import annotations

import asyncio

from gateway.state import GatewayState

EVERY_S = 1.0


class Watch:
    """Looks at the gateway's parts once a second."""

    def __init__(self, state: GatewayState) -> None:
        self._state = state

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            self.look()
            await asyncio.sleep(EVERY_S)

    def look(self) -> None:
        """Look once."""
