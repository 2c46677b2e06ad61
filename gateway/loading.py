"""What the daemon loads, and when: what dispensers need first, the web while they are served.

To import the web takes longer than all the rest together. A customer's picks need none of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
from collections.abc import Iterable, Iterator
from importlib import import_module

WEB = (
    *("fastapi", "gateway.web.answers", "gateway.web.shell", "gateway.web.web", "gateway.web.server"),
    "gateway.heartbeat",
)
"""The web's modules, in steps: whoever is told to stop meanwhile waits for one of them at most."""


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Without the garbage collector: what is imported stays, and looking through it takes a sixth more."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


async def load(names: Iterable[str]) -> None:
    """Import modules beside the event loop, one after the other."""
    with uncollected():
        for name in names:
            await asyncio.to_thread(import_module, name)
    leave_to_stay()


def leave_to_stay() -> None:
    """Let the garbage collector look no more at what is there by now: libraries, and what the daemon is made of.

    It goes through everything now and then, and a customer's picks wait: 40 ms on a PC for these 89,000 objects.
    """
    gc.freeze()
