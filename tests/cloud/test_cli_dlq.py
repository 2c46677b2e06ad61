"""`picante cloud dlq` on a real Kafka: it lists, shows, and sends again only what it was told to."""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud.dead_letters import Topics
from cloud.kafka import Producer
from cloud.librdkafka import Cluster
from cloud_sync.dead_letter import from_record, from_refusal
from cloud_sync.envelope import encode
from cloud_sync.record import Consumed
from cloud_sync.topics import DAY_MS
from heat.quality import Refusal
from picante.cli import main
from tests.cloud_sync.examples import refused, stored
from tests.cloud_sync.kafka_reading import read
from tests.servers import KafkaServer, ServerElsewhere

Kafka = KafkaServer | ServerElsewhere
Say = Callable[..., tuple[int, str]]


@pytest.fixture
async def topics(kafka: Kafka, topic: Callable[..., Awaitable[str]], monkeypatch: pytest.MonkeyPatch) -> Topics:
    """Three dead letters: one of the door, one that is good by now, one that is not."""
    found = Topics(await topic(), await topic(), [await topic()])
    [target] = found.targets
    monkeypatch.setattr("cloud.dead_letters.topics_of", lambda _config: found)
    now_ms = int(time.time() * 1000)
    good = encode(stored(time_ms=now_ms, day=now_ms // DAY_MS))
    lay = Consumed(target, 0, 4711, now_ms, good.key, good.value, good.headers)
    letters = [
        from_refusal(refused(origin="gw-7")),
        from_record(lay, Refusal("unknown_type", "no such event type")),
        from_record(replace(lay, offset=4712, value=b"\xff\x1b[2J"), Refusal("malformed", "not UTF-8 at byte 0")),
    ]
    with Producer(Cluster(kafka.bootstrap)) as producer:
        for letter in letters:
            producer.send(replace(letter, topic=found.letters))
        producer.flush()
    return found


@pytest.fixture
def say(kafka: Kafka, tmp_path: Path) -> Say:
    config = tmp_path / "cloud.toml"
    config.write_text(f'[kafka]\nbootstrap = "{kafka.bootstrap}"\n')

    def run(*words: str) -> tuple[int, str]:
        done = CliRunner().invoke(main, ["cloud", "dlq", *words, "--config", str(config)])
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        return done.exit_code, done.output

    return run


async def test_the_list_says_what_was_refused_and_by_whom(topics: Topics, say: Say) -> None:
    status, listed = say("list")
    assert status == 0
    lines = [line.split() for line in listed.splitlines()]
    assert [line[:1] + line[3:4] for line in lines[1:4]] == [
        ["0:0", "impossible_heat"], ["0:1", "unknown_type"], ["0:2", "malformed"],
    ]  # fmt: skip
    assert "hot-bar-1:5e3a09c1:1" in lines[1]
    assert "0:4711" in lines[2]
    assert lines[4] == ["1", "impossible_heat,", "1", "unknown_type,", "1", "malformed"]
    assert say("list", "--limit", "1")[1].splitlines()[-1].endswith("; 2 older ones are not shown: --limit")
    for words, ids in (
        (("--reason", "malformed"), ["0:2"]),
        (("--origin", "gw-7"), ["0:0"]),
        (("--origin", "gw-1"), ["0:1"]),
        (("--since", "1h"), ["0:0", "0:1", "0:2"]),
        (("--since", "2999-01-01"), []),
    ):
        assert [json.loads(line)["id"] for line in say("list", "--json", *words)[1].splitlines()] == ids
    for no_time in ("yesterday", "999999d"):
        assert say("list", "--since", no_time)[0] == 2


async def test_one_is_shown_with_what_to_do(topics: Topics, say: Say) -> None:
    status, shown = say("show", "0:2")
    assert status == 0
    assert "it would be refused again, malformed" in shown
    assert "ff 1b 5b 32 4a" in shown
    assert say("show", "0:9")[0] == 1
    assert say("show", "nine")[0] == 2


async def test_a_value_comes_out_as_it_is(topics: Topics, say: Say, kafka: Kafka, tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["cloud", "dlq", "show", "0:2", "--raw", "--config", str(tmp_path / "cloud.toml")])
    assert done.stdout_bytes == b"\xff\x1b[2J"


async def test_nothing_is_sent_without_yes_and_nothing_twice(topics: Topics, say: Say, kafka: Kafka) -> None:
    [target] = topics.targets
    status, planned = say("replay", "--all")
    assert status == 3
    assert "1 to send again, 0 were already, 2 can't be" in planned
    assert await read(kafka.bootstrap, target) == []
    assert say("replay", "0:1", "--yes") == (
        0,
        f"0:1  unknown_type  {target} 0:4711  sent again\n1 sent again, 0 were already, 0 can't be\n",
    )
    status, again = say("replay", "--all", "--yes")
    assert (status, again.splitlines()[-1]) == (4, "0 sent again, 1 were already, 2 can't be")
    assert say("replay", "0:1") == (
        0,
        f"0:1  unknown_type  {target} 0:4711  was sent again already\n0 to send again, 1 were already, 0 can't be\n",
    )
    assert len(await read(kafka.bootstrap, target)) == 1
    assert "(sent again)" in say("list")[1].splitlines()[2]
    assert "1 of 1 are not there" in say("replay", "0:77")[1]
    assert say("replay")[0] == 2, "all of them is said, not meant"
    assert say("replay", "--since", "1970-01-01") == say("replay", "--all")
    assert say("replay", "--all", "--limit", "1")[0] == 2, "it would bound the lines, and not what is sent"
    assert say("replay", "0:1", "--reason", "malformed")[0] == 2
