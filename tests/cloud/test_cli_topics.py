"""`picante cloud topics` on a real Kafka: what it says, what it changes, and what it leaves alone."""

from __future__ import annotations

import secrets
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]  # its stubs re-export nothing

from cloud.kafka_admin import Admin
from cloud.librdkafka import Cluster
from cloud.topic_plan import Brokers
from cloud_sync.topics import ALL, DAY_MS, DEAD_LETTERS, EVENTS, PROFILES, Topic
from picante.cli import main
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until

Kafka = KafkaServer | ServerElsewhere


@pytest.fixture
def config(kafka: Kafka, tmp_path: Path) -> Path:
    path = tmp_path / "cloud.toml"
    path.write_text(f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n')
    return path


@pytest.fixture
def topics(monkeypatch: pytest.MonkeyPatch) -> dict[str, Topic]:
    """The contract's topics under names of the test's own: others use the broker, too."""
    own = f"-{secrets.token_hex(4)}"
    renamed = {topic.name: replace(topic, name=topic.name + own) for topic in ALL}
    monkeypatch.setattr("picante.cli_topics.ALL", tuple(renamed.values()))
    return renamed


def say(config: Path, *words: str) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["cloud", "topics", *words, "--config", str(config)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_nothing_changes_without_yes_and_then_all_is_as_the_contract_has_it(
    config: Path, topics: dict[str, Topic]
) -> None:
    status, planned = say(config, "plan")
    assert status == 3
    assert planned.count("missing") == len(ALL)
    assert say(config, "apply") == (3, planned)
    assert say(config, "plan") == (3, planned), "nothing was created"
    status, applied = say(config, "apply", "--yes")
    assert (status, applied.splitlines()[0]) == (0, f"{len(ALL)} things mended")
    assert say(config, "plan") == (0, f"{len(ALL)} topics are as the contract has them\n")
    assert say(config, "apply", "--yes")[0] == 0


def test_what_can_be_set_is_set_and_what_would_move_keys_is_left(
    kafka: Kafka, config: Path, topics: dict[str, Topic]
) -> None:
    events, letters, profiles = (topics[topic.name] for topic in (EVENTS, DEAD_LETTERS, PROFILES))
    admin, look = AdminClient({"bootstrap.servers": kafka.bootstrap}), Admin(Cluster(kafka.bootstrap))
    there = [
        NewTopic(events.name, 2, 1, config={**events.settings, "retention.ms": str(365 * DAY_MS)}),
        NewTopic(profiles.name, 6, 1, config={"cleanup.policy": "delete", "segment.bytes": "2000000"}),
    ]
    for done in admin.create_topics(there).values():
        done.result(10)
    wait_until(lambda: len(look.topics([events.name, profiles.name])) == 2, 20, "the broker has heard of both")
    status, text = say(config, "plan")
    assert status == 3
    rows = [line.split() for line in text.splitlines()]
    assert [events.name, "retention.ms", "31536000000", "(365", "days)", "10368000000", "(120", "days)"] in [
        row[:8] for row in rows
    ]
    assert [events.name, "partitions", "2", "4", "can't", "be", "changed", "[1]"] in rows
    assert [profiles.name, "partitions", "6", "4", "can't", "be", "changed", "[2]"] in rows
    assert letters.name in text
    status, text = say(config, "apply", "--yes")
    assert status == 4, "what is left needs a person"
    assert text.count("can't be changed") == 2
    assert "would move keys" in text
    found = admin.list_topics(timeout=10).topics
    assert [len(found[name].partitions) for name in (events.name, profiles.name)] == [2, 6]
    status, text = say(config, "plan")
    assert (status, text.count("retention.ms"), text.count("cleanup.policy")) == (4, 0, 0)


def test_a_broker_that_is_away_is_said_and_nothing_is_made_with_fewer_copies(
    config: Path, topics: dict[str, Topic], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Admin, "brokers", lambda _admin: Brokers(there=1, known=2))
    for words in (("plan",), ("apply", "--yes")):
        status, text = say(config, *words)
        assert (status, text.splitlines()[0].split(":")[0]) == (4, "1 of 2 brokers is missing")
        assert text.count("1 of 2 brokers is missing: start them first") == len(ALL)


def test_what_mends_it_is_said_with_the_configuration_that_was_given(config: Path, topics: dict[str, Topic]) -> None:
    assert say(config, "plan")[1].splitlines()[-1].endswith(f"picante cloud topics apply --config {config} --yes")


def test_a_kafka_that_is_not_there_is_said_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cloud.kafka_admin.REQUEST_S", 1.0)
    (tmp_path / "cloud.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    status, text = say(tmp_path / "cloud.toml", "plan")
    assert status == 1
    assert text.startswith("error: ")
    assert "127.0.0.1:1" in text
    (tmp_path / "cloud.toml").write_text("[kafka]\n")
    assert say(tmp_path / "cloud.toml", "plan")[0] == 2
