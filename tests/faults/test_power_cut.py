"""The power fails while events flow: whatever was acknowledged is on the disk, and the gateway goes on by itself.

A cut: stop the gateway where it stands, read what it had said, clone what lies on the device, kill it. Then the clone
is the disk: its journal is replayed, the gateway starts on it, and the next cut finds it at work again. `PICANTE_TRIES`
says how many cuts there are; a disk lives through at most 20 of them.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.faults.counter import Counter, at_counter
from tests.faults.loop_image import Disk, cuttable, skip_without_loop_devices

TRIES = int(os.environ.get("PICANTE_TRIES", "20"))
CUTS_A_DISK = 20
LIVES = [min(CUTS_A_DISK, TRIES - first) for first in range(0, TRIES, CUTS_A_DISK)]
LOAD_S = (0.01, 0.4)
"""Seconds of load before a cut, from the first ACK of each dispenser."""

pytestmark = pytest.mark.timeout(400)  # on a busy machine a start takes seconds


@pytest.mark.parametrize(("seed", "cuts"), list(enumerate(LIVES)))
def test_what_was_acknowledged_survives_power_cuts(tmp_path: Path, seed: int, cuts: int) -> None:
    skip_without_loop_devices()
    chance = random.Random(seed)
    with cuttable(tmp_path / "disks") as disk, at_counter(tmp_path / "counter", disk.mounted / "data") as counter:
        unanswered = 0
        counter.start_gateway()
        for _ in range(cuts):
            counter.open_lines()
            counter.serve_until_all_have_more()
            counter.serve(chance.uniform(*LOAD_S))
            cut_the_power(counter, disk)
            unanswered += sum(dispenser.sequence - dispenser.acked for dispenser in counter.dispensers)
            counter.start_gateway()
            counter.check()
        assert unanswered > 0, "no cut fell while something was on its way: nothing was tested"
        counter.kill()


def cut_the_power(counter: Counter, disk: Disk) -> None:
    """Nothing that is said after the clone reaches a dispenser."""
    counter.freeze()
    counter.drain()
    clone = disk.clone()
    counter.kill()
    disk.put_in(clone)
