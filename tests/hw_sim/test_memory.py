"""Two hundred dispensers in one process, their rings full: within 200 MB."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

COUNT = 200
LIMIT_MB = 200
ROOT = Path(__file__).parents[2]

SHOP = """
import asyncio, sys
from pathlib import Path
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation

CABLES = '[[dispensers]]\\nid = "cable"\\ncount = 100\\n'
NETWORKS = '[mqtt]\\nport = 9\\n[[dispensers]]\\nid = "wifi"\\nlink = "mqtt"\\ncount = 100\\n'

async def main():
    async with Simulation(parse_scenario(NETWORKS + CABLES), Path(sys.argv[1])) as simulation:
        for unit in simulation.units.values():
            for _ in range(40):
                unit.pour(1, 3_000)
            memory = unit._recorder.ring._memory
            memory[4096:] = bytes(len(memory) - 4096)  # as full as it can be: every page is in use
        print(len(simulation.units), Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

asyncio.run(main())
"""


def test_two_hundred_dispensers_fit_into_200_mb(tmp_path: Path) -> None:
    run = subprocess.run(
        [sys.executable, "-c", SHOP, str(tmp_path)],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    count, peak_kb = map(int, run.stdout.split())
    assert count == COUNT
    assert peak_kb / 1024 < LIMIT_MB
