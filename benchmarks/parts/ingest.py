"""The way in, on one core: `python -m benchmarks.parts.ingest DIRECTORY DISPENSERS EVENTS ASKS WINDOW` prints JSON.

    PTY -> framing -> messages -> session -> ingest -> store -> ACK, and picks

It is the product's code from the serial port on, session and dedup and profile included, without the page and the
uplink. The dispensers are in a process on another core, if there is one: they are hardware in a shop.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.parts.events import KEY, QUOTA_BYTES, dispenser, the_door
from benchmarks.parts.feeder import feeding
from benchmarks.parts.machine import cores
from firmware_bridge.serial_link import SerialLink
from gateway.clock import Clock
from gateway.commands import Commands
from gateway.dating import register_boot
from gateway.dispensers import Dispensers
from gateway.ingest import Ingest
from gateway.judge import Limits
from gateway.keyring import Keyring
from gateway.loading import leave_to_stay
from gateway.picks import Recommender
from gateway.rankers import Rankers
from gateway.sample_file import FILE, SampleFile
from gateway.samples import Samples
from gateway.store import Settings, Store, open_store
from models.bundle import load, pretrained
from models.ranker import OnnxRanker, Ranker

BAUD = 921_600


def written_bytes() -> int:
    """Bytes that this process had the kernel write to disks, page by page."""
    for line in Path("/proc/self/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    raise RuntimeError("the kernel counts no writes")


async def road(store: Store, ranker: Ranker, ports: list[str], told: Connection) -> dict[str, Any]:
    """Serve the ports until the dispensers have said all."""
    door, clock = the_door(), Clock()
    boot = store.write(lambda tx: register_boot(tx, "bench", 0)).result().number
    ingest = Ingest(store, clock, door, boot, lambda *_: None)
    recommender = Recommender(store, clock, door, boot, Rankers(ranker), (KEY, 1), lambda: None)
    leave_to_stay()
    keys = {dispenser(number): KEY for number in range(1, len(ports) + 1)}
    samples = Samples(SampleFile(store.path.with_name(FILE), QUOTA_BYTES, "bench"), clock, Limits())
    keyring = Keyring(store.settings.data_dir / "keyring.json", keys)
    dispensers = Dispensers(keyring, store, clock, ingest, recommender, Commands(store, clock, 1), samples)
    links = [asyncio.create_task(SerialLink(port, BAUD, dispensers, dispensers).run()) for port in ports]
    cpu_s = time.process_time()
    took_s = await asyncio.to_thread(told.recv)
    cpu_s = time.process_time() - cpu_s
    commits, pieces = store.figures.commits, store.figures.pieces
    asks = await asyncio.to_thread(told.recv)
    for link in links:
        link.cancel()
    await asyncio.wait(links)
    recommender.close()
    inside = sorted(shown.latency_us for shown in recommender.recent)
    return {
        "seconds": took_s,
        "cpu_s": cpu_s,
        "commits": commits,
        "pieces": pieces,
        "asks_s": asks,
        "inside_us": inside,
    }


def main(directory: Path, lines: int, events: int, asks: int, window: int) -> None:
    """Measure."""
    logging.disable()  # links that end at the end are no news
    ranker = OnnxRanker(load(pretrained()))  # what takes over soon after the daemon's start
    with feeding(lines, events, asks, window) as (ports, told):
        os.sched_setaffinity(0, {cores()[0]})
        store = open_store(Settings(directory, "gw-bench", QUOTA_BYTES))
        before = written_bytes()
        figures = asyncio.run(road(store, ranker, ports, told))
        store.close()
        figures["written_bytes"] = written_bytes() - before
    print(json.dumps(figures))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *(int(argument) for argument in sys.argv[2:6]))
