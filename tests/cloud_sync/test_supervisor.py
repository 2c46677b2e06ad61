"""The supervisor: what is retried, what stops, what is said."""

from __future__ import annotations

import asyncio
import logging

import pytest

from cloud_sync.settings import UplinkSettings
from cloud_sync.supervisor import SETTLED_S, Supervisor
from firmware_bridge.line import CONNECT_S
from heat.errors import (
    BrokerRefused,
    BrokerUnreachable,
    ForeignInstance,
    LinkLost,
    PicanteError,
    PortBusy,
    PortMissing,
    PortUnreachable,
    SinkRefused,
    SinkUnavailable,
)
from tests.waiting import wait_until_async


async def test_a_failing_part_is_run_again_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor()
    runs = 0

    async def part() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise LinkLost("the cable", hint="Put it back")

    with caplog.at_level(logging.INFO, "cloud_sync.supervisor"):
        await supervisor.run("port", part)
    assert runs == 4
    assert [record.message for record in caplog.records] == ["port is waiting"]
    assert "port" not in supervisor.parts


@pytest.mark.parametrize(
    ("failures", "broken"),
    [
        ([RuntimeError()] * 3, [False, False, True]),
        ([LinkLost("the cable")] * 4, [False] * 4),
        ([RuntimeError(), LinkLost("the cable"), RuntimeError(), RuntimeError()], [False, False, False, True]),
        ([RuntimeError(), RuntimeError(), None, RuntimeError()], [False] * 4),
    ],
)
async def test_a_part_that_crashes_again_and_again_is_broken(
    failures: list[Exception | None], broken: list[bool]
) -> None:
    """None: it ran well for long before it lost its cable."""
    now_s, seen, left = 0.0, list[bool](), iter(failures)

    async def sleep(_: float) -> None:
        seen.append("x" in supervisor.broken())

    async def part() -> None:
        nonlocal now_s
        try:
            error = next(left)
        except StopIteration:
            return
        if error is None:
            now_s += SETTLED_S + 1
        raise error or LinkLost("the cable")

    supervisor = Supervisor(lambda: now_s, sleep)
    await supervisor.run("x", part)
    assert seen == broken


async def test_a_part_that_stopped_is_broken() -> None:
    supervisor = Supervisor()

    async def part() -> None:
        raise ForeignInstance("another one")

    await supervisor.run("x", part)
    assert supervisor.broken() == {"x"}


SHORT_S = {"FIRST_BACKOFF_S": 0.001, "LONGEST_BACKOFF_S": 0.004, "LONGEST_PORT_S": 0.002, "LONGEST_REFUSED_S": 0.03}


def shorten_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, seconds in SHORT_S.items():
        monkeypatch.setattr(f"cloud_sync.supervisor.{name}", seconds)


@pytest.mark.parametrize(
    ("error", "longest_s"),
    [(PortUnreachable, 2.0), (PortBusy, 2.0), (LinkLost, 2.0), (BrokerUnreachable, 4.0), (SinkUnavailable, 4.0)],
)
async def test_after_an_hour_away_it_is_found_as_soon_as_after_a_minute(
    error: type[PicanteError], longest_s: float
) -> None:
    now_s, pauses_s = 0.0, list[float]()

    async def sleep(seconds: float) -> None:
        nonlocal now_s
        now_s += seconds
        pauses_s.append(seconds)

    async def part() -> None:
        nonlocal now_s
        now_s += CONNECT_S
        if now_s < 3_600:
            raise error("no answer")

    await Supervisor(lambda: now_s, sleep).run("x", part)
    assert len(pauses_s) > 500
    assert 0.9 * longest_s < max(pauses_s) <= longest_s
    assert max(pauses_s) + CONNECT_S < 5 or not issubclass(error, PortMissing)


