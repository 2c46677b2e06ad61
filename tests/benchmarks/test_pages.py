"""Every page answers within a second in a shop of 200 dispensers and a million events, and none is missing.

The shop is the benchmark's. A busy machine may keep a page waiting: whichever took longer is asked again until it is in
time; one whose queries read all that there is never would be.
"""

from __future__ import annotations

import http.client
from contextlib import closing
from pathlib import Path

from benchmarks.pages import GOAL_MS, MILLION, full_shop, measure
from benchmarks.parts.daemon import Daemon
from benchmarks.parts.shop import DISPENSERS
from tests.waiting import wait_until

ONLINE = 8
"""The others were here, and are away."""
MENU = ("/", "/dispensers", "/sync", "/picks", "/events", "/system", "/people")
OF_ONE = ("", "/readings", "/trace", "/nozzles", "/nozzles/1/bottle", "/nozzles/1/calibrate")


def is_in_time(daemon: Daemon, path: str) -> bool:
    """Whether a page answers within a second."""
    with closing(http.client.HTTPConnection("127.0.0.1", daemon.port, timeout=GOAL_MS / 1000)) as connection:
        try:
            connection.request("GET", path, headers=daemon.headers)
            return bool(connection.getresponse().read())
        except TimeoutError:
            return False


def test_every_page_answers_in_a_full_shop(tmp_path: Path) -> None:
    with full_shop(tmp_path, MILLION, ONLINE) as (daemon, process):
        assert len(daemon.get("/api/v1/dispensers")["dispensers"]) == DISPENSERS
        assert daemon.get("/api/v1/sync")["stored"] == MILLION
        assert daemon.get("/api/v1/ledger")["agrees"]
        took = {line.what.removeprefix("ms, "): line.got for line in measure(daemon, process, tmp_path, times=1)}
        assert took.keys() >= {*MENU, *(f"/dispensers/bar-7{page}" for page in OF_ONE)}
        assert [path for path, got in took.items() if got.startswith("status")] == []
        for path, got in took.items():
            if int(got.replace(",", "")) >= GOAL_MS:
                wait_until(lambda path=path: is_in_time(daemon, path), 10, f"{path} is in time")  # type: ignore[misc]
    (tmp_path / "gateway.db").unlink()  # 400 MB, which pytest would keep
