"""The main road under load: dispensers on PTYs and a real Mosquitto, the gateway killed once, a real Kafka.

The set of ids in the topic, read `read_committed` by a process of its own, equals the set that the dispensers made.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import pytest

from heat.events import Impression
from hw_sim.control import call
from hw_sim.journal import read_journal
from models.bundle import load, pretrained
from models.ranker import in_numpy
from picante.replays import again, in_lines
from tests.flow import truth
from tests.flow.verdict import NOTHING_WRONG, generated, judge
from tests.flow.world import PSEUDONYM_KEY, Kafka, Mqtt, World, world
from tests.reference import profiles
from tests.waiting import wait_until

EVENTS = "picante.events.v1"
TOTAL = 5_000

FLOW = """\
[load]
total = 5000
ask_share = 0.08
customers = 40

[faults]
drop = 0.004
duplicate = 0.03
corrupt = 0.004

[[dispensers]]
id = "uart"
baud = 921600
ring = 160
count = 2

[[dispensers]]
id = "usb"
baud = 0
ring = 160
count = 3

[[dispensers]]
id = "wifi"
link = "mqtt"
ring = 160
count = 3
"""


@dataclass(frozen=True, slots=True)
class Left:
    """How things stood when the gateway was killed."""

    asked: set[str]
    """Sessions in which a token had been shown."""
    stored: set[str]
    """Events of dispensers that were on disk."""


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, mqtt: Mqtt) -> Any:
    """The shop after 5,000 events and one kill -9 of the gateway in the middle, and how things stood at the kill."""
    with world(tmp_path_factory.mktemp("flow"), kafka, mqtt, FLOW, "gw-flow") as shop:
        sim = shop.start_sim("--check")
        gateway = shop.start_gateway()
        wait_until(lambda: shop.stored() >= TOTAL * 2 // 5, 90, "two fifths of the events are stored")
        gateway.kill()
        assert shop.stored() < TOTAL, "the kill came too late to test anything"
        left = _left_by_the_kill(shop)
        shop.start_gateway()
        wait_until(shop.sim_ended, 120, "all rings are empty")
        assert sim.process.returncode == 0, sim.said()
        wait_until(shop.everything_confirmed, 60, "Kafka has everything")
        yield shop, left


def _left_by_the_kill(shop: World) -> Left:
    rows = shop.query("SELECT source, generation, sequence FROM events WHERE source <> 'gw-flow'")
    return Left(
        {truth.session_of(line) for line in read_journal(shop.directory / "sim" / "journal.jsonl") if "claim" in line},
        {f"{source}:{generation:08x}:{sequence}" for source, generation, sequence in rows},
    )


@pytest.fixture(scope="module")
def shop(killed: tuple[World, Left]) -> World:
    """The shop after all that."""
    return killed[0]


@pytest.fixture(scope="module")
def left(killed: tuple[World, Left]) -> Left:
    """How things stood at the kill."""
    return killed[1]


@pytest.fixture(scope="module")
def journal(shop: World) -> list[dict[str, Any]]:
    """What the dispensers made."""
    return list(read_journal(shop.directory / "sim" / "journal.jsonl"))


@pytest.fixture(scope="module")
def topic(shop: World, journal: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """What a committed reader finds of this shop."""
    generations = {f"{line['generation']:08x}" for line in journal if "event" in line}
    own = shop.query("SELECT DISTINCT generation FROM events WHERE source = 'gw-flow'")
    generations |= {f"{generation:08x}" for (generation,) in own}
    records = shop.read_topic(EVENTS)
    return [record for record in records if record["value"]["id"].split(":")[1] in generations]


@pytest.fixture(scope="module")
def owners(topic: list[dict[str, Any]]) -> dict[str, str]:
    """Who claimed a session, by the topic."""
    claims = [record["value"] for record in topic if record["value"]["type"] == "picante.session-claimed.v1"]
    return {claim["data"]["session"]: claim["subject"] for claim in claims}


def from_dispensers(topic: list[dict[str, Any]]) -> list[str]:
    return [record["value"]["id"] for record in topic if record["value"]["source"].startswith("/dispensers/")]


def by_partition(topic: list[dict[str, Any]]) -> dict[int, list[dict[str, Any]]]:
    """The records of each partition, in the order of their offsets."""
    parts: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for record in sorted(topic, key=lambda record: record["offset"]):
        parts[record["partition"]].append(record)
    return parts


def test_the_topic_holds_what_the_dispensers_made_each_once(
    journal: list[dict[str, Any]], topic: list[dict[str, Any]]
) -> None:
    made = generated(journal)
    assert len(made) == TOTAL
    found = {part: from_dispensers(records) for part, records in by_partition(topic).items()}
    assert judge(made, found) == NOTHING_WRONG


def test_resends_did_happen(shop: World) -> None:
    metrics = shop.get_text("/metrics").splitlines()
    resent = [line for line in metrics if 'link_resends_total{reason="duplicates"' in line]
    assert [float(line.rsplit(" ", 1)[1]) > 0 for line in resent] == [True]


def test_within_a_partition_the_sequences_of_each_dispenser_rise(topic: list[dict[str, Any]]) -> None:
    found = {part: [record["value"]["id"] for record in records] for part, records in by_partition(topic).items()}
    assert judge(set(), found).disordered == ()
    assert found.keys() == {0, 1, 2, 3}


def test_the_gateways_own_events_are_there_once(shop: World, topic: list[dict[str, Any]]) -> None:
    rows = shop.query("SELECT generation, sequence FROM events WHERE source = 'gw-flow'")
    stored = {f"gw-flow:{generation:08x}:{sequence}" for generation, sequence in rows}
    sent = [record["value"]["id"] for record in topic if record["value"]["source"] == "/gateways/gw-flow"]
    assert sorted(sent) == sorted(stored)
    assert len({row[0] for row in rows}) == 2, "one generation a start"
    assert len(stored) > 100


def test_a_kill_forgets_no_claim_that_precedes_what_is_on_disk(
    left: Left, journal: list[dict[str, Any]], owners: dict[str, str]
) -> None:
    """However many wait for the disk: a claim goes there before all that its dispenser makes after PICKS came."""
    shown = {
        (truth.session_of(line), truth.pseudonym(line["claim"], PSEUDONYM_KEY)) for line in journal if "claim" in line
    }
    assert set(owners.items()) <= shown, "a session was claimed by somebody who never showed a token"
    # the load's customers ask first, so all events of an answered session were made after PICKS came
    begun = {truth.session_of(line) for line in journal if generated([line]) & left.stored}
    unclaimed = {truth.session_of(line) for line in journal if "answered" in line} - owners.keys()
    kept = unclaimed & begun
    later = unclaimed - left.asked
    assert (kept, later) == (set(), set()), "a claim was lost that the kill can't have met"


def test_what_the_screens_showed_is_made_again_to_the_bit_from_the_topic(topic: list[dict[str, Any]]) -> None:
    shown = [record["value"] for record in topic if record["value"]["type"] == Impression.type]
    ranker = in_numpy(load(pretrained()))  # whatever scored in the gateway
    told = again(in_lines(map(msgspec.json.encode, shown)), {ranker.name: ranker})
    assert told.impressions == told.replayed == len(shown) > 0, told
    assert any(event["data"]["policy"] == "thompson" for event in shown)


def test_profiles_equal_those_of_the_naive_reference(
    shop: World, journal: list[dict[str, Any]], topic: list[dict[str, Any]], owners: dict[str, str]
) -> None:
    days = {record["value"]["id"]: record["value"]["heatday"] for record in topic}
    expected = profiles(truth.evidence(journal, owners, days, "gw-flow"))
    expected = {subject: rows for subject, rows in expected.items() if subject.startswith("p1-")}
    assert len(expected) > 20
    assert {subject: rows["digest"] for subject, rows in expected.items()} == shop.digests()


def test_no_token_is_on_disk_in_logs_or_in_kafka(
    shop: World, journal: list[dict[str, Any]], topic: list[dict[str, Any]]
) -> None:
    tokens = {line["claim"].encode() for line in journal if "claim" in line}
    assert tokens
    places = [path.read_bytes() for path in (shop.directory / "gateway").iterdir() if path.is_file()]
    places.append((shop.directory / "gateway.log").read_bytes())
    places += [repr(record).encode() for record in topic]
    assert not [token for token in tokens if any(token in place for place in places)]


def test_an_ask_overtakes_thousands_of_queued_events(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> None:
    scenario = """\
[load]
total = 5000
ask_share = 0

[[dispensers]]
id = "full-bar"
baud = 115200
ring = 8192
"""
    with world(tmp_path, kafka, mqtt, scenario, "gw-queue") as shop:
        shop.start_sim()

        def device() -> dict[str, Any]:
            status: dict[str, Any] = call(shop.socket, {"do": "status"})["dispensers"]["full-bar"]
            return status

        wait_until(shop.socket.exists, 60, "the simulator answers")
        wait_until(lambda: device()["held"] >= TOTAL, 60, "5,000 events wait on the dispenser")
        shop.start_gateway()
        wait_until(lambda: device()["online"], 60, "the dispenser is online")
        visit = call(shop.socket, {"do": "visit", "dispenser": "full-bar", "pour": ""})
        held = device()["held"]
        assert len(visit["picks"]) == 3
        assert held > 1_000, "the queue was gone before the question was asked"
