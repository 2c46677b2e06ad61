"""The pipeline on Apache Kafka: what comes out of it, whoever is killed, frozen, joins, or loses a file."""

from __future__ import annotations

import contextlib
import functools
import shutil
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from confluent_kafka import TopicPartition
from confluent_kafka.admin import AdminClient

from cloud.config import CloudConfig, KafkaSection, PipelineSection
from cloud.kafka import Consumer, Place, Producer
from cloud.pipeline import loop
from cloud.pipeline.dead_letters import DeadLetters
from cloud.pipeline.loop import Pipeline
from cloud.pipeline.publish import LOG
from cloud.pipeline.state import PartitionState
from cloud.pipeline.verdict import judge
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import CONNECT, DAY_MS, REASON
from heat.errors import ConfigError, SinkUnavailable
from heat.events import Sampled, SessionClaimed
from heat.identity import session_subject
from heat.profile import contribution, merge
from tests.cloud.logs import pour, sha, value_of
from tests.cloud.pipelines import PipelineProcess, Stage, place
from tests.cloud_sync.examples import EVERY_TYPE
from tests.servers import KafkaServer, ServerElsewhere
from tests.strategies import PLACE
from tests.waiting import wait_until

Kafka = KafkaServer | ServerElsewhere
Pair = tuple[bytes | None, bytes | None]

TODAY = time.time_ns() // 1_000_000 // DAY_MS
CUSTOMERS = [f"p1-{number:032x}" for number in range(6)]
REFUSED: list[Pair] = [(b"nobody", b"{"), (CUSTOMERS[0].encode(), None), (b"other", value_of(999, pour())[1])]


def pours(first: int, last: int) -> list[Pair]:
    """Events of these sequences, spread over the customers; each heat is another."""
    return [value_of(n, pour(100 * n), CUSTOMERS[n % len(CUSTOMERS)], day=TODAY) for n in range(first, last + 1)]


def digests(first: int, last: int) -> dict[str, str]:
    """What profiles of these pours have for digests."""
    parts: dict[str, list[int]] = {}
    for n in range(first, last + 1):
        parts.setdefault(CUSTOMERS[n % len(CUSTOMERS)], []).append(n)
    return {
        name: merge(contribution(pour(100 * n), "gw-1", TODAY) for n in numbers).digest()
        for name, numbers in parts.items()
    }


def letters(stage: Stage) -> list[Pair]:
    """The dead letters, sorted."""
    return sorted(((r.key, r.value) for r in stage.read(stage.settings.dead_letters)), key=repr)


def all_caught_up(pipeline: Pipeline) -> bool:
    """Whether it has both partitions and knows all that lay there."""
    return [partition.caught_up for partition in list(pipeline.partitions.values())] == [True, True]


def digests_in(state: PartitionState) -> Iterator[tuple[str, str]]:
    """Of each subject of a state."""
    return ((name, state.digest(name)[1]) for name in state.names())


@pytest.fixture
async def stage(kafka: Kafka, tmp_path: Path) -> Stage:
    return await Stage.make(kafka.bootstrap, tmp_path / "states")


def test_events_become_profiles_features_and_dead_letters(stage: Stage) -> None:
    stage.tick(TODAY, TODAY * DAY_MS)
    stage.send([*pours(1, 30), *REFUSED, *pours(11, 20)])
    with stage.running() as pipeline:
        stage.wait_for(digests(1, 30))
        assert letters(stage) == sorted(REFUSED, key=repr)
        seen = stage.features()
        states = [partition.state for partition in pipeline.partitions.values()]
        totals: dict[str, int] = {}
        for (_, _, outcome), n in [item for state in states for item in state.counts().items()]:
            totals[outcome] = totals.get(outcome, 0) + n
        assert totals == {"folded": 30, "duplicate": 10, "malformed": 2, "wrong_key": 1}
    assert {name: one.evidence for name, one in seen.items()} == dict.fromkeys(CUSTOMERS, 5)
    assert {one.as_of_day for one in seen.values()} == {TODAY}
    [letter] = [r for r in stage.read(stage.settings.dead_letters) if r.key == b"other"]
    assert letter.headers[:2] == (("h", b"1"), ("h", b"2"))
    assert ("picante.reason", b"wrong_key") in letter.headers
    for profile in stage.profiles().values():
        assert profile is not None
        assert profile.version.generation == 1
        assert [region.region for region in profile.regions] == ["eu"]


