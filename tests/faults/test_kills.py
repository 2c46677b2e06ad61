"""The main road through five SIGKILLs each of the gateway, of Mosquitto and of a Kafka broker of three, in one run.

`make faults` repeats it with other seeds.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from cloud_sync.topics import EVENTS
from tests.cloud_sync.kafka_reading import topic_config
from tests.cluster import KafkaCluster
from tests.faults.kills import KILLS_EACH, KINDS, Outcome, run
from tests.flow.verdict import NOTHING_WRONG
from tests.servers import ServerUnavailable

SEED = 20_261

pytestmark = pytest.mark.timeout(600)  # the first test has the cluster's start and the whole run in it


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """Three brokers of our own, whatever Kafka the other tests use: they are killed."""
    try:
        made = KafkaCluster(tmp_path_factory.mktemp("cluster"))
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    with made:
        yield made


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, cluster: KafkaCluster) -> Outcome:
    """A shop that went through it all."""
    return run(tmp_path_factory.mktemp("kills") / "run", cluster, SEED)


def test_through_all_kills_the_topic_holds_each_event_once_and_in_order(outcome: Outcome) -> None:
    assert outcome.verdict == NOTHING_WRONG, f"seed {SEED}"
    assert outcome.made > 1_000
    assert outcome.integrity == "ok"


def test_the_kills_fell_where_they_hurt(outcome: Outcome) -> None:
    assert {kind: len(outcome.of(kind)) for kind in KINDS} == dict.fromkeys(KINDS, KILLS_EACH)
    inside = [kill.inside for kill in outcome.of("gateway")]
    assert sum(inside) * 2 >= len(inside), f"seed {SEED}: too few kills inside a transaction"


def test_what_the_killed_had_written_is_written_again_and_hidden(outcome: Outcome) -> None:
    assert outcome.written_twice > 0, "no kill left records behind: nothing was tested"


def test_each_kill_is_logged_with_the_outbox_position(outcome: Outcome) -> None:
    lines = [json.loads(line) for line in outcome.log.read_text().splitlines()]
    assert [line["kind"] for line in lines] == [kill.kind for kill in outcome.kills]
    assert all(0 < line["confirmed"] <= line["stored"] for line in lines)


async def test_two_of_three_brokers_must_have_what_is_answered(outcome: Outcome, cluster: KafkaCluster) -> None:
    for topic in (EVENTS.name, "__consumer_offsets", "__transaction_state"):
        assert (await topic_config(cluster.bootstrap, topic))["min.insync.replicas"] == "2", topic
