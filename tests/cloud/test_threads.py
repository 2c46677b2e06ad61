"""Blocking loops in threads of their own."""

from __future__ import annotations

import asyncio
import threading

import pytest

from cloud.threads import in_thread
from heat.errors import SinkUnavailable
from tests.waiting import wait_until


def _quiet(_result: object) -> None:
    """Nothing, of a call that returns something."""


async def test_it_returns_and_raises_as_the_work_does() -> None:
    names: list[str] = []
    await in_thread("part-a", lambda _stop: names.append(threading.current_thread().name))
    assert names == ["part-a"]

    def fails(_stop: threading.Event) -> None:
        raise SinkUnavailable("gone")

    with pytest.raises(SinkUnavailable, match="gone"):
        await in_thread("part-b", fails)


async def test_cancelled_it_tells_the_work_to_stop_and_waits_for_it() -> None:
    ended = threading.Event()
    started = threading.Event()

    def loop(stop: threading.Event) -> None:
        started.set()
        stop.wait()
        ended.set()
        raise SinkUnavailable("on the way out")

    task = asyncio.create_task(in_thread("part-c", loop))
    await asyncio.to_thread(started.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended.is_set()


async def test_many_parts_run_at_a_time() -> None:
    meeting = threading.Barrier(40)  # more than the loop's pool has threads
    await asyncio.gather(*(in_thread(f"part-{n}", lambda _stop: _quiet(meeting.wait())) for n in range(40)))


async def test_one_that_hangs_is_left_behind() -> None:
    release = threading.Event()
    threads_before = threading.active_count()
    task = asyncio.create_task(in_thread("part-d", lambda _stop: _quiet(release.wait()), stop_s=0.05))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    release.set()
    wait_until(lambda: threading.active_count() <= threads_before, 5, "the thread ended")
