"""deploy/kafka/acls on a Kafka that grants rights: each part can do what it has to, and nothing else."""

from __future__ import annotations

import contextlib
import functools
import secrets
import time
from pathlib import Path

import confluent_kafka
import pytest
from click.testing import CliRunner
from confluent_kafka import ConsumerGroupTopicPartitions
from confluent_kafka.admin import AclOperation, AdminClient  # type: ignore[attr-defined]  # its stubs re-export nothing

from cloud.clock import BrokerTime
from cloud.config import load_cloud_config
from cloud.fleet_watch import FleetWatch
from cloud.kafka import BEGINNING, Consumer, Place, Producer, read_to_end
from cloud.kafka_admin import Admin
from cloud.lake.replay import replay
from cloud.librdkafka import Cluster, Trouble, cluster_of, connection
from cloud.pipeline.state import Log, PartitionState
from cloud.rights import Right, parse, principal_of, rights_of
from cloud_sync.record import Record
from cloud_sync.topics import ALL, EVENTS, outbox_group
from heat.errors import ConfigError, SinkRefused, SinkUnavailable
from picante.cli import main
from tests.cloud.lake.records import consumed, opened, put
from tests.docs.markdown import rows, section, text
from tests.secure_kafka import ACLS, GATEWAY, LIMITED, SecureKafka, acls
from tests.waiting import wait_until

WRITERS = {
    "events": {"gateway", "replay"},
    "samples": {"gateway", "replay"},
    "dlq": {"gateway", "pipeline"},
    "replays": {"replay"},
    "outbox": set(),
    "profiles": {"pipeline"},
    "features": {"pipeline"},
    "picks": {"recommender"},
    "clock": {"clock", "fleet"},
    "context": {"weather"},
    "trends": {"trends"},
    "gateways": {"gateway", "admin"},
    "releases": {"releaser"},
    "erasures": set(),
}
"""Who may write what: said twice, so that nobody widens it by a slip."""


READERS = {
    "events": {"pipeline", "lake", "trends", "reconciliation", "fleet", "reader"},
    "samples": {"pipeline", "lake", "reconciliation", "reader"},
    "dlq": {"lake", "reconciliation", "reader", "replay"},
    "replays": {"reader", "replay"},
    "outbox": {"gateway", "reader"},
    "profiles": {"gateway", "pipeline", "hot_store", "recommender", "reader"},
    "features": {"hot_store", "reader"},
    "picks": {"hot_store", "reader"},
    "clock": {"pipeline", "clock", "trends", "fleet", "reader"},
    "context": {"lake", "reader"},
    "trends": {"trends", "reader"},
    "gateways": {"pipeline", "reconciliation", "fleet", "reader", "releaser", "admin"},
    "releases": {"gateway", "reader", "releaser"},
    "erasures": {"reader"},
}
"""Who may read what, likewise: profiles and events are customers'."""


def cluster(kafka: SecureKafka, directory: Path, part: str) -> Cluster:
    return cluster_of(load_cloud_config(kafka.cloud_toml(directory, part)))


def allowed(cluster: Cluster) -> dict[str, set[AclOperation]]:
    """What the broker says that a login may do, by topic."""
    admin = AdminClient(connection(cluster, Trouble(cluster)))
    asked = confluent_kafka.TopicCollection([topic.name for topic in ALL])
    found: dict[str, set[AclOperation]] = {}
    for name, answer in admin.describe_topics(asked, include_authorized_operations=True).items():
        refused = answer.exception(10)
        found[name.split(".")[1]] = set() if refused else set(answer.result().authorized_operations)
        assert refused is None or "TOPIC_AUTHORIZATION_FAILED" in str(refused)
    return found


def in_file(part: str, operation: str) -> set[str]:
    """The topics on which a part has an operation, as the file says."""
    own = [right for right in acls()[part] if (right.resource, right.operation) == ("topic", operation)]
    return {
        topic.name.split(".")[1]
        for topic in ALL
        for right in own
        if topic.name == right.name or (right.prefix and topic.name.startswith(right.name))
    }


