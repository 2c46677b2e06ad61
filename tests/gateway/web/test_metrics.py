"""The figures for Prometheus: they parse, they count, and they stay few."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

from firmware_bridge.bodies import PouredBody
from firmware_bridge.codec import BadMessage
from gateway.notify import _writer_answers
from gateway.picks import Shown
from gateway.transaction import Transaction
from gateway.web.watch import MAX_LABELS, OTHERS, PICK_BUCKETS_S, Histogram, Sums, Watch
from heat.errors import LinkLost
from tests.gateway.web.conftest import Inside, Shop, inside_of
from tests.waiting import wait_until

MAX_SAMPLES = 300
"""Of a gateway with two dispensers; a scrape every 15 s is kept for months."""
SLOW_S = 0.2
KAFKA = '[kafka]\nbootstrap = "127.0.0.1:1"\n'


def families(text: str) -> dict[str, Metric]:
    """The metric families of a scrape, by name."""
    return {family.name: family for family in text_string_to_metric_families(text)}


async def scrape(inside: Inside) -> dict[str, Metric]:
    return families((await inside.client.get("/metrics")).raise_for_status().text)


def value(found: dict[str, Metric], name: str, **labels: str) -> float:
    """One sample's value."""
    for family in found.values():
        for sample in family.samples:
            if sample.name == name and sample.labels == labels:
                return float(sample.value)
    raise AssertionError(f"no {name}{labels}")


def test_a_scrape_is_explained_small_and_names_no_customer(shop: Shop) -> None:
    shop.visit(token="loyalty-4711", word="mild")
    text = shop.get("/metrics").text
    found = families(text)
    for name, family in found.items():
        assert name.startswith("picante_")
        assert family.documentation.endswith(".")
        assert family.type != "unknown"
    samples = [sample for family in found.values() for sample in family.samples]
    assert len(samples) < MAX_SAMPLES
    assert len(samples) == len({(sample.name, *sorted(sample.labels.items())) for sample in samples})
    assert "p1-" not in text
    assert "s-hot" not in text


NOT_BASE_UNITS = {
    "ms",
    "us",
    "ns",
    "milliseconds",
    "minutes",
    "hours",
    "days",
    "kb",
    "mb",
    "megabytes",
    "percent",
    "ratio",
}


async def test_names_types_and_help_are_what_prometheus_wants(tmp_path: Path) -> None:
    """What `promtool check metrics` looks at, and that each family is explained once, before its samples."""
    async with inside_of(tmp_path, KAFKA) as inside:
        text = (await inside.client.get("/metrics")).text
    explained: dict[str, str] = {}
    for line in text.splitlines():
        if line.startswith("# HELP "):
            _, _, name, words = line.split(" ", 3)
            assert name not in explained, f"{name} is explained twice"
            assert words.endswith(".")
            explained[name] = ""
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            assert name in explained
            assert kind in {"counter", "gauge", "histogram"}
            assert (kind == "counter") == name.endswith("_total"), name
            assert not NOT_BASE_UNITS & set(name.split("_")), name
            assert kind != "histogram" or name.endswith("_seconds"), name
            explained[name] = kind
        else:
            name = line.partition(" ")[0].partition("{")[0]
            family = name if name in explained else name.rpartition("_")[0]
            assert explained[family], f"{name} comes before its type"
            assert family == name or explained[family] == "histogram", name
    histograms = {name for name, kind in explained.items() if kind == "histogram"}
    assert histograms == {
        "picante_pick_latency_seconds",
        "picante_commit_seconds",
        "picante_commit_fsync_seconds",
        "picante_uplink_transaction_seconds",
    }
    found = families(text)
    for name in histograms:
        buckets = [sample for sample in found[name].samples if sample.name.endswith("_bucket")]
        bounds, counts = [float(sample.labels["le"]) for sample in buckets], [sample.value for sample in buckets]
        assert bounds == sorted(bounds)
        assert bounds[-1] == float("inf")
        assert counts == sorted(counts)
        assert counts[-1] == value(found, f"{name}_count")
        assert value(found, f"{name}_sum") >= 0


