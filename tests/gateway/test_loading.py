"""Dispensers are served as soon as what they need is loaded; the web comes after them."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest

from gateway import app
from gateway.app import run_parts
from gateway.assembly import assemble
from gateway.config import load_config
from gateway.loading import load
from gateway.notify import Notifier
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation
from tests.gateway.web.conftest import write_config
from tests.servers import free_port
from tests.waiting import wait_until_async


async def test_a_dispenser_is_served_while_the_web_is_loaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = asyncio.Event()

    async def late(names: Iterable[str]) -> None:
        await loaded.wait()
        await load(names)

    monkeypatch.setattr(app, "load", late)
    serial = f'[serial]\nports = ["{tmp_path}/sim/ports/*"]\n'
    config = load_config(write_config(tmp_path, free_port(), serial, keys="sim/keys.toml"))
    scenario = parse_scenario('store = "mercado-12"\n[[dispensers]]\nid = "bar-1"\nbaud = 0\n')
    async with Simulation(scenario, tmp_path / "sim") as simulation, assemble(config) as state:
        parts = asyncio.create_task(run_parts(state, Notifier({})))
        unit = simulation.units["bar-1"]
        unit.pour(1, 100)
        await wait_until_async(lambda: unit.header.next > 1 and not unit.header.held, 20, "a pour is acknowledged")
        console = tmp_path / "gateway" / "gateway.sock"
        assert not console.exists(), "the web is there already"
        loaded.set()
        await wait_until_async(console.exists, 20, "the web is there, too")
        parts.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await parts


def test_what_serves_dispensers_needs_nothing_of_the_web() -> None:
    code = "import sys, gateway.app; print(*{'fastapi', 'jinja2', 'babel', 'uvicorn'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == ""


async def test_the_collector_works_again_and_leaves_alone_what_was_loaded() -> None:
    before = gc.get_freeze_count()
    try:
        with pytest.raises(ModuleNotFoundError):
            await load(["there_is_no_such_module"])
        assert gc.isenabled()
        await load(["json"])
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()
