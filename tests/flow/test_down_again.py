"""What comes down to running gateways: a regular whom the next store knows offline, and releases while events go up."""

from __future__ import annotations

import json
import re
import uuid
from collections import defaultdict
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing

from cloud.kafka import read_to_end
from cloud.librdkafka import Cluster
from cloud_sync.published import Heartbeat, read_published
from cloud_sync.topics import ALL, GATEWAYS, Topic
from heat.profile import Profile
from hw_sim.journal import read_journal
from models.bundle import load, save
from picante.cli import main
from tests.flow.verdict import NOTHING_WRONG, generated, judge
from tests.flow.world import Kafka, Mqtt, Process, World, world
from tests.servers import free_port
from tests.signed import signed
from tests.waiting import wait_until

TOTAL = 2_500
SCENARIO = """\
[load]
total = 2500
events_per_s = 100
ask_share = 0.2
customers = 8

[[dispensers]]
id = "down"
baud = 460800
ring = 2000
count = 2
"""


@pytest.fixture(scope="module")
def topics(kafka: Kafka) -> None:
    """The contract's topics, on a Kafka that others use, too."""

    def make(topic: Topic) -> NewTopic:
        return NewTopic(topic.name, num_partitions=topic.partitions, replication_factor=1, config=topic.settings)

    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    there = admin.list_topics(timeout=20).topics
    missing = [make(topic) for topic in ALL if topic.name not in there]
    for made in admin.create_topics(missing).values() if missing else ():
        made.result(20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, mqtt: Mqtt, topics: None) -> Iterator[World]:
    """A shop in which much goes on."""
    name = f"gw-{uuid.uuid4().hex[:8]}"
    with world(tmp_path_factory.mktemp("near"), kafka, mqtt, SCENARIO, name, region=f"around-{name}") as shop:
        (shop.directory / "cloud.toml").write_text(
            f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n[cloud]\ndata_dir = "cloud"\nparts = ["pipeline"]\n'
            f'[pipeline]\ngroup = "picante-pipeline-{shop.gateway_id}"\n'
        )
        with (shop.directory / "gateway.toml").open("a") as gateway_toml:
            gateway_toml.write("\n[picks]\ntrial_slates = 5\ntrial_hours = 0.001\n")
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


def listed(shop: World) -> set[tuple[str, ...]]:
    """What the cloud has been told of this gateway's releases: kind, number, and what it does."""
    lines = [line.split() for line in release(shop, "list").splitlines() if f"gateway/{shop.gateway_id} " in line]
    return {(line[0], *line[-3:]) for line in lines}


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
    sim = shop.start_sim("--check")
    gateway = shop.spawn_gateway()
    release(shop, "publish", "words", str(resources.files("heat").joinpath("data/words.json")))
    shop.wait_until_ready(60)
    pid = gateway.process.pid
    wait_until(lambda: shop.stored() >= TOTAL // 10, 60, "events come")
    assert "catalogue 1 for" in release(shop, "publish", "catalogue", catalogue(shop, "c-2"))
    release(shop, "publish", "configuration", configuration(shop, 25))
    wait_until(lambda: applied(shop, "configuration") == (1, 1), 60, "it was started with the configuration")
    assert shop.stored() < TOTAL, "the events were over too soon to test anything"
    made = signed(7)
    save(bundle := shop.directory / "bundle", made.manifest, made.files)
    (bundle / "signature.json").write_bytes(made.signature or b"")
    release(shop, "publish", "bundle", str(bundle))
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
    assert shop.get("/api/v1/status")["gateway"]["ranker"] == load(bundle).short_id
    used = {
        *((kind, "1", "use", "it") for kind in ("catalogue", "words")),
        *((kind, "1", "try", "it") for kind in ("bundle", "configuration")),
    }
    wait_until(lambda: listed(shop) == used, 60, f"the cloud hears of it, not of {listed(shop)}")
    records = [one for batch in read_to_end(Cluster(shop.bootstrap), GATEWAYS.name) for one in batch]
    newest = [read_published(one.value or b"") for one in records if one.key == shop.gateway_id.encode()][-1]
    assert isinstance(newest, Heartbeat)
    assert newest.catalogue == "c-2"


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
    repairs = {one["code"]: one for one in shop.get("/api/v1/status")["repairs"]}
    assert "not ready in 3 starts" in repairs["release_refused"]["what"]
    refusal = f"{shop.gateway_id} does not use configuration 2"
    wait_until(lambda: refusal in release(shop, "list"), 60, "the cloud hears of it")
    release(shop, "withdraw", "configuration")
    wait_until(lambda: applied(shop, "configuration") == (0, None), 30, "gateway.toml's is used")
    assert "configuration" not in {kind for kind, *_ in listed(shop)}


def test_a_regular_is_known_offline_in_the_next_store(
    shop: World, tmp_path: Path, kafka: Kafka, mqtt: Mqtt, topics: None
) -> None:
    """The cloud's pipeline tells both gateways: what one holds of its customers, the other has within a minute."""
    shop.wait_until_ready(60)
    name = f"gw-{uuid.uuid4().hex[:8]}"
    with world(tmp_path, kafka, mqtt, SCENARIO, name, region=f"around-{shop.gateway_id}") as far:
        far.without_dispensers()
        customers = sorted(shop.digests())
        cloud = Process(shop.directory, "cloud", "cloud", "run", "--config", "cloud.toml")
        try:
            far.start_gateway()
            wait_until(lambda: _agree(shop, far, customers), 60, f"known: {cloud.said()}", promised=True)
        finally:
            cloud.stop()
        assert far.gateway is not None
        far.gateway.kill()
        toml = far.directory / "gateway.toml"
        toml.write_text(re.sub(r'bootstrap = ".*"', f'bootstrap = "127.0.0.1:{free_port()}"', toml.read_text()))
        far.start_gateway()
        for customer in customers:
            here, there = (one.get(f"/api/v1/profiles/{customer}") for one in (far, shop))
            assert here["digest"]["all"] == there["digest"]["all"]
            # the state may differ: the doses in their order stay where they were poured
            assert there["digest"]["own"] != here["digest"]["own"] == Profile().digest()
            assert here["evidence"] > 0


def _agree(near: World, far: World, customers: list[str]) -> bool:
    here, there = far.digests(), near.digests()
    return len(customers) > 3 and all(here.get(customer) == there[customer] for customer in customers)
