"""Serial links: `python benchmarks/link.py`. Decoding, full lines, no lines, pulled cables, two hundred dispensers.

The gateway is the real process, the lines are PTYs, and the dispensers are simulated in a process of their own, which
keeps to the baud rate. How to read the table is in docs/benchmarks.md.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
import tty
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cbor2
import psutil

from benchmarks.parts.bench import bench
from benchmarks.parts.daemon import MB, Daemon
from benchmarks.parts.events import KEY, dispenser, frame, pour
from benchmarks.parts.feeder import feeding
from benchmarks.parts.machine import cores
from benchmarks.parts.simulated import ONLINE_WITHIN_S, simulating
from benchmarks.parts.table import Line, show
from firmware_bridge.codec import BadMessage, decode_message
from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.messages import HelloRequest
from tests.hand_device import HandDevice
from tests.waiting import wait_until

PORTS = 8
BAUD = 115_200
OPENING_S = 15.0
"""Seconds that the gateway has for opening all links while the lines are full."""
SHREDS = "import os\nwhile True: os.write(1, bytes((0, 1)) * 2048)"
CHUNK_BYTES = 1_024
"""Bytes of one read: what a line brings in a tenth of a second."""


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is measured."""

    frames: int = 5_000
    rounds: int = 15
    """Times that frames are decoded; the best counts."""
    watched_s: float = 10.0
    """Seconds for which a process's CPU is added up."""
    pulled: int = 20
    dispensers: int = 200


def decoding(sizes: Sizes) -> Iterator[Line]:
    """Bytes of a line to typed messages, on one core."""
    line = b"".join(frame(sequence) for sequence in range(1, sizes.frames + 1))
    chunks = [line[at : at + CHUNK_BYTES] for at in range(0, len(line), CHUNK_BYTES)]
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        ours_s, bare_s = _best_s(chunks, sizes.rounds)
    finally:
        os.sched_setaffinity(0, before)
    ours, bare = sizes.frames / ours_s, sizes.frames / bare_s
    yield Line(
        "frames/s decoded to messages, one core",
        "ratio 0.50",
        f"{ours:,.0f}",
        f"COBS, CRC, CBOR alone: {bare:,.0f}",
        ours / bare,
        ours / bare >= 0.5,
    )


def _best_s(chunks: list[bytes], rounds: int) -> tuple[float, float]:
    """Seconds of CPU for all chunks: decoded to messages, and by framing and `cbor2.loads` alone."""
    ours, bare = [], []
    for _ in range(rounds):
        begun, decoder = time.process_time(), FrameDecoder()
        for chunk in chunks:
            for good in decoder.feed(chunk):
                assert not isinstance(good, BadFrame)
                assert not isinstance(decode_message(good), BadMessage)
        ours.append(time.process_time() - begun)
        begun, decoder = time.process_time(), FrameDecoder()
        for chunk in chunks:
            for good in decoder.feed(chunk):
                assert not isinstance(good, BadFrame)
                cbor2.loads(good.body)
        bare.append(time.process_time() - begun)
    return min(ours), min(bare)


@dataclass(frozen=True, slots=True)
class Idle:
    """A gateway to which nobody speaks."""

    share: float
    """% of a core."""
    rss: int
    """Bytes resident."""


def unplugged(directory: Path, sizes: Sizes) -> Idle:
    """Measure one whose ports are named and not there: what the others are compared with."""
    directory.mkdir()
    return _idle(directory, [f"{directory}/ttyUSB{number}" for number in range(PORTS)], sizes)


def _idle(directory: Path, ports: list[str], sizes: Sizes) -> Idle:
    with Daemon(directory, "gw-link", ports=ports).running() as (_, process):
        time.sleep(min(sizes.watched_s / 2, 5))  # what it does once at its start is done
        return Idle(_share(process, sizes.watched_s), process.memory_info().rss)


def _share(process: psutil.Process, seconds: float) -> float:
    """% of a core that a process takes."""
    before_s, begun_s = _cpu_s(process), time.monotonic()
    time.sleep(seconds)
    return (_cpu_s(process) - before_s) / (time.monotonic() - begun_s) * 100


def _cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def loaded(directory: Path, sizes: Sizes) -> Iterator[Line]:
    """Full lines."""
    directory.mkdir()
    full_s = PORTS * BAUD / 10 / len(frame(100_000))
    count = int(full_s * (sizes.watched_s + OPENING_S))
    with feeding(PORTS, count, baud=BAUD) as (ports, _told):
        daemon = Daemon(directory, "gw-link", ports=ports, baud=BAUD)
        with daemon.running() as (_, process):
            _wait_until_online(daemon, PORTS)
            wait_until(lambda: _events(daemon) > 0, OPENING_S, "the lines are at work")
            before, begun_s = _events(daemon), time.monotonic()
            share = _share(process, sizes.watched_s)
            events_s = (_events(daemon) - before) / (time.monotonic() - begun_s)
    what = f"% of a core, {PORTS} ports of {BAUD:,} baud, full"
    yield Line(what, "< 50", f"{share:.1f}", "", None, share < 50)
    alone = f"what the lines carry: {full_s:,.0f}"
    yield Line("  events/s meanwhile, on disk", "", f"{events_s:,.0f}", alone, events_s / full_s)


