"""What the demo counts: each fault is told, and what is nobody's fault is none."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cloud.hot_store.entries import Key, Put
from cloud.kafka import read_to_end
from cloud.librdkafka import Cluster
from cloud_sync.envelope import encode
from cloud_sync.outbox import StoredEvent
from cloud_sync.published import Profile as Published
from cloud_sync.published import Version, publish
from cloud_sync.record import Record
from cloud_sync.topics import EVENTS, GATEWAYS
from gateway.store import Settings, open_store
from heat.events import Event, Stamp
from heat.identity import EventId
from heat.profile import Profile, contribution
from picante.demo.children import Child
from picante.demo.cloud_half import CloudHalf
from picante.demo.numbers import CloudNumbers, Numbers
from picante.demo.reader import TopicReader, forget
from picante.demo.stage import SERIAL, Stage
from tests.cloud.hot_store.filling import send
from tests.cloud_sync.examples import CUSTOMER, DAY, POURED, TIME_MS, pours
from tests.cloud_sync.mock_cluster import mock_cluster
from tests.servers import free_port
from tests.waiting import wait_until

CLOUD = CloudNumbers(events=12, duplicates=1, customers=2, profiles=2, equal=2, lake_rows=13)
GOOD = Numbers(
    generated=10, stored=10, in_topic=10, duplicates=0, waiting=0, held=0, picks_shown=4, picks_accepted=2, online=6,
    lost=0, cloud=CLOUD,
)  # fmt: skip


@pytest.mark.parametrize(
    ("numbers", "under_way", "fault"),
    [
        (replace(GOOD, lost=2, in_topic=8), False, "2 events are lost"),
        (replace(GOOD, duplicates=1), False, "1 events are doubled"),
        (replace(GOOD, in_topic=7), True, "3 events are not in Kafka yet"),
        (replace(GOOD, in_topic=0, kafka_answers=False), True, "10 events are not in Kafka yet: Kafka does not answer"),
        (replace(GOOD, cloud=replace(CLOUD, equal=1)), True, "the cloud has another digest of 1 of 2 customers"),
        (replace(GOOD, cloud=replace(CLOUD, lake_rows=12)), True, "the lake lacks 1 events"),
        (replace(GOOD, cloud=replace(CLOUD, events=0)), True, "the cloud has folded nothing"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_each_fault_is_told_and_what_is_under_way_is_one_at_the_end_alone(
    numbers: Numbers, under_way: bool, fault: str
) -> None:
    assert numbers.faults(ended=True) == [fault]
    assert numbers.faults(ended=False) == ([] if under_way else [fault])


@pytest.mark.parametrize(
    "numbers", [GOOD, replace(GOOD, cloud=None), replace(GOOD, cloud=replace(CLOUD, lake_rows=14))]
)
def test_where_all_is_well_there_is_no_fault(numbers: Numbers) -> None:
    assert numbers.faults(ended=True) == []


def test_a_hot_store_that_lacks_an_event_has_another_digest(tmp_path: Path) -> None:
    half = CloudHalf(tmp_path, "127.0.0.1:1", "gw-demo-1")
    at_edge, when = Profile(), Stamp(time_ms=TIME_MS, boot_ms=0, day=DAY, clock="known")
    with closing(open_store(Settings(tmp_path / "gateway", "gw-demo-1", ballast_bytes=0))) as store:
        for number in (1, 2):
            poured = contribution(POURED, "gw-demo-1", DAY)
            at_edge.fold(poured)
            event = Event(EventId(SERIAL[0], 1, number), CUSTOMER, when, POURED)

            def take(tx: Any, event: Event = event, poured: Profile = poured) -> None:
                tx.append(event)
                tx.fold(CUSTOMER, poured)

            store.write(take).result(20)
    lacking = Profile()
    lacking.fold(contribution(POURED, "gw-demo-1", DAY))
    for offset, profile, equal in ((7, lacking, False), (8, at_edge, True)):
        buckets, flavours = profile.rows()
        said = Published(version=Version(1, offset), regions=(), buckets=buckets, flavours=flavours)
        value = publish(CUSTOMER, said, "/cloud/demo", str(offset), TIME_MS).value or b""
        half.store.put([Put(Key("profile", CUSTOMER), offset, said.version, value, 2**53)], {})
        assert (half.look().digests_equal, half.numbers.customers, half.numbers.profiles) == (equal, 1, 1)
    half.stop()  # it never watched: its process had not come up


def test_what_an_earlier_demo_brought_into_its_kafka_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage, when = Stage(tmp_path, None, free_port()), Stamp(time_ms=TIME_MS, boot_ms=0, day=DAY, clock="known")

    def units(generated: int) -> dict[str, Any]:
        unit = {"generation": 1, "generated": generated, "held": 0, "picks_shown": 0, "picks_accepted": 0, "online": 1}
        return {"dispensers": {SERIAL[0]: unit}}

    with closing(open_store(Settings(tmp_path / "gateway", stage.gateway, ballast_bytes=0))) as store:
        events = [Event(EventId(SERIAL[0], 1, number), CUSTOMER, when, POURED) for number in range(1, 6)]
        store.write(lambda tx: [tx.append(event) for event in events]).result(20)
        store.write(lambda tx: tx.set_meta("confirmed", "3")).result(20)
        monkeypatch.setattr(stage, "ask_sim", lambda do: units(5))
        stage.begin_to_count()
        numbers = stage.numbers()
    assert (numbers.generated, numbers.stored, numbers.waiting, numbers.lost, numbers.under_way) == (2, 2, 2, 0, 2)


def test_what_a_reader_that_is_cut_off_can_not_see_is_not_lost(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path, None, free_port())
    unit = {"generation": 1, "generated": 5, "held": 0, "picks_shown": 0, "picks_accepted": 0, "online": 1}
    monkeypatch.setattr(stage, "ask_sim", lambda do: {"dispensers": {SERIAL[0]: unit}})
    monkeypatch.setattr(
        stage, "_stored", lambda: (5, 2)
    )  # nobody reads a topic here: three were confirmed, and not seen
    monkeypatch.setattr(stage, "_quiet_moment", lambda: None)
    monkeypatch.setattr("picante.demo.stage.READER_S", 0.3)
    wait_until(lambda: stage.numbers().lost == 3, 5, "they are missed")
    (tmp_path / "logs").mkdir(exist_ok=True)
    stage._children["kafka"] = Child("kafka", ["sleep", "60"], tmp_path / "logs" / "kafka.log", tmp_path)
    stage.cut_internet()
    assert stage.numbers().lost == 0
    time.sleep(0.4)
    assert stage.numbers().lost == 0, "however long it takes"
    stage.mend_internet()
    assert stage.numbers().lost == 0, "it has some time again"
    wait_until(lambda: stage.numbers().lost == 3, 5, "they are missed again")
    stage._children["kafka"].process.kill()
    stage._children["kafka"].process.wait()


def test_a_topic_may_hold_what_is_no_event_and_a_heartbeat_is_taken_back(tmp_path: Path) -> None:
    with mock_cluster(tmp_path) as mock:
        cluster = Cluster(mock.bootstrap)
        rows = [row for row in pours(3, dispensers=1) if isinstance(row, StoredEvent)]
        strange = [b"not JSON", b"[]", b'{"origin": "gw-1"}', b'{"origin": "gw-1", "id": 7}', None]
        send(cluster, *(Record(EVENTS.name, b"x", value, (), partition=0) for value in strange))
        send(cluster, *(replace(encode(row), partition=0) for row in (*rows, rows[0])))
        reader = TopicReader(mock.bootstrap, EVENTS.name, rows[0].origin)
        try:
            wait_until(lambda: reader.duplicates == 1, 20, "all is read")
            assert reader.count(rows[0].id.source, rows[0].id.generation) == 3
            assert reader.reached
        finally:
            reader.stop()
        forget(mock.bootstrap, "gw-demo-1")
        told = [record for batch in read_to_end(cluster, GATEWAYS.name) for record in batch]
        assert [(record.key, record.value) for record in told] == [(b"gw-demo-1", None)]


def test_a_broker_ends_with_a_demo_that_is_killed(tmp_path: Path) -> None:
    assert shutil.which("mosquitto", path="/usr/bin:/usr/sbin:/usr/local/sbin"), "run scripts/test-setup"
    play = (
        "import sys, time; from pathlib import Path; from picante.demo.stage import Stage;"
        f"stage = Stage(Path(sys.argv[1]), None, {free_port()}); stage._start_mqtt(); print('up', flush=True);"
        "time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", play, str(tmp_path)], stdout=subprocess.PIPE, text=True) as demo:
        try:
            assert demo.stdout is not None
            assert demo.stdout.readline() == "up\n"
            [broker] = psutil.Process(demo.pid).children()
            assert "mosquitto" in broker.name()
        finally:
            demo.kill()
    wait_until(lambda: not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE, 5, "the broker has ended")