def test_what_is_refused_among_the_samples_gets_its_dead_letter_once(stage: Stage) -> None:
    readings = next(data for data in EVERY_TYPE if isinstance(data, Sampled))
    good = value_of(1, readings, None, source="gw-1", day=TODAY - 100)
    bad: list[Pair] = [(b"gw-1", b"{"), (b"gw-2", good[1]), value_of(2, pour(), CUSTOMERS[0], day=TODAY)]
    for times in (1, 2):
        stage.send([good, *bad], stage.settings.samples)
        with stage.running():
            wait_until(lambda: len(letters(stage)) >= times * 3, 20, "the dead letters are there")  # noqa: B023
        assert letters(stage) == sorted(bad * times, key=repr)
    found = stage.read(stage.settings.dead_letters)
    reasons = [value for record in found for name, value in record.headers if name == REASON]
    assert Counter(reasons) == {b"malformed": 2, b"unknown_type": 2, b"wrong_key": 2}
    assert all((f"{CONNECT}topic", stage.settings.samples.encode()) in record.headers for record in found)
    assert stage.profiles() == {}


def test_a_conflict_that_is_won_late_is_taken_back_from_what_kafka_holds(stage: Stage) -> None:
    larger, smaller = sorted(
        (value_of(1, pour(shu), CUSTOMERS[0], day=TODAY) for shu in (100, 20_000)), key=lambda pair: sha(pair[1])
    )[::-1]
    shu = {sha(value_of(1, pour(shu), CUSTOMERS[0], day=TODAY)[1]): shu for shu in (100, 20_000)}
    with stage.running():
        stage.send([larger])
        stage.wait_for({CUSTOMERS[0]: contribution(pour(shu[sha(larger[1])]), "gw-1", TODAY).digest()})
        stage.send([*[(b"nobody", b"{")] * 3, smaller])
        stage.wait_for({CUSTOMERS[0]: contribution(pour(shu[sha(smaller[1])]), "gw-1", TODAY).digest()})


def test_processes_share_the_partitions_and_one_that_is_killed_is_replaced(stage: Stage, tmp_path: Path) -> None:
    other = stage.at(tmp_path / "others")
    with PipelineProcess(stage, tmp_path / "one.log") as one:
        stage.send(pours(1, 20))
        one.wait_for("a partition has caught up", 2)
        with PipelineProcess(other, tmp_path / "other.log") as joined:
            joined.wait_for("a partition has caught up")
            one.wait_for("a partition is ours", 3)
            stage.send([*pours(21, 40), *REFUSED])
            stage.wait_for(digests(1, 40))
            joined.kill()
            stage.send([*pours(35, 60), *REFUSED])
            one.wait_for("a partition is ours", 5)  # by then, both again
            stage.wait_for(digests(1, 60))
        wait_until(lambda: len(letters(stage)) >= 2 * len(REFUSED), 10, "the dead letters")
        assert letters(stage) == sorted(REFUSED * 2, key=repr)
        assert one.stop() == 0
    positions = [line["position"] for line in one.lines("a partition is ours")]
    assert len(positions) == 5
    assert min(positions[2:]) > 0, "a partition that comes back is caught up with from the file that is there"


KILL = "import os, signal\n"
FAULTS = {
    "between fold and commit": KILL
    + "from cloud.pipeline.subjects import Subjects\n"
    + "apply = Subjects.apply\n"
    + "def killed(*given):\n    apply(*given)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    + "Subjects.apply = killed",
    "between commit and publication": KILL
    + "from cloud.pipeline.partition import Partition\n"
    + "Partition.publish = lambda *given: os.kill(os.getpid(), signal.SIGKILL)",
    "between publication and its mark": KILL
    + "from cloud.pipeline.state import PartitionState\n"
    + "PartitionState.confirm = lambda *given: os.kill(os.getpid(), signal.SIGKILL)",
    "between dead letters and commit": KILL
    + "from cloud.pipeline.dead_letters import DeadLetters\n"
    + "send = DeadLetters.send\n"
    + "def killed(*given):\n    send(*given)\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    + "DeadLetters.send = killed",
    "within the dead letters' transaction": KILL
    + "from cloud.kafka import Producer\n"
    + "Producer._membership = lambda *given: os.kill(os.getpid(), signal.SIGKILL)",
}