def babbled(directory: Path, sizes: Sizes, idle: Idle) -> Iterator[Line]:
    """A port at whose other end a program writes shreds of frames as fast as it can: nothing costs more to read."""
    directory.mkdir()
    master, slave = os.openpty()
    tty.setraw(slave)
    with subprocess.Popen([sys.executable, "-c", SHREDS], stdout=master) as babbler:
        got = _idle(directory, [os.ttyname(slave)], sizes)
        babbler.kill()
    os.close(master)
    os.close(slave)
    alone = f"a gateway to which nobody speaks: {idle.share:.2f}"
    more = got.share - idle.share
    yield Line("% of a core, a port that babbles without end", "+ 5", f"{got.share:.2f}", alone, None, more <= 5)


def _beside(directory: Path, ports: str) -> Daemon:
    """A gateway with the keys of the simulator's dispensers."""
    daemon = Daemon(directory, "gw-link", ports=[ports], baud=BAUD)
    shutil.copy(directory / "sim" / "keys.toml", directory / "keys.toml")
    return daemon


def _wait_until_online(daemon: Daemon, count: int) -> None:
    wait_until(lambda: daemon.online() == count, ONLINE_WITHIN_S, f"{count} dispensers are online")


def _events(daemon: Daemon) -> int:
    return int(daemon.get("/api/v1/status")["counts"]["stored"])


def cables(directory: Path, sizes: Sizes) -> Iterator[Line]:
    """From the moment that a cable is back until an event has its ACK."""
    directory.mkdir()
    port = directory / "ports" / "usb-picante-bench-1"
    took = []
    daemon = Daemon(directory, "gw-link", ports=[str(port)])
    with daemon.running(), HandDevice(port, dispenser(1), KEY, sauces=("table-red",)) as device:
        for number in range(sizes.pulled + 1):
            begun_s = time.monotonic()
            device.expect(HelloRequest)
            device.open()
            device.send(device.event(pour(number)))
            device.expect_ack(number + 1)
            took.append(time.monotonic() - begun_s)
            device.pull()
            time.sleep(0.1 + number % 10 / 10)  # at any time between two looks at the ports
            device.plug(port)
    back = took[1:]
    slowest = max(back)
    yield Line("s from a cable put back to an event's ACK, p50", "", f"{statistics.median(back):.2f}")
    yield Line("  the slowest", "< 5", f"{slowest:.2f}", "", None, slowest < 5)


def many(directory: Path, sizes: Sizes, idle: Idle) -> Iterator[Line]:
    """Memory by dispenser."""
    directory.mkdir()
    with simulating(directory, sizes.dispensers, baud=0, events_per_s=50.0) as ports:
        daemon = _beside(directory, ports)
        with daemon.running() as (_, process):
            _wait_until_online(daemon, sizes.dispensers)
            share = _share(process, sizes.watched_s)
            full, descriptors = process.memory_info().rss, process.num_fds()
    each_kb = max(full - idle.rss, 0) / sizes.dispensers / 1_000  # a few are less than two starts differ by
    what = f"kB resident a dispenser, {sizes.dispensers} of them at 50 events/s"
    yield Line(what, "< 200", f"{each_kb:.0f}", f"MB without one: {idle.rss / MB:.0f}", None, each_kb < 200)
    yield Line("  MB resident in all", "< 250", f"{full / MB:.0f}", "", None, full / MB < 250)
    yield Line("  % of a core meanwhile", "", f"{share:.1f}")
    yield Line("  descriptors", "< 1,024", f"{descriptors}", "", None, descriptors < 1_024)


def measure(directory: Path, sizes: Sizes) -> Iterator[Line]:
    """The table's lines."""
    yield from decoding(sizes)
    idle = unplugged(directory / "unplugged", sizes)
    yield Line(f"% of a core, {PORTS} ports unplugged", "< 0.8", f"{idle.share:.2f}", "", None, idle.share < 0.8)
    yield from babbled(directory / "babbled", sizes, idle)
    yield from loaded(directory / "loaded", sizes)
    yield from cables(directory / "cables", sizes)
    yield from many(directory / "many", sizes, idle)


def main() -> None:
    """Print the table. Arguments of the other benchmarks are not for this one."""
    with bench() as directory:
        show(measure(directory, Sizes()))


if __name__ == "__main__":
    main()
