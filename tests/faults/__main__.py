"""`make faults`: what `make test` tries a few times, again and again, each time with another seed.

python -m tests.faults [link | serial | cables | kills | cloud] [--runs 100] [--seed 1]

    link    firmware and gateway's session on a bad line, both dying, in virtual time: 10,000 runs
    serial  a real serial port that brings noise, torn frames and floods among 10,000 frames: 100 runs
    cables  of four real ports, pulled, plugged and swapped under a gateway: 500 times
    kills   gateway, Mosquitto and Kafka's brokers killed under load: 100 runs
    cloud   pipeline and lake's writer killed 20 times each, Kafka's brokers and Redis beside them: 5 runs

Without a name all of them. Run number n has the seed `seed + n`; one that fails is printed with the command that has it
again.

Exit status: 0 when every run kept the promise; 1 when one did not; 130 when it was ended early.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.faults import sweep
from tests.faults.cloud import sweep as cloud_sweep
from tests.faults.sweep import bound, tell
from tests.firmware_bridge import noise, trial

RUNS = {"link": 10_000, "serial": 100, "cables": 500, "kills": sweep.RUNS, "cloud": cloud_sweep.RUNS}


def main(arguments: Sequence[str]) -> int:
    """Try; the exit status."""
    usual = ", ".join(f"{what} {runs}" for what, runs in RUNS.items())
    parser = argparse.ArgumentParser(prog="make faults", description="Faults, again and again: is anything lost?")
    parser.add_argument("what", nargs="?", choices=RUNS, help="what to try (default: all)")
    parser.add_argument("--runs", type=int, help=f"tries of each (default: {usual})")
    parser.add_argument("--seed", type=int, default=1, help="of the first run (default: %(default)s)")
    wanted = parser.parse_args(arguments)
    # what ends it early ends its servers, too
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    status = 0
    for what in RUNS if wanted.what is None else [wanted.what]:
        seeds = range(wanted.seed, wanted.seed + (RUNS[what] if wanted.runs is None else wanted.runs))
        try:
            status |= _try(what, seeds)
        except KeyboardInterrupt:
            return 130
    return status


def _try(what: str, seeds: Sequence[int]) -> int:
    match what:
        case "link":
            return repeat(what, seeds, trial.attempt)
        case "serial":
            return repeat(what, seeds, noise.attempt)
        case "cables":
            return pull_cables(seeds)
        case "cloud":
            return cloud_sweep.cloud(seeds)
        case _:
            return sweep.kills(seeds)


def repeat(what: str, seeds: Sequence[int], attempt: Callable[[Path, int], None]) -> int:
    """An attempt for each seed, a line where one fails, and the sum at the end, an early one by Ctrl-C too."""
    failed, tried, began_s = 0, 0, time.monotonic()
    try:
        for seed in seeds:
            with tempfile.TemporaryDirectory(prefix=f"picante-{what}-") as place:
                try:
                    attempt(Path(place), seed)
                except AssertionError as why:
                    failed += 1
                    tell(str(why))
            tried += 1
    finally:
        tell(f"{what}: {bound(tried, failed, f'tries from seed {seeds[0]} on')} ({time.monotonic() - began_s:.0f} s)")
    return 1 if failed else 0


def pull_cables(seeds: Sequence[int]) -> int:
    """The test of cables with so many of them, and the first seed for all."""
    environment = {**os.environ, "PICANTE_TRIES": str(len(seeds)), "PICANTE_SEED": str(seeds[0])}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "tests/faults/test_cables.py"]
    return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
