"""`picante cloud run` with hot store and recommender as a process, and `picante cloud hot-store`."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import confluent_kafka
import pytest
from click.testing import CliRunner

from cloud.hot_store.entries import Key
from cloud.hot_store.filler import TOPICS
from cloud.hot_store.redis_store import RedisStore
from cloud.librdkafka import Cluster
from picante import cli_hot_store
from picante.cli import main
from tests.cloud.hot_store.filling import customer, key, profile, send
from tests.cloud_sync.mock_cluster import mock_cluster
from tests.servers import RedisServer
from tests.waiting import wait_until

COUNT = 30
SUBJECT = customer(7)


@pytest.fixture(scope="module")
def kafka_of_the_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A mock cluster with profiles: the commands know the contract's topics alone, which aren't one test's on Kafka."""
    with mock_cluster(tmp_path_factory.mktemp("mock")) as demo:
        client = confluent_kafka.Producer({"bootstrap.servers": demo.bootstrap})
        for topic in TOPICS:
            client.list_topics(topic, timeout=10)  # makes it
        cluster = Cluster(demo.bootstrap)
        send(cluster, *(profile("picante.profiles.v1", customer(n), n) for n in range(COUNT)))
        yield cluster


@pytest.fixture
def config(kafka_of_the_demo: Cluster, redis: RedisServer, tmp_path: Path) -> Path:
    """A cloud.toml for both servers."""
    path = tmp_path / "cloud.toml"
    path.write_text(
        f'[cloud]\nparts = ["hot_store", "recommender"]\n[kafka]\nbootstrap = "{kafka_of_the_demo.bootstrap}"\n'
        f'[hot_store]\nkind = "redis"\nurl = "{redis.url}"\n'
    )
    return path


def say(config: Path, *words: str) -> tuple[int, str]:
    """How a command ended, and what it said."""
    done = CliRunner().invoke(main, ["cloud", "hot-store", *words, "--config", str(config)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def test_the_parts_run_and_the_commands_look_after_the_store(config: Path, redis: RedisServer) -> None:
    command = [sys.executable, "-m", "picante", "cloud", "run", "--config", str(config)]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3], stderr=subprocess.PIPE)
    store = RedisStore(redis.url)
    try:
        wanted = [key(n) for n in range(COUNT)] + [Key("picks", customer(n)) for n in range(COUNT)]
        wait_until(lambda: None not in store.get_many(wanted), 40, "profiles and picks are in the hot store")
        status, text = say(config, "get", SUBJECT)
        assert status == 0
        told = json.loads(text)
        assert {kind: value["type"] for kind, value in told.items()} == {
            "profile": "picante.profile.v1",
            "picks": "picante.picks.v1",
        }
        assert told["profile"]["data"]["version"] == told["picks"]["data"]["version"] == [1, 7, 0]
        assert say(config, "get", customer(999)) == (1, "{}\n")
        store._client.set(f"picante:profile:{SUBJECT}", b"v" + b"9" * 60 + b"damaged")
        assert say(config, "rebuild")[0] == 0
        assert store.get_many([key(7)]) == [b"damaged"], "its version is the highest there is"
        status, text = say(config, "rebuild", "--empty")
        assert status == 0, text
        assert "entries were taken away" in text
        assert text.splitlines()[-1] == f"{2 * COUNT} of {2 * COUNT} records"
        assert None not in store.get_many(wanted)
        assert store.get_many([key(7)]) != [b"damaged"]
    finally:
        process.terminate()
        _, log = process.communicate(timeout=30)
        store.close()
    assert process.returncode == 0
    assert b"Traceback" not in log


def test_nobody_who_fills_is_told(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_hot_store, "NOT_BEGUN_S", 0.1)
    status, text = say(config, "rebuild")
    assert status == 1
    assert "Does `picante cloud run` run" in text
    assert say(config, "rebuild", "--wait", "0") == (0, "")


def test_what_is_no_subject_and_a_redis_that_is_not_there_are_told(config: Path, redis: RedisServer) -> None:
    status, text = say(config, "get", "a-loyalty-token")
    assert status == 2
    assert "loyalty" not in text
    redis.kill()
    status, text = say(config, "get", SUBJECT)
    assert (status, "hot_store.url" in text) == (1, True)
    config.write_text('[kafka]\nbootstrap = "k:1"\n')
    assert say(config, "get", SUBJECT)[0] == 2