class SlowDisk:
    """The writer's connection, on a disk that takes its time for an fsync."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *arguments: Any) -> sqlite3.Cursor:
        """COMMIT takes `SLOW_S` longer."""
        if sql == "COMMIT":
            time.sleep(SLOW_S)
        return self._connection.execute(sql, *arguments)


async def test_a_slow_disk_is_told_from_slow_work(inside: Inside) -> None:
    store = inside.state.store

    def work(transaction: Transaction) -> None:
        time.sleep(SLOW_S)
        transaction.set_meta("worked", str(time.monotonic()))

    async def times() -> tuple[float, float]:
        before = await scrape(inside)
        await asyncio.wrap_future(store.write(work))
        after = await scrape(inside)
        return tuple(  # type: ignore[return-value]
            value(after, f"picante_{name}_seconds_sum") - value(before, f"picante_{name}_seconds_sum")
            for name in ("commit", "commit_fsync")
        )

    whole_s, fsync_s = await times()
    assert whole_s - fsync_s >= SLOW_S
    store._writer = SlowDisk(store._writer)  # type: ignore[assignment]
    whole_s, fsync_s = await times()
    assert fsync_s >= SLOW_S
    assert whole_s - fsync_s >= SLOW_S


async def test_each_commit_has_its_time_and_its_fsync_and_a_beat_has_none(inside: Inside) -> None:
    hello = inside.hello()
    for _ in range(20):
        await inside.deliver(hello, PouredBody(nozzle=1, sauce="table-red", volume_ul=4_000, duration_ms=700))
    before = await scrape(inside)
    assert await _writer_answers(inside.state.store)
    found = await scrape(inside)
    commits = value(found, "picante_commits_total")
    assert commits == value(before, "picante_commits_total")
    assert commits >= 20
    assert value(found, "picante_commit_seconds_count") == value(found, "picante_commit_fsync_seconds_count") == commits
    whole, fsync = (value(found, f"picante_{name}_seconds_sum") for name in ("commit", "commit_fsync"))
    assert 0 < fsync < whole


async def test_each_transaction_has_its_time(tmp_path: Path) -> None:
    async with inside_of(tmp_path, KAFKA) as inside:
        assert inside.state.uplink is not None
        inside.state.uplink.status.transaction_s.extend((0.02, 0.3))
        for _ in range(2):
            found = await scrape(inside)
            assert value(found, "picante_uplink_transaction_seconds_count") == 2
            assert value(found, "picante_uplink_transaction_seconds_sum") == pytest.approx(0.32)


def test_a_visit_is_counted(shop: Shop) -> None:
    def figures() -> tuple[float, ...]:
        found = families(shop.get("/metrics").text)
        return (
            value(found, "picante_events_total", outcome="stored", kind="poured"),
            value(found, "picante_impressions_total", outcome="shown"),
            value(found, "picante_pick_latency_seconds_count"),
        )

    shop.visit()
    before = figures()
    shop.visit()
    wait_until(lambda: figures() == tuple(figure + 1 for figure in before), 5, "each is one more")
    found = families(shop.get("/metrics").text)
    assert value(found, "picante_dispensers_online") == 2
    assert value(found, "picante_links", state="open") == 2
    assert value(found, "picante_link_openings_total", dispenser="hot-bar-1") >= 1
    assert value(found, "picante_commit_seconds_count") == value(found, "picante_commits_total")
    assert value(found, "picante_outbox_rows") == value(found, "picante_outbox_position_total") > 0
    assert "picante_uplink_state" not in found


async def test_an_idle_gateway_shows_every_family(inside: Inside) -> None:
    found = await scrape(inside)
    assert value(found, "picante_outbox_rows") == value(found, "picante_outbox_oldest_age_seconds") == 0
    assert value(found, "picante_clock_known") == 1
    assert value(found, "picante_store_broken") == 0
    assert 0 < value(found, "picante_store_bytes") < value(found, "picante_store_quota_bytes")
    assert value(found, "picante_build_info", version="0.1.0") == 1


async def test_the_uplink_is_one_state_of_six(tmp_path: Path) -> None:
    async with inside_of(tmp_path, KAFKA) as inside:
        found = await scrape(inside)
        states = {
            sample.labels["picante_uplink_state"]: sample.value for sample in found["picante_uplink_state"].samples
        }
        assert sum(states.values()) == states["connecting"] == 1
        assert len(states) == 6
        assert value(found, "picante_uplink_sent_total") == 0


async def test_refusals_and_duplicates_are_told_apart(inside: Inside) -> None:
    hello = inside.hello()
    await inside.deliver(hello, PouredBody(nozzle=1, sauce="ketchup", volume_ul=1, duration_ms=100))
    inside.sequence = 0  # the same identity again
    await inside.deliver(hello, PouredBody(nozzle=1, sauce="table-red", volume_ul=1, duration_ms=100))
    found = await scrape(inside)
    assert value(found, "picante_events_total", outcome="refused", kind="unknown_sauce") == 1
    assert value(found, "picante_events_total", outcome="duplicate", kind="") == 1


def test_many_bad_links_are_counted_under_few_names() -> None:
    sums = Sums()
    for link in range(1000):
        sums.look([(f"mqtt:stranger-{link}", {"invalid_cbor": 2})])
    assert len({label for label, _ in sums.total}) == MAX_LABELS + 1
    assert sums.total[OTHERS, "invalid_cbor"] == 2 * (1000 - MAX_LABELS)
    assert sum(sums.total.values()) == 2000


def test_links_that_count_nothing_take_nobodys_name() -> None:
    sums = Sums()
    sums.look([(f"/dev/ttyUSB{number}", {}) for number in range(1000)])
    sums.look([("/dev/ttyUSB1000", {"crc": 1})])
    assert sums.total == {("/dev/ttyUSB1000", "crc"): 1}


async def test_what_a_lost_link_had_counted_stays(inside: Inside) -> None:
    link = inside.link
    watch = Watch(inside.state)
    link.receive_bad(BadMessage("invalid_cbor", 3, ""))
    watch.bad.look([(link.name, link.bad)])
    link.receive_bad(BadMessage("invalid_cbor", 3, ""))
    for _ in range(3):
        watch.bad.look([])  # it was replaced meanwhile
    again = inside.link
    again.receive_bad(BadMessage("invalid_cbor", 3, ""))
    watch.bad.look([(again.name, again.bad)])
    assert watch.bad.total == {("/dev/ttyUSB0", "invalid_cbor"): 3}


async def test_restarts_are_counted_by_part(inside: Inside) -> None:
    failures = 0
    settled = asyncio.Event()

    async def fail_twice() -> None:
        nonlocal failures
        failures += 1
        if failures <= 2:
            raise LinkLost("the cable")
        settled.set()
        await asyncio.Event().wait()

    part = asyncio.create_task(inside.state.supervisor.run("serial:/dev/ttyUSB0", fail_twice))
    await asyncio.wait_for(settled.wait(), 20)
    assert value(await scrape(inside), "picante_part_restarts_total", part="serial:/dev/ttyUSB0") == 2
    part.cancel()


async def test_each_latency_is_observed_once(inside: Inside) -> None:
    recommender, watch = inside.state.recommender, Watch(inside.state)
    for latency_us in (400, 1_500, 700_000):
        recommender.recent.append(Shown(0, "hot-bar-1", None, "p", (), latency_us))
        recommender.shown += 1
        watch.look()
        watch.look()
    assert sum(watch.pick_s.counts) == 3
    assert watch.pick_s.counts[0] == watch.pick_s.counts[2] == watch.pick_s.counts[-1] == 1


def test_a_histogram_puts_a_bound_into_its_own_bucket() -> None:
    histogram = Histogram(PICK_BUCKETS_S)
    histogram.observe(0.02)
    histogram.observe(0.0201)
    assert dict(histogram.cumulative())["0.01"] == 0
    assert dict(histogram.cumulative())["0.02"] == 1
    assert dict(histogram.cumulative())["0.05"] == 2
    assert dict(histogram.cumulative())["+Inf"] == 2