def test_wherever_it_is_killed_nothing_is_lost_and_nothing_doubled(stage: Stage, tmp_path: Path) -> None:
    last = 0
    for number, (where, fault) in enumerate(FAULTS.items()):
        log = tmp_path / f"{number}.log"
        stage.send([*pours(last + 1, last + 10), *REFUSED, *pours(max(last - 5, 1), last + 3)])
        last += 10
        with PipelineProcess(stage.regrouped(), log, fault) as process:
            process.wait_until_killed()
        assert process.lines("a partition is ours"), where
    with stage.regrouped().running():
        stage.wait_for(digests(1, last))
    assert letters(stage) == sorted(REFUSED * len(FAULTS), key=repr)


def test_one_that_was_frozen_while_another_took_over_does_no_harm(stage: Stage, tmp_path: Path) -> None:
    with PipelineProcess(stage, tmp_path / "frozen.log") as frozen:
        stage.send(pours(1, 20))
        stage.wait_for(digests(1, 20))
        frozen.freeze(on=True)
        stage.send([*pours(21, 40), *REFUSED])
        with PipelineProcess(stage.at(tmp_path / "others"), tmp_path / "other.log") as other:
            stage.wait_for(digests(1, 40))
            frozen.freeze(on=False)
            stage.send([*pours(41, 60), *REFUSED])
            frozen.wait_for("a partition is ours", 3)
            stage.wait_for(digests(1, 60))
            other.kill()
    assert letters(stage) == sorted(REFUSED * 2, key=repr)


def test_a_state_that_is_stale_or_lost_comes_back_from_kafka(stage: Stage, tmp_path: Path) -> None:
    directory = stage.settings.directory
    stage.send(pours(1, 20))
    with stage.running():
        stage.wait_for(digests(1, 20))
    shutil.copytree(directory, tmp_path / "stale")
    stage.send([*pours(15, 40), *REFUSED])
    with stage.running():
        stage.wait_for(digests(1, 40))
    for replaced in ("stale", None):
        shutil.rmtree(directory)
        if replaced:
            shutil.copytree(tmp_path / replaced, directory)
        before = len(stage.read(stage.settings.profiles))
        stage.send([value_of(7, pour(700), CUSTOMERS[7 % 6], day=TODAY)])  # it was folded, whoever remembers that
        with stage.running() as pipeline:
            wait_until(functools.partial(all_caught_up, pipeline), 20, "all is caught up with")
            found = {name: digest for one in pipeline.partitions.values() for name, digest in digests_in(one.state)}
        assert found == digests(1, 40)
        told = [r for r in stage.read(stage.settings.profiles)[before:] if r.value is not None]
        if replaced is None:
            assert told == [], "what is rebuilt from what was published has nothing to tell"
    assert stage.digests() == digests(1, 40)
    assert letters(stage) == sorted(REFUSED, key=repr)


def test_who_takes_over_fences_its_own_group_and_no_other(stage: Stage) -> None:
    topic, ends = stage.settings.dead_letters, (0, 0)

    def opened(group: str) -> DeadLetters:
        section = PipelineSection(group=f"{stage.settings.group}-{group}")
        config = CloudConfig(kafka=KafkaSection(bootstrap="k:1"), pipeline=section)
        names = stage.settings.dead_letters_group, loop.settings_of(config).dead_letters_ids
        return DeadLetters.open(stage.settings.cluster, place(stage, 0), ends, topic, names)

    verdict = judge(Consumed(stage.settings.events, 0, 0, 0, *REFUSED[0], ()))
    with contextlib.closing(opened("a")) as first, contextlib.closing(opened("b")) as other:
        first.send([verdict], 1)
        with contextlib.closing(opened("b")), pytest.raises(SinkUnavailable, match="taken over|fenced|epoch"):
            other.send([verdict], 1)
    assert letters(stage) == REFUSED[:1]


