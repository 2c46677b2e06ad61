"""The main road, timed beside bare parts of it in the same run: `python benchmarks/road.py [EVENTS]`.

Every figure stands beside a baseline that was measured minutes or seconds from it on the same machine, since machines
differ and are noisy: look at the ratio. Events come as bytes through a PTY from a process of their own, without baud
pacing, session and dedup on, each commit with `synchronous=FULL` on the file system of the working directory.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import select
import sqlite3
import statistics
import sys
import tempfile
import time
import tty
from multiprocessing.connection import Connection
from pathlib import Path

import cbor2
import numpy as np

from firmware_bridge.framing import BadFrame, Frame, FrameDecoder
from firmware_bridge.messages import (
    Ack,
    Ask,
    EventMessage,
    Hello,
    HelloRequest,
    NozzleInfo,
    Picks,
    PouredBody,
    Ready,
    Welcome,
    decode_message,
    encode_message,
    event_body_map,
    ready_mac,
)
from firmware_bridge.serial_link import SerialLink
from gateway.clock import Clock, register_boot
from gateway.dispensers import Dispensers
from gateway.door import Door
from gateway.ingest import Ingest
from gateway.picks import Recommender
from gateway.store import Settings, Store, open_store
from heat.catalog import default_catalog
from heat.scale import default_words
from models.bundle import pretrained
from models.features import FEATURES
from models.ranker import Ranker, open_ranker

KEY = bytes(range(32))
SAUCES = list(default_catalog())[:12]
ASKS = 300
EVENTS_BETWEEN_ASKS_S = 0.02
"""Seconds: 50 events a second while customers ask."""


def event(sequence: int) -> EventMessage:
    """One pour."""
    body = PouredBody(nozzle=1, sauce=SAUCES[sequence % len(SAUCES)], volume_ul=4_000, duration_ms=800)
    return EventMessage(
        generation=1,
        sequence=sequence,
        boot=1,
        uptime_ms=1_000 + sequence,
        sent_uptime_ms=2_000 + sequence,
        session=1 + sequence // 5,
        kind=body.number,
        body=event_body_map(body),
    )


class Feeder:
    """A dispenser in a process of its own, as fast as the gateway's ACKs let it."""

    def __init__(self, master: int) -> None:
        self._master = master
        self._decoder = FrameDecoder()

    def open(self, hello: Hello) -> int:
        """Open the link; the window that the gateway grants."""
        # what is written before the gateway has opened the port is lost; then it asks
        while not any(isinstance(message, HelloRequest) for message in self._read(1)):
            pass
        os.write(self._master, encode_message(hello))
        while True:
            for message in self._read(1):
                if isinstance(message, Welcome):
                    os.write(self._master, encode_message(Ready(mac=ready_mac(KEY, hello, message.nonce))))
                    return message.window

    def stream(self, frames: list[bytes], window: int) -> None:
        """Send all frames, numbered from 1, and return once the last is acknowledged."""
        acked = sent = 0
        while acked < len(frames):
            due = frames[sent : acked + window]
            if due:
                os.write(self._master, b"".join(due))
                sent += len(due)
            for message in self._read(2):
                if isinstance(message, Ack):
                    acked = max(acked, message.sequence)

    def ask(self, number: int, event_frame: bytes) -> None:
        """Send an event and an ASK behind it; return once picks came."""
        question = encode_message(Ask(session=number, nonce=number.to_bytes(8, "big"), dial=number % 100))
        os.write(self._master, event_frame + question)
        while not any(isinstance(message, Picks) for message in self._read(2)):
            pass

    def _read(self, within_s: float) -> list[object]:
        ready, _, _ = select.select([self._master], [], [], within_s)
        if not ready:
            return []
        frames = self._decoder.feed(os.read(self._master, 65_536))
        return [decode_message(frame) for frame in frames if isinstance(frame, Frame)]


def feed(master: int, count: int, told: Connection) -> None:
    """The feeder's process."""
    feeder = Feeder(master)
    hello = Hello(
        dispenser="bench-1",
        firmware="1",
        versions=(1,),
        nozzles=tuple(NozzleInfo(n, sauce, 500) for n, sauce in enumerate(SAUCES)),
        generation=1,
        lowest=1,
        next=2**40,
        nonce=bytes(8),
        boot=1,
        uptime_ms=0,
    )
    frames = [encode_message(event(sequence)) for sequence in range(1, count + 1)]
    later = [encode_message(event(sequence)) for sequence in range(count + 1, count + 1 + ASKS)]
    window = feeder.open(hello)
    begun = time.perf_counter()
    feeder.stream(frames, window)
    told.send(time.perf_counter() - begun)
    for number, frame in enumerate(later, count):
        feeder.ask(number, frame)
        time.sleep(EVENTS_BETWEEN_ASKS_S)
    told.send(None)


