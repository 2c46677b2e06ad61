"""`make fuzz`: libFuzzer, by atheris, looks for bytes that break a promise of the decoders.

python -m tests.fuzz [line | packet | body | session ...] [--seconds 600] [--keep]

The seconds are shared by the targets. It starts from the vectors and the corpus (`inputs`), which `make test` replays;
what it learns is in `.fuzz/`, and stays there for the next time. Bytes that break a promise are put into the corpus,
where they fail `make test` until the fault is mended. `--keep` adds to the corpus what reached code that nothing in it
did.

Exit status: 0 when no promise was broken, 1 when one was.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz.inputs import CORPUS, TARGETS, from_vectors, name_of
from tests.fuzz.keep import worth_keeping

SECONDS = 600
MAX_BYTES = 4_096
"""Of an input: four of the longest frames."""
TOO_LONG_S = 10
"""Seconds that one input may take; the slowest takes some ms."""
LEARNT = Path(".fuzz")


def main(arguments: Sequence[str]) -> int:
    """Fuzz; the exit status."""
    parser = argparse.ArgumentParser(prog="make fuzz", description="Bytes that break a decoder: are there any?")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"of {', '.join(TARGETS)} (default: all)")
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for all targets (default: %(default)s)")
    parser.add_argument("--keep", action="store_true", help="add to the corpus what reached new code")
    wanted = parser.parse_args(arguments)
    if unknown := set(wanted.targets) - set(TARGETS):
        parser.error(f"no target {', '.join(sorted(unknown))}: there are {', '.join(TARGETS)}")
    targets = wanted.targets or TARGETS
    broken = [target for target in targets if not fuzz(target, max(wanted.seconds // len(targets), 1))]
    if wanted.keep:
        for target in targets:
            keep(target)
    for target in broken:
        sys.stdout.write(
            f"{target}: broken. The bytes are in {CORPUS / target}, and fail tests/fuzz until it is mended\n"
        )
    return 1 if broken else 0


def fuzz(target: str, seconds: int) -> bool:
    """Try one target for so long; whether it held."""
    corpus, learnt, finds = CORPUS / target, LEARNT / target, LEARNT / "finds"
    for folder in (corpus, learnt, finds):
        folder.mkdir(parents=True, exist_ok=True)
    for given in from_vectors(target):
        (learnt / name_of(given)).write_bytes(given)
    good = _run(target, str(learnt), str(corpus), f"-max_total_time={seconds}", f"-artifact_prefix={finds}/{target}-")
    for find in finds.glob(f"{target}-*"):
        # libFuzzer calls it REASON-SHA1
        find.replace(corpus / find.name.rpartition("-")[2])
    return good


def keep(target: str) -> None:
    """Add to the corpus what reached code that neither a vector nor anything in it did."""
    from tests.fuzz.targets import TARGETS as BY_NAME

    known = [*from_vectors(target), *(path.read_bytes() for path in (CORPUS / target).iterdir())]
    learnt = [path.read_bytes() for path in (LEARNT / target).iterdir()]
    for given in worth_keeping(BY_NAME[target], known, learnt):
        (CORPUS / target / name_of(given)).write_bytes(given)


def _run(target: str, *arguments: str) -> bool:
    limits = [f"-max_len={MAX_BYTES}", f"-timeout={TOO_LONG_S}", "-print_final_stats=1", "-verbosity=1"]
    command = [sys.executable, "-m", "tests.fuzz.run", target, *limits, *arguments]
    return subprocess.run(command, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
