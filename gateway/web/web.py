"""What all routes share: the gateway's parts, what is watched of them, and whether the web is closing."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, Request

from gateway.state import GatewayState
from gateway.web.watch import Watch


class Web:
    """One web server's own state; it belongs to the event loop's thread."""

    def __init__(self, state: GatewayState) -> None:
        self.state = state
        self.watch = Watch(state)
        self.closing = asyncio.Event()
        """Set when the server ends: event streams end with it."""
        self.streams = 0
        """Event streams that are open."""


def _web(request: Request) -> Web:
    web: Web = request.app.state.web
    return web


TheWeb = Annotated[Web, Depends(_web)]
"""An endpoint's parameter of this type is the web that it belongs to."""
