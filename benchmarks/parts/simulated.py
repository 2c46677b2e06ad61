"""Simulated dispensers in a process of their own, on real PTYs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ONLINE_WITHIN_S = 120
"""Seconds for all dispensers to open their links."""

_SCENARIO = """\
store = "bench"
{load}
[[dispensers]]
id = "bar"
baud = {baud}
count = {count}
{sampling}
"""


@contextmanager
def simulating(
    directory: Path, count: int, *, baud: int, events_per_s: float | None, sample_hz: int | None = None
) -> Iterator[str]:
    """So many dispensers; gives the pattern of their ports. Their keys are in `sim/keys.toml`.

    `baud` 0: no pacing. `events_per_s` over all of them; 0: as fast as the lines take them; None: nothing happens.
    `sample_hz`: how often sensors are read while something flows; None: never.
    """
    load = f"[load]\nevents_per_s = {events_per_s}\n" if events_per_s is not None else ""
    sampling = f"sample_hz = {sample_hz}" if sample_hz is not None else ""
    scenario = _SCENARIO.format(count=count, baud=baud, load=load, sampling=sampling)
    (directory / "scenario.toml").write_text(scenario)
    command = [sys.executable, "-m", "picante", "sim", "run", "--scenario", "scenario.toml", "--state", "sim"]
    with (directory / "sim.log").open("wb") as log:
        sim = subprocess.Popen(command, cwd=directory, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + ONLINE_WITHIN_S
        while len(list((directory / "sim" / "ports").glob("*"))) < count:
            if sim.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"no dispensers:\n{(directory / 'sim.log').read_text()[-2000:]}")
            time.sleep(0.05)
        yield f"{directory}/sim/ports/usb-picante-*"
    finally:
        sim.terminate()
        sim.wait()
