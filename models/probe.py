"""Bundle -> exit status: `python -m models.probe DIRECTORY` runs a bundle in onnxruntime, or dies of it.

    0               the model scores as the manifest's weights do, and within its budget
    `BAD_BUNDLE`    onnxruntime works, the bundle does not; the last three lines of stderr: what, what to do, in a word
    any other end   onnxruntime does not work here; the last line of stderr may say why

The two are told apart by the bundle that ships with Picante: what fails with that one, too, is not the bundle's fault.
"""

from __future__ import annotations

import resource
import sys
import time
from pathlib import Path
from statistics import median

import numpy as np

from heat.errors import ModelError
from models.bundle import Bundle, load, pretrained
from models.features import FEATURES
from models.ranker import OnnxRanker, Ranker

BAD_BUNDLE = 3
"""Neither Python nor a signal ends a process with this status."""
BUDGET_US = 5_000
"""µs that a ranker may take for a slate: the whole answer is promised within 20 ms, and other asks wait meanwhile."""
TIMED_SLATES = 21
TIMED_SAUCES = 60
"""Slates of so many sauces, the median of which is held against the budget: a busy machine slows some of them."""


def probe(directory: Path) -> int:
    """The exit status for the bundle in a directory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core of each start would fill the disk
    try:
        check_budget(bundle := load(directory), OnnxRanker(bundle))
    except ModelError as error:
        OnnxRanker(load(pretrained()))
        for line in (error.args[0], error.hint, error.reason):
            sys.stderr.write(" ".join(line.split()) + "\n")
        return BAD_BUNDLE
    return 0


def check_budget(bundle: Bundle, ranker: Ranker) -> None:
    """Raises ModelError if a ranker takes longer for a slate than `BUDGET_US`."""
    slate = np.ones((TIMED_SAUCES, len(FEATURES)), dtype=np.float32)
    took_us = []
    for _ in range(TIMED_SLATES):
        begun = time.perf_counter_ns()
        ranker.scores(slate)
        took_us.append((time.perf_counter_ns() - begun) / 1000)
    if median(took_us) > BUDGET_US:
        raise ModelError(
            f"{bundle.path}: takes {median(took_us) / 1000:.1f} ms for {TIMED_SAUCES} sauces here, and may take "
            f"{BUDGET_US / 1000:g}",
            hint="Train a smaller model",
            reason="latency",
        )


if __name__ == "__main__":
    sys.exit(probe(Path(sys.argv[1])))
