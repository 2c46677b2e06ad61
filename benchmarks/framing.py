"""What our own COBS codec costs beside the C extension of the `cobs` package, on the frames of pours.

The package's releases have no wheels for Linux, so it is compiled here, into a folder that goes away: that takes a C
compiler and the package index; where either is missing, its line says so. On a Pi it can't be had; this says what that
is worth.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from types import FunctionType

from benchmarks.parts.events import frame
from firmware_bridge.codec import decode_message
from firmware_bridge.framing import Frame, cobs_decode, cobs_encode

FRAMES = 2_000
ROUNDS = 15
PACKAGE = "cobs==1.2.2"
BUILD_S = 120.0
"""s that getting and compiling it may take: 5 here, and a package index that does not answer takes for ever."""


def main() -> int:
    """Measure and print."""
    blocks = [frame(number).strip(b"\x00") for number in range(FRAMES)]
    contents = [content for block in blocks if (content := cobs_decode(block)) is not None]
    print(f"{FRAMES} frames of {sum(map(len, blocks)) / FRAMES:.0f} bytes, best of {ROUNDS} rounds")
    ours = best_us(cobs_encode, contents), best_us(cobs_decode, blocks)
    rest_us = best_us(lambda content: decode_message(Frame(content[0], content[1], content[2:-4])), contents)
    print(f"{'':24}{'encode':>10}{'decode':>10}   µs a frame")
    print(f"{'ours, in Python':24}{ours[0]:>10.2f}{ours[1]:>10.2f}")
    with tempfile.TemporaryDirectory() as folder:
        if (hitch := build(folder)) is not None:
            print(f"{PACKAGE} in C: not measured, it can't be compiled here: {hitch}")
            return 0
        sys.path.insert(0, folder)
        from cobs import cobs
    if isinstance(cobs.encode, FunctionType):
        print(f"{PACKAGE} in C: not measured, it was built without its extension")
        return 0
    theirs = best_us(cobs.encode, contents), best_us(cobs.decode, blocks)
    print(f"{PACKAGE + ', in C':24}{theirs[0]:>10.2f}{theirs[1]:>10.2f}")
    print(f"{'ratio':24}{ours[0] / theirs[0]:>10.1f}{ours[1] / theirs[1]:>10.1f}")
    print(f"{'CBOR of the message':24}{'':>10}{rest_us:>10.2f}")
    share = (ours[1] - theirs[1]) * 8_000 / 1e6
    print(f"at 8,000 events/s decoding in Python costs {share:.1%} of a core more than in C")
    return 0


def build(folder: str) -> str | None:
    """Compile the package into a folder; what hindered it, or None."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--no-deps"]
    command = [*pip, "--no-binary", ":all:", "--target", folder, PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=BUILD_S)
    except subprocess.TimeoutExpired:
        return f"it took longer than {BUILD_S:.0f} s"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"pip ended with status {done.returncode}"])[-1]
    return None


def best_us(work: Callable[[bytes], object], items: Iterable[bytes]) -> float:
    """Microseconds an item, in the best round."""
    items = list(items)
    best_s = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        for item in items:
            work(item)
        best_s = min(best_s, time.perf_counter() - started)
    return best_s / len(items) * 1e6


if __name__ == "__main__":
    sys.exit(main())