@pytest.mark.parametrize(("operation", "parts"), [("Write", WRITERS), ("Read", READERS)])
def test_each_topic_is_used_by_those_whose_word_or_business_it_is(operation: str, parts: dict[str, set[str]]) -> None:
    assert {topic.name.split(".")[1] for topic in ALL} == set(parts)
    assert {name: {part for part in acls() if name in in_file(part, operation)} for name in parts} == parts


@pytest.mark.parametrize("part", acls())
def test_a_part_reads_and_writes_its_topics_and_no_others(secure_kafka: SecureKafka, tmp_path: Path, part: str) -> None:
    found = allowed(cluster(secure_kafka, tmp_path, part))
    reads = {name for name, operations in found.items() if AclOperation.READ in operations}
    writes = {name for name, operations in found.items() if AclOperation.WRITE in operations}
    assert (reads, writes) == (in_file(part, "Read"), in_file(part, "Write"))
    changes = {AclOperation.ALTER, AclOperation.ALTER_CONFIGS, AclOperation.CREATE, AclOperation.DELETE}
    assert part == "admin" or not any(operations & changes for operations in found.values())


def test_the_pipeline_works_under_its_rights_and_no_other_part_takes_its_place(
    secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    own, place = cluster(secure_kafka, tmp_path, "pipeline"), Place("picante.events.v1", 0)
    with Producer(own, "picante-dead-letters-0") as producer:
        producer.open()
        producer.transact([Record("picante.dlq.v1", b"k", b"v", ())], "picante-dead-letters", {place: 0})
    with Consumer(own, "picante-dead-letters") as consumer:
        assert consumer.committed([place]) == {place: 0}
        consumer.assign({place: BEGINNING})
        consumer.poll()
    with Producer(own, "picante-dead-letters-1") as producer:
        producer.open()
        with pytest.raises(SinkRefused, match="deploy/kafka/acls"):
            producer.transact([Record("picante.events.v1", b"k", b"v", ())])
    lake = cluster(secure_kafka, tmp_path, "lake")
    with Producer(lake, "picante-dead-letters-0") as producer, pytest.raises(SinkRefused, match="deploy/kafka/acls"):
        producer.open()


def test_the_fleet_is_watched_beside_the_pipelines_states(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    toml = secure_kafka.cloud_toml(tmp_path, "fleet")
    toml.write_text('[cloud]\ndata_dir = "."\n' + toml.read_text())
    config = load_cloud_config(toml)
    directory = config.path(config.cloud.data_dir) / "pipeline"
    PartitionState.open(directory / f"{EVENTS.name}-0.db", Log(EVENTS.name, 0)).close()
    FleetWatch(config).compared()  # it asks how far the pipeline's group is


def test_who_judges_silence_asks_the_broker_for_its_time_or_uses_this_machines(
    secure_kafka: SecureKafka, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(time, "time", lambda: 1.0)

    def asked(part: str) -> int | None:
        with contextlib.suppress(SinkUnavailable):  # it tries again, as whoever asks does
            return BrokerTime(cluster(secure_kafka, tmp_path, part)).now_ms()
        return None

    fleet, reader = (wait_until(functools.partial(asked, part), 20, "a time") for part in ("fleet", "reader"))
    assert fleet is not None
    assert reader is not None
    assert fleet > 1_700_000_000_000
    assert 1_000 <= reader < 60_000
    assert Admin(cluster(secure_kafka, tmp_path, "reconciliation")).members("picante-pipeline") == 0


def test_a_replay_makes_its_topic_under_its_rights_and_the_pipeline_reads_it(
    secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    lake, target = opened(tmp_path / "lake"), f"{EVENTS.name}.{secrets.token_hex(4)}"
    put(lake, [consumed(0), consumed(1)])
    own = cluster(secure_kafka, tmp_path, "lake_replay")
    assert replay(lake, own, EVENTS.name, target).records == 2
    [batch] = read_to_end(cluster(secure_kafka, tmp_path, "pipeline"), target)
    assert [record.value for record in batch] == [consumed(0).value, consumed(1).value]
    with pytest.raises(SinkRefused, match="deploy/kafka/acls"):
        replay(lake, own, EVENTS.name, "picante.samples.v1.g2")


@pytest.mark.parametrize("topic", ["profiles", "features", "clock", "releases", "picks"])
def test_a_gateway_writes_nothing_that_is_the_clouds(secure_kafka: SecureKafka, tmp_path: Path, topic: str) -> None:
    with Producer(cluster(secure_kafka, tmp_path, "gateway")) as producer:
        producer.send(Record(f"picante.{topic}.v1", b"k", b"v", ()))
        with pytest.raises(SinkRefused, match="deploy/kafka/acls"):
            producer.flush()


def test_a_gateway_neither_sends_as_another_nor_sees_how_far_it_is(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    own = cluster(secure_kafka, tmp_path, "gateway")
    with Producer(own, "gw-other") as producer, pytest.raises(SinkRefused, match="deploy/kafka/acls"):
        producer.open()
    admin = AdminClient(connection(own, Trouble(own)))
    for group in ("picante-outbox-gw-other", "picante-pipeline", "picante-dead-letters"):
        [answer] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(group)]).values()
        assert "GROUP_AUTHORIZATION_FAILED" in str(answer.exception(10))
    [answer] = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(outbox_group(GATEWAY))]).values()
    assert answer.exception(10) is None


def test_what_the_manual_says_of_a_gateway_is_what_the_file_gives() -> None:
    manual = section(text("docs/operations.md"), "Logins and certificates of Kafka")
    table = dict(rows(manual, "resource"))
    down = {("profiles", "Read"), ("releases", "Read"), ("gateways", "Write")}
    given = {str(right) for right in rights_of(acls(), ["gateway"], "id")}
    for name, operation in down:
        assert f"`picante.{name}.v1`" in manual
        given.remove(f"{operation} topic picante.{name}.v1")
    assert given == {
        f"{operation} "
        + what.replace("`", "")
        .replace("transactional id: the gateway's id", "transactional-id id")
        .replace("group: picante-outbox- and the gateway's id", "group picante-outbox-id")
        for what, operation in table.items()
    }


COMMANDS = {
    "reader": (("tail", "events", "--last", "1", "--no-wait"), ("tail", "profiles", "--no-wait"), ("dlq", "list")),
    "replay": (("dlq", "list"), ("dlq", "replay", "--since", "2999-01-01", "--yes")),
    "admin": (("topics", "plan"), ("acls", "plan", "gateway", "--login", GATEWAY, "--file", str(ACLS))),
}
REFUSED = {
    "gateway": (("tail", "events"), ("dlq", "list"), ("acls", "plan", "gateway", "--login", "x", "--file", str(ACLS))),
    "reader": (("dlq", "replay", "--since", "2999-01-01", "--yes"), ("topics", "plan")),
    "replay": (("tail", "events"), ("topics", "plan")),
    "admin": (("tail", "events"), ("dlq", "list")),
}


@pytest.mark.parametrize("part", COMMANDS)
def test_people_run_their_commands_with_a_login_of_their_own(
    secure_kafka: SecureKafka, tmp_path: Path, part: str
) -> None:
    config = ("--config", str(secure_kafka.cloud_toml(tmp_path, part)))
    for words in COMMANDS[part]:
        done = CliRunner().invoke(main, ["cloud", *words, *config])
        assert (words, done.exit_code) == (words, 0), done.output


@pytest.mark.parametrize("part", REFUSED)
def test_nobody_runs_a_command_that_is_not_theirs(secure_kafka: SecureKafka, tmp_path: Path, part: str) -> None:
    config = ("--config", str(secure_kafka.cloud_toml(tmp_path, part)))
    with Producer(cluster(secure_kafka, tmp_path, "pipeline")) as producer:  # of nothing, nothing is refused
        producer.send(Record("picante.dlq.v1", b"k", b"v", ()))
        producer.flush()
    for words in REFUSED[part]:
        done = CliRunner().invoke(main, ["cloud", *words, *config])
        assert (words, done.exit_code) == (words, 1), done.output
        assert "deploy/kafka/acls" in done.output
        assert ".. " not in done.output


# -- the command ----------------------------------------------------------------------------------------------------


FILE = """
one  topic  picante.clock.v1    Read,Write
two  topic  picante.context.v1  Read,Write
"""


def say(config: Path, *words: str, file: Path = ACLS) -> tuple[int, str]:
    done = CliRunner().invoke(main, ["cloud", "acls", *words, "--file", str(file), "--config", str(config)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_a_login_gets_what_it_lacks_and_loses_what_is_beyond_its_parts(
    secure_kafka: SecureKafka, tmp_path: Path
) -> None:
    config, file = tmp_path / "cloud.toml", tmp_path / "acls"
    config.write_text(f'[kafka]\nbootstrap = "{secure_kafka.bootstrap}"\n')
    file.write_text(FILE)
    tell = functools.partial(say, config, file=file)
    assert tell("apply", "one", "--login", LIMITED, "--yes")[0] == 0
    status, planned = tell("plan", "two", "--login", LIMITED)
    assert (status, planned.splitlines()) == (
        3,
        [
            f"User:{LIMITED}",
            "  + Read topic picante.context.v1",
            "  + Write topic picante.context.v1",
            "  - Read topic picante.clock.v1",
            "  - Write topic picante.clock.v1",
        ],
    )
    assert tell("apply", "two", "--login", LIMITED) == (3, planned), "nothing is changed without --yes"
    assert tell("plan", "two", "--login", LIMITED) == (3, planned)
    assert tell("apply", "two", "--login", LIMITED, "--yes") == (0, planned)
    assert tell("plan", "two", "--login", LIMITED)[0] == 0
    assert tell("plan", "one", "two", "--login", LIMITED)[1].count("+") == 2, "one login, two parts"


def test_each_gateway_has_its_own_rights(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(f'[kafka]\nbootstrap = "{secure_kafka.bootstrap}"\n')
    logins = ("--login", "gw-8", "--login", "gw-9", "--principal", "User:CN={login}")
    status, planned = say(config, "plan", "gateway", *logins)
    assert status == 3
    assert "User:CN=gw-8\n" in planned
    assert "Read group picante-outbox-gw-9" in planned
    status, refused = say(config, "plan", "dispenser", "--login", "x")
    assert (status, "no part 'dispenser'" in refused) == (2, True)
    status, refused = say(config, "plan", "gateway", "--login", "x", file=tmp_path / "nowhere")
    assert (status, "deploy/kafka" in refused) == (2, True)


NOBODY = ("*", "", " ", "a,b", "GW-1", "picante-trends", "gw-1\n")


@pytest.mark.parametrize("login", NOBODY)
def test_no_gateway_is_called_everybody_or_as_a_part_of_the_cloud(tmp_path: Path, login: str) -> None:
    (tmp_path / "cloud.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    status, refused = say(tmp_path / "cloud.toml", "apply", "gateway", "--login", login, "--yes")
    assert (status, refused.startswith("error: ")) == (2, True), refused


@pytest.mark.parametrize(("principal", "login"), [("User:{login}", "*"), ("User:{login}", ""), ("User:*", "cloud")])
def test_no_rights_are_given_to_everybody(principal: str, login: str) -> None:
    with pytest.raises(ConfigError, match="is everybody"):
        principal_of(principal, login)
    assert principal_of("User:CN={login}", "Cloud 1") == "User:CN=Cloud 1"


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("gateway topic x", "four words"),
        ("gateway queue x Read", "'queue' is no resource"),
        ("gateway topic x Read,Drink", "'Drink' is no operation"),
        ("gateway topic * Read", "no part needs everything"),
        ("gateway cluster x Read", "the cluster's name is kafka-cluster"),
    ],
)
def test_a_line_that_can_not_be_read_is_named(line: str, why: str) -> None:
    with pytest.raises(ConfigError, match=f"rights:2: {why}"):
        parse(f"# one\n{line}\n", "rights")


def test_names_may_be_prefixes_and_hold_the_login() -> None:
    table = parse("a topic x-{login} Read,Write # why\na group g* Read\n", "rights")
    assert rights_of(table, ["a"], "me") == {
        Right("topic", "x-me", False, "Read"),
        Right("topic", "x-me", False, "Write"),
        Right("group", "g", True, "Read"),
    }