def ends_of(stage: Stage) -> dict[Place, int]:
    """Where the partitions of the events end."""
    with Consumer(stage.settings.cluster) as look:
        return {where: look.watermarks(where)[1] for where in (place(stage, 0), place(stage, 1))}


def drop(stage: Stage, below: dict[Place, int]) -> None:
    """Have the log begin there."""
    admin = AdminClient({"bootstrap.servers": stage.settings.cluster.bootstrap})
    for deleted in admin.delete_records([TopicPartition(*where, offset) for where, offset in below.items()]).values():
        deleted.result(10)


def test_what_the_log_dropped_stays_in_the_profiles_and_its_copies_are_not_folded(
    stage: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loop, "COMMIT_S", 0.0)
    stage.send(pours(1, 20))
    with stage.running(), Consumer(stage.settings.cluster, stage.settings.group) as group:
        stage.wait_for(digests(1, 20))
        once = ends_of(stage)
        stage.send(pours(1, 20))
        twice = ends_of(stage)
        wait_until(lambda: group.committed(twice) == twice, 10, "all of it is said to be published")
    drop(stage, once)
    with stage.at(tmp_path / "copies").running() as pipeline:
        wait_until(functools.partial(all_caught_up, pipeline), 20, "all is caught up with")
        found = {name: digest for one in pipeline.partitions.values() for name, digest in digests_in(one.state)}
    assert found == stage.digests() == digests(1, 20)
    drop(stage, twice)
    stage.send(pours(21, 30))
    fresh = stage.at(tmp_path / "fresh")
    for again in (fresh, stage):  # one that was lost, one that is older than the log
        with again.running():
            stage.wait_for(digests(1, 30))


def test_profiles_of_a_topic_that_was_made_anew_are_not_mixed_with_this_ones(stage: Stage, tmp_path: Path) -> None:
    [key, value] = value_of(1, pour(), CUSTOMERS[0], day=TODAY)
    stage.send([(key, value)])
    with stage.running():
        wait_until(stage.profiles, 20, "a profile")
    [record] = stage.read(stage.settings.profiles)
    with Producer(stage.settings.cluster) as producer:
        producer.send(Record(record.topic, record.key, record.value, ((LOG, b"another/0/2"),)))
        producer.flush()
    with pytest.raises(ConfigError, match="generation"), stage.at(tmp_path / "fresh").running() as pipeline:
        wait_until(lambda: pipeline.partitions, 5, "it never works")


def test_days_that_begin_empty_windows_and_end_sessions(stage: Stage) -> None:
    session, claimed = session_subject("hot-bar-1", 1, 1), session_subject("hot-bar-1", 1, 2)
    rows = contribution(pour(), "gw-1", TODAY).rows()
    claim = SessionClaimed(**PLACE, session=claimed, buckets=rows[0], flavours=rows[1])
    stage.tick(TODAY, TODAY * DAY_MS)
    stage.send([value_of(n, pour(), name, day=TODAY) for n, name in enumerate((session, claimed, CUSTOMERS[0]), 1)])
    with stage.running():
        wait_until(lambda: {session, claimed, CUSTOMERS[0]} <= stage.features().keys(), 20, "features")
        stage.send([value_of(4, claim, CUSTOMERS[0], day=TODAY)])
        wait_until(lambda: stage.profiles().get(claimed, 0) is None, 20, "a tombstone for the session that was claimed")
        assert stage.features()[CUSTOMERS[0]].windows[0].n.poured >= 1
        stage.tick(TODAY + 9, (TODAY + 9) * DAY_MS)
        wait_until(lambda: stage.profiles().get(session, 0) is None, 20, "a tombstone for the session that is over")
        wait_until(lambda: stage.features()[CUSTOMERS[0]].as_of_day == TODAY + 9, 20, "features of that day")
    windows = stage.features()[CUSTOMERS[0]].windows
    assert (windows[0].n.poured, windows[1].n.poured) == (0, 2)
    stage.tick(TODAY + 5, (TODAY + 4) * DAY_MS)  # a day that had not begun when it was said


def test_two_never_work_in_one_directory(stage: Stage) -> None:
    with stage.running() as pipeline:
        wait_until(lambda: pipeline.partitions, 20, "it works")
        with pytest.raises(ConfigError, match="another pipeline"), stage.running():
            pass
