"""A daemon that hangs under load is killed by its watchdog and started again; no event is lost or doubled by it.

What hangs: the process, its event loop, the thread that writes, or the disk itself (an ext4 image that is frozen).
"""

from __future__ import annotations

import signal
import subprocess
import time
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from tests.faults.loop_image import skip_without_loop_devices, small_disk
from tests.flow.reckoning import settle
from tests.flow.verdict import NOTHING_WRONG
from tests.flow.world import Kafka, Mqtt, World, world
from tests.gateway.systemd import Systemd
from tests.waiting import wait_until

LIMIT_S = 1.0
"""s without a beat after which this watchdog kills; the unit file has 30."""
BACK_S = 45.0 - 30.0 - 2.0 + LIMIT_S
"""s from a freeze until the daemon is ready: as promised, less the pause before the start, with this limit."""
ROWS = 150
"""That are stored between two freezes."""
LOAD = """\
[load]
events_per_s = 60
ask_share = 0.02
customers = 10

[[dispensers]]
id = "frozen-wire"
baud = 0
ring = 16384
count = 2

[[dispensers]]
id = "frozen-air"
link = "mqtt"
ring = 16384
"""


@pytest.mark.timeout(300)
def test_whatever_hangs_the_watchdog_ends_it_and_nothing_is_lost(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> None:
    skip_without_loop_devices()
    with (
        small_disk(tmp_path, 128) as disk,
        closing(Systemd(tmp_path, LIMIT_S)) as systemd,
        world(tmp_path, kafka, mqtt, LOAD, "gw-freeze") as shop,
    ):
        (tmp_path / "gateway").symlink_to(disk)
        shop.environment = systemd.environment
        shop.start_sim()
        daemon = shop.start_gateway()
        for freeze, thaw in (
            (partial(_signal, shop, signal.SIGSTOP), None),
            (partial(_signal, shop, signal.SIGUSR1), None),
            (partial(_signal, shop, signal.SIGUSR2), None),
            (partial(_fsfreeze, "--freeze", disk), partial(_fsfreeze, "--unfreeze", disk)),
        ):
            _store_more(shop)
            wait_until(lambda: systemd.count("WATCHDOG"), 90, "the daemon beats")
            freeze()
            back_s = time.monotonic() + BACK_S
            try:
                wait_until(systemd.expired, BACK_S, "the beats stop", promised=True)
                assert daemon.process.poll() is None, daemon.said()
                daemon.process.kill()
            finally:
                if thaw is not None:
                    thaw()  # who waits for a disk can't even be killed
            daemon.process.wait(30)
            systemd.forget()
            daemon = shop.start_gateway(back_s - time.monotonic(), promised=True)
        made, verdict = settle(shop)
        assert verdict == NOTHING_WRONG
        assert made > 4 * ROWS


def _signal(shop: World, number: signal.Signals) -> None:
    assert shop.gateway is not None
    shop.gateway.process.send_signal(number)


def _store_more(shop: World) -> None:
    before = shop.position()
    wait_until(lambda: shop.position() >= before + ROWS, 60, f"{ROWS} rows more are stored")


def _fsfreeze(what: str, place: Path) -> None:
    subprocess.run(["fsfreeze", what, place], check=True, timeout=30)
