"""`picante demo` as a newcomer runs it: what it prints, what it counts, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import psutil
from deltalake import DeltaTable

from picante.demo.acts import cut_the_internet, kill_the_gateway, mend_the_internet, playable
from tests.servers import free_port
from tests.waiting import wait_until

SECONDS = 41
"""Long enough for the gateway to be killed, and back; pulling a cable, the last act, is tried elsewhere."""
KEYS = {
    "page",
    "dispensers",
    "events_generated",
    "events_stored",
    "events_in_topic",
    "duplicates_in_topic",
    "lost",
    "under_way",
    "faults",
    "picks_shown",
    "picks_accepted",
    "pick_ms",
    "position",
    "cloud",
}


def demo(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "picante", "demo", *arguments]


def test_through_a_cut_line_and_a_kill_nothing_is_lost_and_the_reckoning_is_json(tmp_path: Path) -> None:
    played = {act.play for act in playable(SECONDS, embedded=True)}
    assert played >= {cut_the_internet, mend_the_internet, kill_the_gateway}
    command = demo("--seconds", str(SECONDS), "--json", "--port", str(free_port()), "--state", str(tmp_path / "state"))
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    reckoning = json.loads(done.stdout)
    assert set(reckoning) == KEYS
    assert (reckoning["page"]["name"], len(reckoning["page"]["password"]) > 12) == ("demo", True)
    assert reckoning["dispensers"] == 6
    assert reckoning["position"] == "sqlite"
    assert reckoning["faults"] == []
    assert reckoning["lost"] == reckoning["under_way"] == reckoning["duplicates_in_topic"] == 0
    assert reckoning["events_generated"] == reckoning["events_stored"] == reckoning["events_in_topic"] > 50
    assert 0 < reckoning["picks_accepted"] <= reckoning["picks_shown"]
    assert 0 < reckoning["pick_ms"]["p50"] <= reckoning["pick_ms"]["p99"]
    cloud = reckoning["cloud"]
    assert set(cloud) == {"events", "duplicates", "profiles", "digests_equal", "lake_rows"}
    assert cloud["digests_equal"] is True
    assert cloud["events"] >= reckoning["events_in_topic"], "the gateway's own events are folded, too"
    rows = DeltaTable(str(tmp_path / "state" / "lake" / "events")).to_pyarrow_table(columns=["id"])
    assert rows.num_rows == cloud["lake_rows"] == cloud["events"] + cloud["duplicates"]
    assert cloud["duplicates"] == 0 < cloud["profiles"]


def test_ctrl_c_ends_everything_in_time_with_a_browsers_stream_open(tmp_path: Path) -> None:
    port = free_port()
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(
            demo("--port", str(port)), cwd=tmp_path, stdout=out, stderr=out, start_new_session=True
        )
    page = f"http://127.0.0.1:{port}"

    def said() -> str:
        return (tmp_path / "out").read_text(errors="replace")

    try:
        wait_until(lambda: "6 dispensers online" in said(), 90, f"the dispensers are online: {said()}")
        password = re.search(r"sign in as demo with the password (\S+)", said())
        assert password is not None
        form = {"name": "demo", "password": password[1]}
        cookie = (
            httpx.post(f"{page}/sign-in", data=form, headers={"origin": page}).headers["set-cookie"].partition(";")[0]
        )
        with httpx.stream("GET", f"{page}/api/v1/stream", headers={"cookie": cookie}, timeout=10) as stream:
            assert stream.is_success
            next(stream.iter_raw())
            children = psutil.Process(process.pid).children(recursive=True)
            assert len(children) >= 4
            os.kill(process.pid, signal.SIGINT)
            assert process.wait(30) == 0, said()
    finally:
        process.kill()
        process.wait()
    assert "nothing lost, nothing twice" in said()
    assert [child for child in children if child.is_running()] == []


def test_a_busy_port_is_passed_over(tmp_path: Path) -> None:
    with socket.socket() as squatter:
        squatter.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        squatter.bind(("127.0.0.1", 0))
        squatter.listen()
        port = squatter.getsockname()[1]
        from picante.demo.children import free_port as next_free_port

        assert next_free_port(port) > port
