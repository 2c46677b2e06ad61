"""What is done in a setup, by its pages and by programs alike: the code is given, a step answered, Kafka tried."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Mapping
from typing import Annotated

from fastapi import Depends, Request

from cloud_sync.settings import addresses
from gateway.access.lockout import place_of
from gateway.access.passwords import Busy
from gateway.web.entry.acts import busy
from gateway.web.entry.setup import STEPS, Setup
from gateway.web.entry.wrong import note_wrong
from gateway.web.language import Text
from gateway.web.problems import Problem
from heat.errors import ConfigError, DataError

_EVERYBODY = "setup-code"
"""Wrong codes count for the gateway as a whole, too: a code has 40 bits."""
KNOCK_S = 4.0
"""s in which a broker takes a connection, or does not."""
MOST_SERVERS = 5
"""Brokers that are tried, one after the other: those of a cluster all answer, or none does."""


def _setup(request: Request) -> Setup:
    setup: Setup = request.app.state.setup
    return setup


TheSetup = Annotated[Setup, Depends(_setup)]
"""An endpoint's parameter of this type is the setup of its gateway."""


async def enter(setup: Setup, code: str, address: str) -> str:
    """Let somebody in who has the code: their key to all the rest. The one before opens nothing any more.

    Raises:
        Problem: it is not the code, too many were wrong, or the setup is closed.
    """
    if not setup.access.setup_open:
        raise closed()
    lockout, keys = setup.access.lockout, [_EVERYBODY, f"address:{place_of(address)}"]
    if (pause_s := lockout.pause_s(keys)) > 0:
        seconds = math.ceil(pause_s)
        raise Problem(429, "paused", "too many wrong codes", hint=f"Wait {seconds} s, then try again", wait_s=seconds)
    lockout.failed(keys)
    if not setup.access.is_code(code):
        await note_wrong(setup.access, "setup code", None, address, keys)
        raise Problem(401, "wrong-code", "this is not the code", hint="picante gateway setup-code tells it")
    lockout.passed(*keys)
    return await setup.open()


def closed() -> Problem:
    """Nobody is let through any more."""
    return Problem(409, "set-up", "this gateway is set up", hint="On it: picante gateway setup-code --again")


def reached(setup: Setup, step: str) -> bool:
    """Whether a step may be answered: it is the next, or was answered before."""
    return step in STEPS and STEPS.index(step) <= STEPS.index(setup.step())


async def answer(setup: Setup, step: str, said: Mapping[str, str]) -> dict[str, Text | str]:
    """Keep what was said to a step; what is wrong with it, by field. Raises Problem: not now."""
    try:
        return await setup.answer(step, said)
    except Busy:
        raise busy() from None


async def knock(bootstrap: str) -> tuple[bool, Text]:
    """Whether one of these brokers takes a connection from here, and what is said of that."""
    try:
        servers = addresses(bootstrap)
    except (ValueError, DataError, ConfigError) as error:
        return False, Text("This is no address: {detail}", detail=str(error.args[0]))
    for host, port in servers[:MOST_SERVERS]:
        try:
            async with asyncio.timeout(KNOCK_S):
                _, writer = await asyncio.open_connection(host, port)
        except (OSError, TimeoutError, socket.gaierror, UnicodeError):
            continue
        writer.close()
        return True, Text("{host} answers", host=f"{host}:{port}")
    return False, Text("Nobody answers there. Is the Internet up? You may go on all the same")
