"""From a running gateway to `picante cloud fleet`: what it tells of itself, and that it has fallen silent."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import confluent_kafka
import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition

from cloud import difference_file, digests, fleet_watch
from cloud.config import CloudConfig, load_cloud_config
from cloud.digests import Difference
from cloud.fleet_watch import FleetWatch
from cloud.kafka import Consumer, Place, Producer, read_range
from cloud.lake.settings import lake_of
from cloud.librdkafka import Cluster, cluster_of
from cloud.pipeline.dead_letters import GROUP as LETTERS
from cloud.pipeline.reading import state_files
from cloud.pipeline.state import Log, PartitionState
from cloud.pipeline.subjects import Subjects
from cloud.reconciliation.gathering import Outcome, compare
from cloud_sync.envelope import encode
from cloud_sync.published import DigestRow, publish
from cloud_sync.record import Record
from cloud_sync.topics import DAY_MS, EVENTS, HOUR_MS, POSITION
from picante.cli import main
from tests.cloud.logs import ANNA, BERT, pour, value_of
from tests.cloud.pipelines import BROKER_TIME
from tests.cloud.test_fleet import NOW_MS, WELL
from tests.cloud_sync.examples import POURED, stored
from tests.flow.world import Mqtt, Process, World, world
from tests.servers import KafkaServer, create_topic
from tests.serving import serving
from tests.waiting import wait_until

SCENARIO = """\
[load]
total = 300
ask_share = 0.2
customers = 8

[[dispensers]]
id = "bar"
baud = 0
ring = 40
count = 2
"""

CARL = f"p1-{'c' * 32}"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaServer]:
    """A Kafka of our own: what the pipeline folds and publishes is ours alone."""
    yield from serving(KafkaServer, tmp_path_factory.mktemp("kafka"))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, broker: KafkaServer, mqtt: Mqtt) -> Any:
    """A shop whose 300 events are all in Kafka, and whose gateway goes on."""
    name = f"gw-{uuid.uuid4().hex[:8]}"
    with world(tmp_path_factory.mktemp("fleet"), broker, mqtt, SCENARIO, name) as shop:
        (shop.directory / "cloud.toml").write_text(
            f'[cloud]\ndata_dir = "cloud"\nparts = ["pipeline", "lake"]\n'
            f'[kafka]\nbootstrap = "{broker.bootstrap}"\nreplication = 1\n[lake]\ncommit_seconds = 1\n'
        )
        made = CliRunner().invoke(
            main, ["cloud", "topics", "apply", "--yes", "--config", str(shop.directory / "cloud.toml")]
        )
        assert made.exit_code == 0, made.output
        sim = shop.start_sim("--check")
        shop.start_gateway()
        wait_until(shop.sim_ended, 60, "all rings are empty")
        assert sim.process.returncode == 0, sim.said()
        wait_until(shop.everything_confirmed, 60, "Kafka has everything")
        yield shop


def fleet(shop: World, *options: str) -> Result:
    return CliRunner().invoke(main, ["cloud", "fleet", "--config", str(shop.directory / "cloud.toml"), *options])


def told(shop: World) -> dict[str, Any]:
    """What the fleet says of this gateway; nothing while it was not heard."""
    done = fleet(shop, "--json")
    assert done.exit_code in {0, 4}, done.output
    return next((one for one in json.loads(done.stdout) if one["gateway"] == shop.gateway_id), {})


def test_a_gateway_tells_how_it_is(shop: World, monkeypatch: pytest.MonkeyPatch) -> None:
    found = wait_until(
        lambda: told(shop) if told(shop).get("confirmed") == shop.position() else None, 60, "it is heard"
    )
    assert isinstance(found, dict)
    status = shop.get("/api/v1/status")
    assert (found["store"], found["region"], found["clock"]) == ("flow-store", shop.gateway_id, "known")
    assert found["software"] == status["gateway"]["version"]
    assert found["ranker"] == status["gateway"]["ranker"]
    assert (found["dispensers"], found["backlog"], found["oldest_ms"]) == (2, 0, None)
    assert found["since_start"]["sent"] == found["confirmed"] == shop.position()
    assert found["since_start"]["picks"] == status["counts"]["picks_shown"]
    assert "dispenser_offline" in found["repairs"], "the simulator has ended"
    assert not found["well"]
    table = fleet(shop)
    assert table.exit_code == 4
    [line] = [line for line in table.stdout.splitlines() if line.startswith(shop.gateway_id)]
    assert "dispenser_offline" in line
    now_s = time.time()
    monkeypatch.setattr(time, "time", lambda: now_s + 3600)
    assert "silent" not in fleet(shop).stdout, "the broker's clock says who is, whatever this machine's says"


def test_the_digests_that_it_tells_are_those_of_its_profiles(shop: World) -> None:
    digests: dict[str, str] = {}
    for record in shop.read_topic("picante.gateways.v1"):
        if (value := record["value"]) and value["subject"] == shop.gateway_id:
            digests |= {subject: digest for subject, _, digest in value["data"]["digests"]}
    assert digests == shop.digests()
    assert len(digests) > 3


# -- reconciliation -----------------------------------------------------------------------------------------------


@contextmanager
def cloud(shop: World) -> Iterator[Process]:
    """The pipeline and the lake's writer, until they have all that there is."""
    process = Process(shop.directory, "cloud", "cloud", "run", "--config", "cloud.toml")
    try:
        wait_until(lambda: _ready(shop, process), 60, "everybody has passed the last record")
        yield process
    finally:
        process.stop()