def decode_alone(frames: bytes) -> float:
    """Seconds to take the line's bytes apart: COBS, CRC, CBOR, and nothing else."""
    begun = time.perf_counter()
    for frame in FrameDecoder().feed(frames):
        assert not isinstance(frame, BadFrame)
        cbor2.loads(frame.body)
    return time.perf_counter() - begun


def insert_alone(directory: Path, count: int) -> float:
    """Seconds to insert rows of an event's size in transactions of 100, `synchronous=FULL`."""
    connection = sqlite3.connect(directory / "bare.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, data BLOB)")
    begun = time.perf_counter()
    for first in range(0, count, 100):
        connection.execute("BEGIN IMMEDIATE")
        rows = [("bench-1", n, b"x" * 330) for n in range(first, min(first + 100, count))]
        connection.executemany("INSERT INTO rows (a, b, data) VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - begun
    connection.close()
    return took


def rank_alone(ranker: Ranker) -> float:
    """Median seconds of one run of the model on a dispenser's menu."""
    matrix = np.zeros((len(SAUCES), len(FEATURES)), dtype=np.float32)
    times = []
    for _ in range(2_000):
        begun = time.perf_counter()
        ranker.scores(matrix)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


async def road(store: Store, ranker: Ranker, count: int) -> tuple[float, list[int]]:
    """Seconds from the first event's byte to the last one's ACK, and the latencies of picks in µs."""
    door = Door(default_catalog(), default_words(), "bench", "bench")
    clock = Clock()
    boot = store.write(lambda tx: register_boot(tx, "bench", 0)).result()
    ingest = Ingest(store, clock, door, boot, lambda *_: None)
    recommender = Recommender(store, clock, door, boot, ranker, (KEY, 1), lambda: None)
    dispensers = Dispensers({"bench-1": KEY}, store, clock, ingest, recommender)
    master, slave = os.openpty()
    tty.setraw(slave)
    link = asyncio.create_task(SerialLink(os.ttyname(slave), 921_600, dispensers, dispensers).run())
    told, tell = multiprocessing.Pipe()
    feeder = multiprocessing.get_context("fork").Process(target=feed, args=(master, count, tell), daemon=True)
    feeder.start()
    took: float = await asyncio.to_thread(told.recv)
    await asyncio.to_thread(told.recv)
    feeder.join()
    link.cancel()
    await asyncio.wait([link])
    recommender.close()
    return took, sorted(shown.latency_us for shown in recommender.recent)


def main(count: int) -> None:
    """Measure and print the table."""
    frames = b"".join(encode_message(event(sequence)) for sequence in range(1, count + 1))
    ranker, _ = open_ranker(pretrained())
    with tempfile.TemporaryDirectory(dir=".") as name:
        directory = Path(name)
        store = open_store(Settings(directory, "gw-bench"))
        decode_s, insert_s = decode_alone(frames), insert_alone(directory, count)
        took_s, latencies = asyncio.run(road(store, ranker, count))
        commits, pieces = store.figures.commits, store.figures.pieces
        written = sum(file.stat().st_size for file in directory.glob("gateway.db*"))
        store.close()
    rank_us = rank_alone(ranker) * 1e6
    p50, p99 = latencies[len(latencies) // 2], latencies[int(len(latencies) * 0.99)]
    raw = count / (decode_s + insert_s)
    lines = [
        ("events/s, PTY to durable commit and ACK", f"{count / took_s:,.0f}", f"decode + insert alone {raw:,.0f}/s",
         f"{count / took_s / raw:.2f}"),
        ("  decode alone (COBS, CRC, CBOR)", f"{count / decode_s:,.0f}", "", ""),
        ("  SQLite insert alone, 100 a transaction", f"{count / insert_s:,.0f}", "", ""),
        ("ASK to PICKS at 50 events/s, p50", f"{p50 / 1000:.2f} ms", f"ONNX run alone {rank_us:.0f} µs",
         f"{p50 / rank_us:.0f}"),
        ("ASK to PICKS at 50 events/s, p99", f"{p99 / 1000:.2f} ms", "", ""),
        ("events a commit", f"{pieces / commits:.1f}", "", ""),
        ("bytes on disk an event, WAL included", f"{written / count:,.0f}", "", ""),
    ]  # fmt: skip
    print(f"{count:,} events, {os.cpu_count()} cores, Python {sys.version.split()[0]}")
    print(f"{'':44}{'got':>14}   {'baseline':38}{'ratio':>7}")
    for what, got, baseline, ratio in lines:
        print(f"{what:44}{got:>14}   {baseline:38}{ratio:>7}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
