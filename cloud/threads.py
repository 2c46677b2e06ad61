"""A part's blocking loop in a thread of its own, as a coroutine that the supervisor can run and cancel."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable

STOP_S = 12.0
"""s that a loop may take to end once it was told to: a request to Kafka under way takes 10 s at most. One that takes
longer is left behind, and ends with the process."""


async def in_thread(name: str, work: Callable[[threading.Event], None], stop_s: float = STOP_S) -> None:
    """Run `work(stop)` in a thread called `name`, and return or raise as it does.

    Cancelled, it sets `stop`, waits for the thread for `stop_s`, and passes the cancellation on. The loop's own pool
    would not do: it has six threads on two cores, and parts stay.
    """
    loop = asyncio.get_running_loop()
    outcome: asyncio.Future[None] = loop.create_future()
    stop = threading.Event()

    def tell(error: BaseException | None) -> None:
        if outcome.cancelled():
            return
        if error is None:
            outcome.set_result(None)
        else:
            outcome.set_exception(error)

    def run() -> None:
        error = None
        try:
            work(stop)
        except BaseException as raised:  # noqa: BLE001 -- it goes on in the loop's thread
            error = raised
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(tell, error)

    threading.Thread(target=run, name=name, daemon=True).start()
    try:
        await asyncio.shield(outcome)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([outcome], timeout=stop_s)
        if outcome.done() and not outcome.cancelled():
            outcome.exception()  # it was told to stop: how it ended is nobody's concern
        raise
