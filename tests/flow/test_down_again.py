"""What comes down to running gateways: a regular whom the next store knows offline, and releases while events go up."""

from __future__ import annotations

import json
import re
import sqlite3
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka import Producer
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing

from cloud_sync.published import Profile, Region, Version, publish
from cloud_sync.topics import PROFILES, RELEASES, Topic
from gateway.transaction import read_profile
from hw_sim.journal import read_journal
from models.bundle import load, pretrained
from picante.cli import main
from tests.flow.verdict import NOTHING_WRONG, generated, judge
from tests.flow.world import Kafka, Mqtt, World, world
from tests.servers import free_port
from tests.waiting import wait_until

TOTAL = 3_000
SCENARIO = """\
[load]
total = 3000
ask_share = 0.2
customers = 8

[[dispensers]]
id = "down"
baud = 460800
ring = 40
count = 2
"""


@pytest.fixture(scope="module")
def topics(kafka: Kafka) -> None:
    """The compacted topics, on a Kafka that others use, too."""

    def make(topic: Topic) -> NewTopic:
        return NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=1, config=topic.settings)

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    there = admin.list_topics(timeout=20).topics
    missing = [make(topic) for topic in (PROFILES, RELEASES) if topic.name not in there]
    for made in admin.create_topics(missing).values() if missing else ():
        made.result(20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, mqtt: Mqtt, topics: None) -> Iterator[World]:
    """A shop in which much goes on."""
    with world(tmp_path_factory.mktemp("near"), kafka, mqtt, SCENARIO, f"gw-{uuid.uuid4().hex[:8]}") as shop:
        (shop.directory / "cloud.toml").write_text(f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n')
        yield shop


def release(shop: World, *words: str) -> str:
    """`picante cloud release`, for this shop's gateway alone."""
    aimed = [] if words[0] == "list" else ["--target", f"gateway/{shop.gateway_id}"]
    config = ["--config", str(shop.directory / "cloud.toml")]
    done = CliRunner().invoke(main, ["cloud", "release", *words, *aimed, *config])
    assert done.exit_code == 0, done.output
    return done.output


def applied(shop: World, kind: str) -> tuple[int, int | None]:
    """Number and starts of what is used of a kind; 0 where it is gateway.toml's."""
    rows = shop.query("SELECT number, starts FROM applied WHERE kind = ? AND place = 'now'", kind)
    return (int(rows[0][0]), rows[0][1]) if rows else (0, None)


def catalogue(shop: World, version: str) -> str:
    """A file with a catalogue like ours."""
    document = json.loads(resources.files("heat").joinpath("data/catalog.json").read_bytes())
    path = shop.directory / f"{version}.json"
    path.write_text(json.dumps(document | {"version": version}))
    return str(path)


def configuration(shop: World, warmest_c: int) -> str:
    """A file with a configuration."""
    path = shop.directory / "pushed.toml"
    path.write_text(f"[samples]\nwarmest_c = {warmest_c}\n")
    return str(path)


def test_releases_are_used_while_events_go_up_and_none_is_lost_or_doubled(shop: World) -> None:
    release(shop, "publish", "words", str(resources.files("heat").joinpath("data/words.json")))
    sim = shop.start_sim("--check")
    gateway = shop.start_gateway()
    pid = gateway.process.pid
    wait_until(lambda: shop.stored() >= TOTAL // 10, 60, "events come")
    assert "catalogue 1 for" in release(shop, "publish", "catalogue", catalogue(shop, "c-2"))
    release(shop, "publish", "configuration", configuration(shop, 25))
    release(shop, "publish", "bundle", str(pretrained()))
    wait_until(lambda: applied(shop, "configuration") == (1, 1), 60, "it was started with the configuration")
    assert shop.stored() < TOTAL, "the events were over too soon to test anything"
    wait_until(shop.sim_ended, 120, "all rings are empty")
    assert sim.process.returncode == 0, sim.said()
    shop.wait_until_ready(30)
    assert gateway.process.pid == pid
    for kind in ("catalogue", "bundle", "words"):
        wait_until(lambda kind=kind: applied(shop, kind)[0] == 1, 30, f"the {kind} is used")  # type: ignore[misc]
    wait_until(shop.everything_confirmed, 60, "Kafka has everything")
    journal = read_journal(shop.directory / "sim" / "journal.jsonl")
    found: dict[int, list[str]] = defaultdict(list)
    for record in shop.read_topic("picante.events.v1"):
        if (identity := record["value"]["id"]).startswith("down"):
            found[record["partition"]].append(identity)
    assert judge(generated(journal), found) == NOTHING_WRONG
    assert shop.get("/api/v1/status")["gateway"]["ranker"] == load(pretrained()).short_id
    told = [r["value"]["data"] for r in shop.read_topic("picante.gateways.v1") if r["value"]]
    mine = [data for data in told if data["gateway"] == shop.gateway_id]
    assert mine[-1]["catalogue"] == "c-2"
    assert {(one["kind"], one["state"]) for one in mine[-1]["applied"]} == {
        *(("catalogue", "used"), ("words", "used"), ("bundle", "used"), ("configuration", "on_trial")),
    }


def test_a_configuration_that_kills_three_starts_is_taken_back(shop: World) -> None:
    """Each start is killed before it was ready for long, as one would be by a bug that the configuration uncovers."""
    release(shop, "publish", "configuration", configuration(shop, 20))
    for start in (1, 2, 3):
        wait_until(lambda n=start: applied(shop, "configuration") == (2, n), 60, f"start {start}")  # type: ignore[misc]
        assert shop.gateway is not None
        shop.gateway.kill()
        shop.spawn_gateway()
    shop.wait_until_ready(60)
    assert applied(shop, "configuration")[0] != 2
    warnings = {one["code"]: one for one in shop.get("/api/v1/status")["warnings"]}
    assert "not ready in 3 starts" in warnings["release_refused"]["what"]
    release(shop, "withdraw", "configuration")
    wait_until(lambda: applied(shop, "configuration") == (0, None), 30, "gateway.toml's is used")
    assert "configuration" not in release(shop, "list").partition(shop.gateway_id)[0].splitlines()[-1]


def test_a_regular_is_known_offline_in_the_next_store(
    shop: World, tmp_path: Path, kafka: Kafka, mqtt: Mqtt, topics: None
) -> None:
    """What the cloud's pipeline publishes of a customer is made here of what the first gateway holds."""
    shop.wait_until_ready(60)
    customers = sorted(shop.digests())
    producer = Producer({"bootstrap.servers": kafka.bootstrap})
    with closing(sqlite3.connect(f"file:{shop.database}?mode=ro", uri=True)) as connection:
        for customer in customers:
            buckets, flavours = read_profile(connection, customer).rows()
            seen = (Region("south", max(row.day for row in buckets)),)
            said = Profile(version=Version(1, 1), regions=seen, buckets=buckets, flavours=flavours)
            record = publish(customer, said, "/cloud/test", "1", 0)
            producer.produce(record.topic, record.value, record.key)
    producer.flush(20)
    with world(tmp_path, kafka, mqtt, SCENARIO, f"gw-{uuid.uuid4().hex[:8]}") as far:
        keys = far.directory / "sim" / "keys.toml"
        keys.parent.mkdir()
        keys.write_text("[dispensers]\n")
        keys.chmod(0o600)
        far.start_gateway()
        wait_until(lambda: far.digests().items() >= shop.digests().items(), 60, "known", promised=True)
        assert far.gateway is not None
        far.gateway.kill()
        toml = far.directory / "gateway.toml"
        toml.write_text(re.sub(r'bootstrap = ".*"', f'bootstrap = "127.0.0.1:{free_port()}"', toml.read_text()))
        far.start_gateway()
        for customer in customers:
            here, there = (one.get(f"/api/v1/profiles/{customer}") for one in (far, shop))
            assert (here["digest"]["all"], here["state"]) == (there["digest"]["all"], there["state"])
            assert here["digest"]["own"] != here["digest"]["all"]
            assert here["evidence"] > 0