def _ready(shop: World, process: Process) -> bool:
    assert process.process.poll() is None, process.said()
    outcome = compared(shop)
    return not outcome.report.waiting and any(line.lake for line in outcome.lines)


def compared(shop: World) -> Outcome:
    """All hours in which the test may have begun, the open one as if it were over."""
    now = int(time.time() * 1000) // HOUR_MS
    return compare(load_cloud_config(shop.directory / "cloud.toml"), range(now - 1, now + 1))


def found(shop: World) -> list[tuple[str, str, int]]:
    return [(one.source, one.kind, one.count) for one in compared(shop).report.findings]


def test_all_agree_until_somebody_does_not(shop: World) -> None:
    name, config = shop.gateway_id, load_cloud_config(shop.directory / "cloud.toml")
    with cloud(shop):
        assert found(shop) == []
        [line] = compared(shop).lines
        rows = shop.position()
        assert (line.source, line.outbox, line.lake) == (name, rows, rows)
        assert line.events + line.letters == rows
        assert line.folded == line.events
        _digests_agree(shop, config)
    _what_is_not_there_is_no_agreement(shop)
    raw = lake_of(config).tables["raw"]
    raw.open()
    [place] = [Place(EVENTS.name, 1)]
    raw.delta.delete(f"topic = '{EVENTS.name}' AND partition = 1 AND offset = {_an_offset(cluster_of(config), place)}")
    assert found(shop) == [(name, "lake_missing", 1)]

    with closing(sqlite3.connect(state_files(shop.directory / "cloud" / "pipeline", EVENTS.name)[2])) as state, state:
        changed = state.execute("UPDATE counts SET n = n - 1 WHERE origin = ? AND outcome = 'folded'", (name,)).rowcount
    assert (name, "folded_differs", 1) in found(shop)
    assert changed

    today = int(time.time() * 1000)
    old = encode(stored(POURED, 7, origin=name, time_ms=today - 100 * DAY_MS, day=today // DAY_MS - 100))
    with Producer(cluster_of(config)) as producer:
        producer.send(old)
        producer.flush()
    assert (name, "past_the_outbox", 1) in found(shop)

    with closing(Consumer(cluster_of(config))) as look:
        ends = [TopicPartition(EVENTS.name, n, look.watermarks(Place(EVENTS.name, n))[1]) for n in range(4)]
    with closing(confluent_kafka.Consumer({"bootstrap.servers": shop.bootstrap, "group.id": LETTERS})) as group:
        group.commit(offsets=ends, asynchronous=False)  # moved past the event that is too old
    with cloud(shop):
        assert (name, "letters_missing", 1) in found(shop)


def _what_is_not_there_is_no_agreement(shop: World) -> None:
    state = state_files(shop.directory / "cloud" / "pipeline", EVENTS.name)[1]
    for place, what in (
        (state, "the state of partition 1 is not here, or an old one, and nobody else has it"),
        (shop.directory / "lake", f"the lake has nothing (look whether lake.path is right) of {EVENTS.name} 1"),
    ):
        aside = place.rename(place.with_name("aside"))
        report = compared(shop).report
        assert report.findings == []
        assert what in {one.what for one in report.waiting}
        aside.rename(place)
    assert compared(shop).report.waiting == []


def _digests_agree(shop: World, config: CloudConfig) -> None:
    done = FleetWatch(config).compared()
    assert (done.differences, done.equal, done.newer, done.not_compared) == ([], len(shop.digests()), 0, 0)
    said = fleet(shop, "--digests")
    assert (said.exit_code, f"agree on {done.equal:,}" in said.output) == (0, True), said.output


def test_one_altered_event_makes_edge_and_cloud_differ(shop: World) -> None:
    """A sum of one customer is another in the state; no event came since their digest was told."""
    subject = min(shop.digests())
    for path in state_files(shop.directory / "cloud" / "pipeline", EVENTS.name):
        with closing(sqlite3.connect(path)) as state, state:
            if (one := Subjects(state).load([subject]).get(subject)) is not None:
                (first, *_), _ = one.tally.rows()
                one.tally.add_rows([first], [], -1)
                one.tally.add_rows([msgspec.structs.replace(first, w=first.w + 1)], [])
                Subjects(state).save([one])
    done = fleet(shop, "--digests", "--json")
    assert done.exit_code == 4, done.output
    assert [(one["key"], one["outcome"]) for one in json.loads(done.output)["differences"]] == [
        ([shop.gateway_id, subject], "differs")
    ]


def _an_offset(cluster: Cluster, place: Place) -> int:
    with closing(Consumer(cluster)) as consumer:
        consumer.assign({place: consumer.watermarks(place)[0]})
        records = wait_until(consumer.poll, 10, "there are records")
        assert isinstance(records, list)
        return int(records[len(records) // 2].offset)


# -- digests, in a topic of their own -----------------------------------------------------------------------------


@pytest.fixture
def replayed(broker: KafkaServer, shop: World, tmp_path: Path) -> CloudConfig:
    """A pipeline that folds another topic than the gateways write to."""
    topic = asyncio.run(create_topic(broker.bootstrap, 1, BROKER_TIME))
    (tmp_path / "cloud.toml").write_text(
        f'[cloud]\ndata_dir = "."\n[kafka]\nbootstrap = "{shop.bootstrap}"\n'
        f'[pipeline]\ntopic = "{topic}"\ngroup = "{topic}"\n'
    )
    return load_cloud_config(tmp_path / "cloud.toml")


def pours(config: CloudConfig, subject: str, first: int, count: int) -> None:
    """Rows of an outbox, from `first` on, in Kafka."""
    day = int(time.time() * 1000) // DAY_MS
    with Producer(cluster_of(config)) as producer:
        for number in range(first, first + count):
            record = Record(config.pipeline.topic, *value_of(number, pour(), subject, origin="gw-x", day=day), ())
            producer.send(record.with_header(POSITION, b"1:%d" % number))
        producer.flush()


def fold(config: CloudConfig, until: int) -> None:
    """Have the state hold what is below this offset."""
    topic = config.pipeline.topic
    with PartitionState.open(config.path("pipeline") / f"{topic}-0.db", Log(topic, 0)) as state:
        for batch in read_range(cluster_of(config), Place(topic, 0), state.position, until):
            state.apply(batch)


@contextmanager
def watching(config: CloudConfig) -> Iterator[FleetWatch]:
    watch, stop = FleetWatch(config), threading.Event()
    thread = threading.Thread(target=watch.work, args=(stop,))
    thread.start()
    try:
        yield watch
    finally:
        stop.set()
        thread.join()


def outcomes(differences: Iterable[Difference]) -> dict[str, str]:
    """By customer; the shop's, whose events are in another topic, left out."""
    return {one.key.subject: one.outcome for one in differences if one.key.gateway == "gw-x"}


def test_what_is_doubled_or_lost_is_told_under_traffic_and_after_a_restart(
    replayed: CloudConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digests, "VISIBLE_MS", 0)
    monkeypatch.setattr(fleet_watch, "LOOK_S", 0.05)
    monkeypatch.setattr(fleet_watch, "PATIENCE_S", 0.5)
    pours(replayed, ANNA, 1, 3)
    pours(replayed, CARL, 4, 6)
    fold(replayed, 5)
    rows = DigestRow(ANNA, 2, "d2"), DigestRow(BERT, 1, "d1"), DigestRow(CARL, 6, "d6")
    beat = msgspec.structs.replace(WELL, gateway="gw-x", epoch=1, confirmed=9, digests=rows)
    with Producer(cluster_of(replayed)) as producer:
        producer.send(publish("gw-x", beat, "/gateways/gw-x", "gw-x:1", NOW_MS))
        producer.flush()
    with watching(replayed) as watch:
        wait_until(lambda: outcomes(watch.comparison.differences.values()), 20, "the one that is there twice is told")
        assert outcomes(watch.comparison.differences.values()) == {ANNA: "exceeds"}, "others may come yet"
        pours(replayed, CARL, 10, 50)
        fold(replayed, 8)
        done = FleetWatch(replayed).compared()
        assert (outcomes(done.differences), done.not_compared > 1) == ({ANNA: "exceeds"}, True)
        fold(replayed, 20)
        found = wait_until(lambda: BERT in outcomes(watch.comparison.differences.values()), 20, "the lost one is told")
        assert found
    assert outcomes(difference_file.load(replayed.path("fleet/differences.json"))) == {ANNA: "exceeds", BERT: "lacks"}
    pours(replayed, ANNA, 60, 1)
    fold(replayed, 61)  # later events hide nothing that was found
    said = CliRunner().invoke(main, ["cloud", "fleet", "--digests", "--config", str(replayed.path("cloud.toml"))])
    assert said.exit_code == 4
    assert re.search(rf"{ANNA} +gw-x +counted twice +2 +3 ", said.output), said.output

    settings = {"bootstrap.servers": replayed.kafka.bootstrap, "group.id": replayed.pipeline.group}
    with closing(confluent_kafka.Consumer(settings)) as group:
        group.commit(offsets=[TopicPartition(replayed.pipeline.topic, 0, 1_000)], asynchronous=False)
    with watching(replayed) as watch:
        wait_until(lambda: not difference_file.load(replayed.path("fleet/differences.json")), 20, "another has it now")


def test_where_nothing_can_be_compared_nobody_says_that_all_agree(replayed: CloudConfig) -> None:
    said = CliRunner().invoke(main, ["cloud", "fleet", "--digests", "--config", str(replayed.path("cloud.toml"))])
    assert (said.exit_code, "agree on 0" in said.output, "Nobody was found equal" in said.output) == (4, True, True)


def test_one_that_is_no_more_is_forgotten(shop: World) -> None:
    assert shop.gateway is not None
    shop.gateway.kill()
    assert told(shop)
    assert fleet(shop, "--forget", shop.gateway_id).output == f"{shop.gateway_id} is forgotten\n"
    assert not told(shop)
    for name in (shop.gateway_id, "nosuch-gw"):
        refused = fleet(shop, "--forget", name)
        assert refused.exit_code == 2
        assert f"'{name}' was never heard, or is forgotten" in refused.output
