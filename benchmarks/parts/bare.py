"""The baselines: the same work by the bare library alone, as fast as it goes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import sqlite3
import statistics
import subprocess
import sys
import time
import tty
from collections.abc import Iterator, Sequence
from pathlib import Path

import cbor2
import numpy as np
from aiokafka import AIOKafkaProducer

from benchmarks.parts.events import SAUCES, frame
from benchmarks.parts.machine import ROOT, cores
from cloud_sync import envelope
from cloud_sync.kafka_client import BATCH_BYTES, COMPRESSION
from cloud_sync.outbox import StoredEvent
from cloud_sync.record import Record
from cloud_sync.settings import UplinkSettings
from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.serial_link import READ_BYTES
from gateway.outbox import StoreOutbox
from gateway.store import Settings, open_store
from models.bundle import load, pretrained
from models.features import FEATURES
from models.ranker import OnnxRanker

ASK_BYTES = 80
"""Bytes of an EVENT and an ASK behind it."""
ROW_BYTES = 330
"""Bytes of a row that holds a pour."""
_IMPORTS = """
import numpy, onnxruntime, aiokafka, cbor2, cramjam, fastapi, jinja2, msgspec, paho.mqtt.client, sqlite_utils, uvicorn
for line in open("/proc/self/status"):
    if line.startswith("VmRSS"):
        print(line.split()[1])
"""


def decode_s(count: int) -> float:
    """Seconds to take the line's bytes apart: COBS, CRC, CBOR, and nothing else."""
    line = b"".join(frame(sequence) for sequence in range(1, count + 1))
    begun = time.perf_counter()
    for good in FrameDecoder().feed(line):
        assert not isinstance(good, BadFrame)
        cbor2.loads(good.body)
    return time.perf_counter() - begun


def insert_s(directory: Path, count: int) -> float:
    """Seconds to insert rows of an event's size in transactions of 100, `synchronous=FULL`."""
    path = directory / "bare.db"
    path.unlink(missing_ok=True)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL").fetchall()
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("CREATE TABLE rows (id INTEGER PRIMARY KEY, a TEXT, b INTEGER, data BLOB)")
    begun = time.perf_counter()
    for first in range(0, count, 100):
        connection.execute("BEGIN IMMEDIATE")
        rows = [("bench-1", n, b"x" * ROW_BYTES) for n in range(first, min(first + 100, count))]
        connection.executemany("INSERT INTO rows (a, b, data) VALUES (?, ?, ?)", rows)
        connection.execute("COMMIT")
    took = time.perf_counter() - begun
    connection.close()
    return took


def on_one_core(count: int, directory: Path) -> tuple[float, float]:
    """Seconds of decoding alone and of inserting alone, on the core that the gateway gets."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cores()[0]})
    try:
        return decode_s(count), insert_s(directory, count)
    finally:
        os.sched_setaffinity(0, before)


def rank_s() -> float:
    """Median seconds of one run of the model on a dispenser's menu."""
    ranker = OnnxRanker(load(pretrained()))
    matrix = np.zeros((len(SAUCES), len(FEATURES)), dtype=np.float32)
    times = []
    for _ in range(2_000):
        begun = time.perf_counter()
        ranker.scores(matrix)
        times.append(time.perf_counter() - begun)
    return statistics.median(times)


def echo_s(count: int, between_s: float) -> list[float]:
    """Seconds from bytes in to bytes out of a bare process that echoes on a PTY: what the machine alone takes."""
    master, slave = os.openpty()
    tty.setraw(slave)
    question = b"x" * ASK_BYTES
    process = multiprocessing.get_context("fork").Process(target=_echo, args=(slave,), daemon=True)
    process.start()
    took = []
    try:
        for _ in range(count):
            time.sleep(between_s)
            begun = time.perf_counter()
            os.write(master, question)
            answered = 0
            while answered < ASK_BYTES:
                answered += len(os.read(master, READ_BYTES))
            took.append(time.perf_counter() - begun)
    finally:
        process.terminate()
        process.join()
        os.close(master)
        os.close(slave)
    return took


def _echo(slave: int) -> None:
    os.sched_setaffinity(0, {cores()[0]})
    while True:
        os.write(slave, os.read(slave, READ_BYTES))


def imports() -> tuple[float, float]:
    """Seconds that a bare Python takes to import the libraries that the gateway uses, and the MB it then has."""
    begun = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", _IMPORTS], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    return time.perf_counter() - begun, int(done.stdout) * 1024 / 1e6


def encoded(directory: Path, gateway: str, count: int) -> list[Record]:
    """The first `count` records that the uplink would send from a database."""
    store = open_store(Settings(directory, gateway))
    try:
        rows = asyncio.run(StoreOutbox(store).read(0, count))
        return [envelope.encode(row) for row in rows if isinstance(row, StoredEvent)]
    finally:
        store.close()


async def produce_s(bootstrap: str, topic: str, records: Sequence[Record], *, batches: bool) -> float:
    """Seconds for aiokafka to send records that are encoded already, in transactions as large as the uplink's.

    `batches`: packed by hand and sent as batches, the fastest way that aiokafka has; else by `send`, record by record.
    """
    producer = AIOKafkaProducer(
        bootstrap_servers=bootstrap,
        transactional_id="bare",
        acks="all",
        enable_idempotence=True,
        compression_type=COMPRESSION,
        max_batch_size=BATCH_BYTES,
        linger_ms=0 if batches else 5,
    )
    await producer.start()
    try:
        partitions = len(await producer.partitions_for(topic))
        async with producer.transaction():  # a topic that was just made may not have its leaders yet
            for partition in range(partitions):
                await producer.send_and_wait(topic, b"", partition=partition)
        begun = time.perf_counter()
        for some in _transactions(records):
            async with producer.transaction():
                if batches:
                    await _send_batches(producer, topic, some, partitions)
                else:
                    for record in some:
                        await producer.send(topic, record.value, record.key, headers=list(record.headers))
        return time.perf_counter() - begun
    finally:
        await producer.stop()


def _transactions(records: Sequence[Record]) -> Iterator[Sequence[Record]]:
    size = UplinkSettings("", "").batch
    for first in range(0, len(records), size):
        yield records[first : first + size]


async def _send_batches(producer: AIOKafkaProducer, topic: str, records: Sequence[Record], partitions: int) -> None:
    for partition in range(partitions):
        batch = producer.create_batch()
        for record in records[partition::partitions]:
            headers = list(record.headers)
            if batch.append(key=record.key, value=record.value, timestamp=None, headers=headers) is None:
                batch.close()
                await producer.send_batch(batch, topic, partition=partition)
                batch = producer.create_batch()
                batch.append(key=record.key, value=record.value, timestamp=None, headers=headers)
        batch.close()
        await producer.send_batch(batch, topic, partition=partition)
