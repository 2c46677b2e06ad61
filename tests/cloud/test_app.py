"""`picante cloud run` as a whole: it ends when a part can't go on, and its figures say how the parts are."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from cloud import app
from cloud.config import load_cloud_config
from cloud.metrics import REGISTRY
from heat.errors import PicanteError, SinkUnavailable, StoreCorrupt
from tests.waiting import wait_until_async

WEATHER = """\
[weather]
key_file = "nowhere"
[[sites]]
store = "s"
region = "r"
latitude = 1.0
longitude = 2.0
time_zone = "UTC"
"""


def config_of(directory: Path, parts: str, more: str = "") -> Path:
    path = directory / "cloud.toml"
    path.write_text(f'[cloud]\ndata_dir = "data"\nparts = {parts}\n[kafka]\nbootstrap = "127.0.0.1:1"\n{more}')
    return path


@pytest.mark.parametrize(
    ("parts", "more", "status", "says"),
    [
        ('["clock", "weather"]', WEATHER, 1, "error: weather can't go on: "),
        ('["hot_store", "weather"]', "", 2, "error: nothing that cloud.parts names has anything to do"),
    ],
    ids=["a part that is stopped ends the others", "parts that have nothing to do"],
)
def test_its_exit_status_says_what_it_came_to(tmp_path: Path, parts: str, more: str, status: int, says: str) -> None:
    command = [sys.executable, "-m", "picante", "cloud", "run", "--config", str(config_of(tmp_path, parts, more))]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == status, done.stderr
    assert says in done.stderr.splitlines()[-1]


async def test_figures_say_how_each_part_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken, cancelled = asyncio.Event(), asyncio.Event()

    async def lake() -> None:
        raise StoreCorrupt("its file") if broken.is_set() else SinkUnavailable("no broker")

    async def clock() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async def weather() -> None:
        """Has nothing to do."""

    def states(part: str) -> set[str]:
        return {
            state
            for state in ("running", "waiting", "stopped")
            if REGISTRY.get_sample_value("picante_cloud_part", {"part": part, "state": state})
        }

    monkeypatch.setattr(app, "parts", lambda _: {"weather": weather, "lake": lake, "clock": clock})
    monkeypatch.setattr(app, "spare_the_collector", lambda: None)
    running = asyncio.create_task(app.run(load_cloud_config(config_of(tmp_path, '["lake"]'))))
    await wait_until_async(lambda: states("lake") == {"waiting"}, 5, "the lake is waiting")
    assert (states("clock"), states("weather")) == ({"running"}, set())
    broken.set()
    with pytest.raises(PicanteError, match="lake can't go on: its file"):
        await asyncio.wait_for(running, 10)
    assert states("lake") == {"stopped"}
    assert cancelled.is_set()
