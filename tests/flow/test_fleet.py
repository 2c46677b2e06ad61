"""From a running gateway to `picante cloud fleet`: what it tells of itself, and that it has fallen silent."""

from __future__ import annotations

import json
import sqlite3
import time
import uuid
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import confluent_kafka
import msgspec
import pytest
from click.testing import CliRunner, Result
from confluent_kafka import TopicPartition

from cloud.config import CloudConfig, load_cloud_config
from cloud.fleet_watch import FleetWatch
from cloud.kafka import Consumer, Place, Producer
from cloud.lake.settings import lake_of
from cloud.librdkafka import Cluster, cluster_of
from cloud.metrics import REGISTRY
from cloud.pipeline.dead_letters import GROUP as LETTERS
from cloud.pipeline.reading import state_files
from cloud.pipeline.subjects import Subjects
from cloud.reconciliation.gathering import Outcome, compare
from cloud.reconciliation.ledger import HOUR_MS
from cloud_sync.envelope import encode
from cloud_sync.topics import DAY_MS, EVENTS
from picante.cli import main
from tests.cloud_sync.examples import POURED, stored
from tests.flow.world import Mqtt, Process, World, world
from tests.servers import KafkaServer
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


def test_a_gateway_tells_how_it_is(shop: World) -> None:
    found = wait_until(
        lambda: told(shop) if told(shop).get("confirmed") == shop.position() else None, 60, "it is heard"
    )
    assert isinstance(found, dict)
    status = shop.get("/api/v1/status")
    assert (found["store"], found["region"], found["clock"]) == ("flow-store", "south", "known")
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
    watch = FleetWatch(cluster_of(config), shop.directory / "cloud" / "pipeline")
    equal = REGISTRY.get_sample_value("picante_cloud_digests_compared_total", {"outcome": "equal"}) or 0
    assert watch.differences() == []
    after = REGISTRY.get_sample_value("picante_cloud_digests_compared_total", {"outcome": "equal"}) or 0
    assert after - equal == len(shop.digests())
    assert "agree" in fleet(shop, "--digests").output


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
    assert [(one["key"], one["outcome"]) for one in json.loads(done.output)] == [
        ([shop.gateway_id, subject], "differs")
    ]


def _an_offset(cluster: Cluster, place: Place) -> int:
    with closing(Consumer(cluster)) as consumer:
        consumer.assign({place: consumer.watermarks(place)[0]})
        records = wait_until(consumer.poll, 10, "there are records")
        assert isinstance(records, list)
        return int(records[len(records) // 2].offset)


def test_one_that_is_no_more_is_forgotten(shop: World) -> None:
    assert shop.gateway is not None
    shop.gateway.kill()
    assert told(shop)
    assert fleet(shop, "--forget", shop.gateway_id).output == f"{shop.gateway_id} is forgotten\n"
    assert not told(shop)