@pytest.mark.parametrize(
    ("error", "longest_s"),
    [
        (LinkLost, 0.002),
        (PortUnreachable, 0.002),
        (SinkUnavailable, 0.004),
        (SinkRefused, 0.03),
        (BrokerUnreachable, 0.004),
        (BrokerRefused, 0.03),
    ],
)
async def test_who_is_refused_knocks_more_seldom(
    monkeypatch: pytest.MonkeyPatch, error: type[PicanteError], longest_s: float
) -> None:
    shorten_pauses(monkeypatch)
    supervisor, pauses_s = Supervisor(), list[float]()

    async def part() -> None:
        pauses_s.append(supervisor.parts["x"].pause_s)
        if len(pauses_s) < 8:
            raise error("no")

    await supervisor.run("x", part)
    assert pauses_s[:4] == [0, 0.001, 0.002, min(0.004, longest_s)]
    assert pauses_s == sorted(pauses_s)
    assert pauses_s[-1] == longest_s


@pytest.mark.parametrize(("error", "longest_s"), [(SinkUnavailable, 0.004), (SinkRefused, 0.03)])
async def test_a_connection_that_takes_its_time_to_fail_is_no_healthy_run(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    error: type[PicanteError],
    longest_s: float,
) -> None:
    shorten_pauses(monkeypatch)
    settings = UplinkSettings("kafka.example:9092", "gw-1")
    slowest_s = (  # a connection, the look for a reason, and a first transaction
        settings.connect_timeout_s + (settings.request_timeout_ms + settings.transaction_timeout_ms) / 1000 + 1
    )
    now_s = 0.0
    supervisor, runs_s, pauses_s, since = Supervisor(lambda: now_s), [slowest_s] * 8, list[float](), set[float]()

    async def part() -> None:
        nonlocal now_s
        pauses_s.append(supervisor.parts["uplink"].pause_s)
        since.add(supervisor.parts["uplink"].since)
        if not runs_s:
            return
        now_s += runs_s.pop(0)
        raise error("no answer")

    await supervisor.run("uplink", part)
    assert pauses_s[-1] == longest_s
    assert [record.message for record in caplog.records] == ["uplink is waiting"]
    assert len(since) == 2, "its start, and its first failure"

    runs_s, pauses_s = [slowest_s, slowest_s, SETTLED_S + 1], []
    await supervisor.run("uplink", part)
    assert pauses_s == [0, 0.001, 0.002, 0.001], "the last run was healthy"
    assert [record.message for record in caplog.records[1:]] == ["uplink is waiting"] * 2


async def test_a_part_that_is_well_again_is_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    shorten_pauses(monkeypatch)
    monkeypatch.setattr("cloud_sync.supervisor.SETTLED_S", 0.05)
    supervisor, runs, ended = Supervisor(), list[float](), asyncio.Event()

    async def part() -> None:
        runs.append(supervisor.parts["x"].since)
        if len(runs) < 4:
            raise SinkUnavailable("no answer")
        await ended.wait()

    with caplog.at_level(logging.INFO, "cloud_sync.supervisor"):
        task = asyncio.create_task(supervisor.run("x", part))
        await wait_until_async(lambda: len(runs) == 4, 2, "it runs")
        assert [record.message for record in caplog.records] == ["x is waiting"], "not settled yet"
        await wait_until_async(lambda: supervisor.parts["x"].state == "running", 2, "it is well")
        assert (supervisor.parts["x"].error, supervisor.parts["x"].since > runs[-1]) == (None, True)
        ended.set()
        await task
    assert [record.message for record in caplog.records] == ["x is waiting", "x is running"]


async def test_an_error_that_says_stop_stops(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor()

    async def part() -> None:
        raise ForeignInstance("another gateway uses our name")

    await supervisor.run("uplink", part)
    assert supervisor.parts["uplink"].state == "stopped"
    assert "another gateway" in str(supervisor.parts["uplink"].error)


async def test_an_unexpected_error_is_logged_with_its_traceback(caplog: pytest.LogCaptureFixture) -> None:
    supervisor = Supervisor()
    failed = False

    async def part() -> None:
        nonlocal failed
        if not failed:
            failed = True
            raise ZeroDivisionError

    await supervisor.run("x", part)
    assert any(record.exc_info for record in caplog.records)


async def test_cancellation_passes_through() -> None:
    supervisor = Supervisor()
    started = asyncio.Event()

    async def part() -> None:
        started.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(supervisor.run("x", part))
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await wait_until_async(lambda: "x" not in supervisor.parts, 1, "the part is gone")
