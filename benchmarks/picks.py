"""What a pick costs: time, memory, and how soon after its start a process has one: `python benchmarks/picks.py`.

A pick is all that happens between a customer's reading and the three sauces for the screen: features, scores of the
bundle that ships, the policy with its chances, and the explanations. Beside it stand, in the same loop and on the same
sauces, the ranker's model alone in onnxruntime, and the two products that no policy of weights can do without in NumPy.
"""

from __future__ import annotations

import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks.parts.machine import ROOT, describe
from benchmarks.parts.table import HEAD, Line, show
from benchmarks.parts.tasting import Tasting
from models.explore import suggest

SAUCES = (60, 500)
PICKS = 3_000
GOAL_MS = 1.0
WISH_MS = 0.3
MEMORY_MB = 60.0
START_S = 2.0
STARTS = 5
PROCESS = "benchmarks.parts.first_pick"
_BARE = """
print("there", flush=True)
for line in open("/proc/self/status"):
    if line.startswith("VmRSS"):
        print(line.split()[1])
"""


def timed(sauces: int, picks: int) -> tuple[list[float], list[float], list[float]]:
    """Seconds of each pick, of a bare run of the model and of the bare products: in turns, so that all are as warm."""
    tasting, chance = Tasting(sauces), random.Random(1)
    mine, onnx, numpy = [], [], []
    for number in range(picks + picks // 10):
        asked = tasting.asks[number % len(tasting.asks)]
        began = time.perf_counter()
        suggest(tasting.ranker, *asked, seed=chance.getrandbits(53))
        shown = time.perf_counter()
        tasting.ranker.scores(tasting.matrix)
        scored = time.perf_counter()
        _ = tasting.matrix @ tasting.weights, tasting.matrix @ tasting.deviations
        ended = time.perf_counter()
        if number >= picks // 10:
            mine.append(shown - began)
            onnx.append(scored - shown)
            numpy.append(ended - scored)
    return sorted(mine), sorted(onnx), sorted(numpy)


def speed(picks: int) -> Iterator[Line]:
    """How long a pick takes."""
    for sauces in SAUCES:
        mine, onnx, numpy = timed(sauces, picks)
        for name, share in (("p50", 0.5), ("p99", 0.99)):
            got, run, product = (seconds[int(len(seconds) * share)] * 1e3 for seconds in (mine, onnx, numpy))
            p99 = name == "p99"
            yield Line(
                f"ms a pick out of {sauces} sauces, {name}",
                f"< {GOAL_MS:g}" if p99 else "",
                f"{got:.3f}",
                f"onnxruntime, the model alone: {run:.3f}",
                got / run,
                got < GOAL_MS if p99 else None,
            )
            yield Line(
                "  and then" if p99 else "",
                f"< {WISH_MS:g}" if p99 else "",
                f"{got:.3f}" if p99 else "",
                f"NumPy, its two products: {product:.3f}",
                got / product,
                got < WISH_MS if p99 else None,
            )


def started(*command: str) -> tuple[float, float]:
    """Seconds until a process writes its first line, and the MB resident that its second one tells."""
    began = time.monotonic()
    quiet = {**os.environ, "ORT_DISABLE_TELEMETRY": "1"}
    with subprocess.Popen(
        [sys.executable, *command], cwd=ROOT, env=quiet, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        seconds = time.monotonic() - began
        return seconds, int(process.stdout.readline()) / 1024


def first(starts: int) -> Iterator[Line]:
    """What the recommender adds to a process, and how soon after its start there is a pick."""
    found = [
        [started("-c", _BARE), started("-c", "import numpy, onnxruntime\n" + _BARE), started("-m", PROCESS)]
        for _ in range(starts)
    ]
    seconds, mb = ([sorted(costs)[starts // 2] for costs in zip(*column, strict=True)] for column in _columns(found))
    bare, libraries, picked = mb
    yield Line(
        "MB resident, picked and heard, less a bare Python",
        f"< {MEMORY_MB:g}",
        f"{picked - bare:.1f}",
        f"NumPy, onnxruntime imported: {libraries - bare:.1f}",
        (picked - bare) / (libraries - bare),
        picked - bare < MEMORY_MB,
    )
    yield Line("  a bare Python", "", f"{bare:.1f}")
    yield Line(
        "s from a process's start to its first pick",
        f"< {START_S:g}",
        f"{seconds[2]:.2f}",
        f"NumPy, onnxruntime imported: {seconds[1]:.2f}",
        seconds[2] / seconds[1],
        seconds[2] < START_S,
    )


def _columns(found: list[list[tuple[float, float]]]) -> Iterator[list[list[float]]]:
    for place in (0, 1):
        yield [[costs[place] for costs in row] for row in found]


def measure(picks: int = PICKS, starts: int = STARTS) -> Iterator[Line]:
    """The table's lines."""
    yield from speed(picks)
    yield from first(starts)


def main() -> None:
    """Print the table. Arguments of the other benchmarks are not for this one."""
    with tempfile.TemporaryDirectory(dir=".", prefix="bench-") as name:
        for line in describe(Path(name).resolve()):
            print(line)
    print(HEAD)
    show(measure())


if __name__ == "__main__":
    main()
