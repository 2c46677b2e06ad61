"""Cables are pulled, plugged, swapped and renumbered while events flow: served again within 5 s, and nothing is lost.

Each round something happens to each of four dispensers: two have their cables pulled, one for longer than the gateway
needs to notice and one for a moment, and the other two change places, by their cables or by their ports' names.
`PICANTE_TRIES` says how often in all.
"""

from __future__ import annotations

import os
import random
import time
from pathlib import Path

import pytest

from tests.faults.counter import Counter, Dispenser, at_counter
from tests.waiting import wait_until

TRIES = int(os.environ.get("PICANTE_TRIES", "20"))
AT_ONCE = 4
BACK_WITHIN_S = 5.0
LOAD_S = (0.0, 0.2)

pytestmark = pytest.mark.timeout(120 + TRIES)


def test_every_dispenser_is_served_again_and_nothing_is_lost(tmp_path: Path) -> None:
    seed = int(os.environ.get("PICANTE_SEED", "1"))
    chance = random.Random(seed)
    with at_counter(tmp_path / "counter", tmp_path / "data", dispensers=AT_ONCE) as counter:
        counter.start_gateway()
        counter.open_lines()
        counter.serve_until_all_have_more()
        unanswered, slowest_s, descriptors = 0, 0.0, len(open_files(counter))
        for _ in range(0, TRIES, AT_ONCE):
            counter.serve(chance.uniform(*LOAD_S))
            unanswered += sum(dispenser.sequence - dispenser.acked for dispenser in counter.dispensers)
            happen(counter, chance)
            began_s = time.monotonic()
            counter.open_lines(BACK_WITHIN_S)
            counter.serve_until_all_have_more(BACK_WITHIN_S - (time.monotonic() - began_s))
            slowest_s = max(slowest_s, time.monotonic() - began_s)
            assert links(counter) == {one.name: (True, str(one.port)) for one in counter.dispensers}, f"seed {seed}"
            wait_until(lambda: len(open_files(counter)) <= descriptors, 5, f"no descriptor is left, seed {seed}")
        assert unanswered > 0, "nothing was on its way: nothing was tested"
        counter.check()
        counter.stop()
    print(f"{TRIES} cables, all served again within {slowest_s:.1f} s")  # noqa: T201 -- for `make faults`


def happen(counter: Counter, chance: random.Random) -> None:
    """Something to each dispenser, all at about the same time."""
    one, other, away, short = chance.sample(counter.dispensers, AT_ONCE)
    away.pull()
    wait_until(lambda: not links(counter)[away.name][0], 5, "the gateway has noticed")
    port = short.port
    short.pull()
    short.plug(port)
    if chance.random() < 0.5:
        swap_cables(one, other)
    else:
        swap_names(one, other)
    away.plug(away.port)


def swap_cables(one: Dispenser, other: Dispenser) -> None:
    """Each gets the other's cable: the ports stay what they are, and somebody else speaks on them."""
    ports = one.port, other.port
    one.pull()
    other.pull()
    other.plug(ports[0])
    one.plug(ports[1])


def swap_names(one: Dispenser, other: Dispenser) -> None:
    """Both lines stay up, and their names lead to each other's: as if udev had thought twice."""
    devices = one.port.readlink(), other.port.readlink()
    for port, device in ((one.port, devices[1]), (other.port, devices[0])):
        fresh = port.parent.parent / f"{port.name}.new"
        fresh.symlink_to(device)
        fresh.replace(port)
    one.port, other.port = other.port, one.port


def links(counter: Counter) -> dict[str, tuple[bool, str]]:
    """Whether each dispenser is online, and through which port it speaks or spoke last, as the gateway tells it."""
    answer = counter.console.get("/api/v1/dispensers").raise_for_status().json()
    return {one["name"]: (one["online"], one["link"]) for one in answer["dispensers"]}


def open_files(counter: Counter) -> list[str]:
    """The gateway's descriptors."""
    return os.listdir(f"/proc/{counter.pid}/fd")  # noqa: PTH208 -- a count
