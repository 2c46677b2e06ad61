"""The log: one JSON object a line, and few lines, however often something repeats."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.log import BURST, EXCERPT_CHARS, MAX_WORDINGS, PAUSE_S, BoundedHandler
from cloud_sync.log_ring import Ring
from firmware_bridge.bodies import StatedBody
from firmware_bridge.messages import Reject
from gateway.parts import keep_house
from tests.flow.world import Process
from tests.gateway.web.conftest import DISPENSER_KEY, Shop, inside_of, open_shop, write_config
from tests.hand_device import HandDevice
from tests.servers import free_port
from tests.waiting import wait_until, wait_until_async

FLAPS = 10_000


class Log:
    """A logger of its own with a handler on a clock that the test moves."""

    def __init__(self) -> None:
        self.now_s = 0.0
        self.ring = Ring(max_lines=20, max_chars=10_000)
        self._stream = io.StringIO()
        self.handler = BoundedHandler(self._stream, lambda: self.now_s, self.ring)
        self.logger = logging.getLogger("tests.log")
        self.logger.propagate = False
        self.logger.setLevel(logging.INFO)
        self.logger.handlers = [self.handler]

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self._stream.getvalue().split("\n")[:-1]]


@pytest.fixture
def log() -> Iterator[Log]:
    log = Log()
    yield log
    log.logger.handlers = []


def test_the_last_lines_are_kept_as_they_were_written(log: Log) -> None:
    for i in range(30):
        log.logger.warning(f"wording {'x' * i}")  # noqa: G004 -- each is a wording of its own
    kept = log.ring.lines()
    assert [json.loads(line.json) for line in kept] == log.lines[-20:]
    assert [line.number for line in kept] == list(range(11, 31))
    assert {(line.level, line.logger) for line in kept} == {(logging.WARNING, "tests.log")}


def test_long_lines_push_out_more(log: Log) -> None:
    for i in range(12):
        log.logger.warning(f"{i} {'x' * EXCERPT_CHARS}")  # noqa: G004
    assert 1 <= len(log.ring.lines()) <= 5
    assert sum(len(line.json) for line in log.ring.lines()) <= 10_000


def test_what_is_left_out_is_not_kept_either(log: Log) -> None:
    for _ in range(BURST + 3):
        log.logger.info("again")
    assert len(log.ring.lines()) == BURST


def test_a_line_is_one_json_object(log: Log) -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError:
        log.logger.exception("a %s", "\u00e9\n\u2028", extra={"event_id": "a:1:2", "error": "x" * 10_000, "number": 3})
    (line,) = log.lines
    assert (line["level"], line["logger"], line["message"]) == ("error", "tests.log", "a \u00e9\n\u2028")
    assert (line["event_id"], line["number"], len(line["error"])) == ("a:1:2", 3, EXCERPT_CHARS)
    assert line["exception"].endswith("ValueError: two\nlines")
    assert "left_out" not in line


def test_what_repeats_is_left_out_counted_and_never_lost(log: Log) -> None:
    for n in range(FLAPS):
        log.logger.warning("%s is offline: %s", "bar-1", n, extra={"dispenser": "bar-1"})
    assert [line["message"] for line in log.lines] == [f"bar-1 is offline: {n}" for n in range(BURST)]
    log.handler.catch_up()
    assert len(log.lines) == BURST, "its minute is not over"
    log.now_s = PAUSE_S
    log.handler.catch_up()
    assert (log.lines[-1]["message"], log.lines[-1]["left_out"]) == ("bar-1 is offline: 9999", FLAPS - BURST - 1)
    log.logger.warning("%s is offline: %s", "bar-1", "again", extra={"dispenser": "bar-1"})
    log.now_s = 2 * PAUSE_S
    log.logger.warning("%s is offline: %s", "bar-1", "and again", extra={"dispenser": "bar-1"})
    assert (log.lines[-1]["message"], log.lines[-1]["left_out"]) == ("bar-1 is offline: and again", 1)
    log.handler.close()
    assert len(log.lines) == BURST + 2
    assert len(log.lines) + sum(line.get("left_out", 0) for line in log.lines) == FLAPS + 2


def test_another_dispenser_is_another_matter(log: Log) -> None:
    for n in range(BURST + 3):
        for dispenser in ("bar-1", "bar-2"):
            log.logger.info("%s: %d", dispenser, n, extra={"dispenser": dispenser})
    assert len(log.lines) == 2 * BURST
    log.handler.close()
    assert [line["left_out"] for line in log.lines[-2:]] == [2, 2]


def test_after_a_quiet_time_lines_pass_again(log: Log) -> None:
    for burst in range(2):
        log.now_s = burst * BURST * PAUSE_S
        for _ in range(BURST):
            log.logger.info("hello")
    assert len(log.lines) == 2 * BURST
    assert not any("left_out" in line for line in log.lines)


def test_wordings_that_are_remembered_are_bounded_and_forgotten_ones_say_their_last(log: Log) -> None:
    for _ in range(BURST + 2):
        log.logger.info("the oldest")
    for n in range(5 * MAX_WORDINGS):
        log.logger.info("hello", extra={"dispenser": f"bar-{n}"})
    assert len(log.handler._wordings) == MAX_WORDINGS
    assert [line.get("left_out") for line in log.lines if line["message"] == "the oldest"] == [None] * BURST + [1]


async def test_a_daemon_looks_whether_a_minute_is_over(tmp_path: Path, log: Log) -> None:
    root = logging.getLogger()
    root.addHandler(log.handler)
    try:
        for n in range(BURST + 2):
            log.logger.info("hello %d", n)
        async with inside_of(tmp_path) as inside:
            keeping = asyncio.create_task(keep_house(inside.state))
            log.now_s = PAUSE_S
            await wait_until_async(lambda: len(log.lines) > BURST, 10, "what was left out is told")
            keeping.cancel()
            await asyncio.wait([keeping])
    finally:
        root.removeHandler(log.handler)
    assert (log.lines[BURST]["message"], log.lines[BURST]["left_out"]) == (f"hello {BURST + 1}", 1)


async def test_a_link_that_flaps_ten_thousand_times(tmp_path: Path, log: Log) -> None:
    daemon = logging.getLogger("gateway")
    daemon.addHandler(log.handler)
    daemon.setLevel(logging.INFO)
    try:
        async with inside_of(tmp_path) as inside:
            hello = inside.hello()
            dispensers = inside.state.dispensers
            for n in range(FLAPS):
                if n % 1_000 == 0:  # each flap is a piece of work, and the store's queue is bounded
                    await asyncio.wrap_future(inside.state.store.write(lambda _transaction: None))
                link = dispensers.known[hello.dispenser].link
                assert link is not None
                dispensers.closed(link, hello, "silent")
                dispensers.opened(link, hello, None)
            assert dispensers.closings["silent"] == FLAPS
            assert dispensers.known[hello.dispenser].openings == FLAPS + 1
    finally:
        daemon.removeHandler(log.handler)
        log.handler.close()
    about_it = [line for line in log.lines if line.get("dispenser") == "hot-bar-1"]
    assert len(about_it) == 2 * (BURST + 1)
    assert sum(1 + line.get("left_out", 0) for line in about_it) == 2 * FLAPS + 1


def test_a_daemon_leaves_out_what_repeats_and_names_the_events(tmp_path: Path) -> None:
    config = write_config(tmp_path, free_port(), f'[serial]\nports = ["{tmp_path}/port"]\n')
    gateway = Process(tmp_path, "gateway", "gateway", "run", "--config", str(config))
    try:
        with HandDevice(tmp_path / "port", "hot-bar-1", DISPENSER_KEY, sauces=("table-red",)) as device:
            wait_until(gateway.log.read_text, 60, "the daemon has begun")
            device.open()
            refused = [device.event(StatedBody(shu=99_000_000)) for _ in range(20)]
            for event in refused:
                device.send(event)
                device.expect_ack(event.sequence)
    finally:
        gateway.stop()
    lines = [json.loads(line) for line in gateway.log.read_text().splitlines()]
    told = [line for line in lines if line["message"].startswith("event refused")]
    numbers = [*range(1, BURST + 1), len(refused)]
    assert [line["event_id"] for line in told] == [f"hot-bar-1:{device.generation:08x}:{n}" for n in numbers]
    assert {line["dispenser"] for line in told} == {"hot-bar-1"}
    assert told[-1]["left_out"] == len(refused) - BURST - 1


def test_ten_thousand_bad_frames_are_no_line(tmp_path: Path) -> None:
    with (
        open_shop(tmp_path) as shop,
        HandDevice(tmp_path / "sim/ports/usb-picante-noise", "stranger", bytes(32), sauces=()) as device,
    ):
        device.greet(device.hello(), Reject)
        wait_until(lambda: "stranger" in shop.gateway.log.read_text(), 5, "the refusal, which comes after its REJECT")
        before = len(shop.gateway.log.read_text().splitlines())
        device.write(b"\x02\x01\x00" * FLAPS)
        wait_until(lambda: bad_frames(shop) >= FLAPS, 60, "all of them are counted")
        assert bad_frames(shop) == FLAPS
        assert len(shop.gateway.log.read_text().splitlines()) == before


def bad_frames(shop: Shop) -> float:
    return sum(
        float(line.rpartition(" ")[2])
        for line in shop.get("/metrics").text.splitlines()
        if line.startswith("picante_bad_frames_total{")
    )


def test_a_daemon_that_cannot_start_says_so_in_json(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "picante", "gateway", "run", "--config", "none.toml"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    line = json.loads(done.stderr)
    assert line["level"] == "critical"
    assert "none.toml" in line["message"]
