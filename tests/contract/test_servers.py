"""What the other tests take for granted of the servers that they run against."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import paho.mqtt.client as paho
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import MessageSizeTooLargeError
from paho.mqtt.enums import CallbackAPIVersion
from playwright.sync_api import Browser

from tests.servers import KafkaServer, MosquittoServer, ServerBroken, ServerElsewhere
from tests.waiting import wait_until

Topic = Callable[..., Awaitable[str]]


async def read_committed(bootstrap: str, topic: str, partitions: int) -> list[bytes]:
    """Read a topic from its beginning to its present end."""
    reader = AIOKafkaConsumer(bootstrap_servers=bootstrap, isolation_level="read_committed")
    await reader.start()
    try:
        parts = [TopicPartition(topic, part) for part in range(partitions)]
        reader.assign(parts)
        await reader.seek_to_beginning(*parts)
        ends = await reader.end_offsets(parts)
        values: list[bytes] = []
        async with asyncio.timeout(30):
            while any([await reader.position(part) < ends[part] for part in parts]):
                for records in (await reader.getmany(timeout_ms=100)).values():
                    values += [record.value for record in records]
        return values
    finally:
        await reader.stop()


async def produce(bootstrap: str, topic: str, values: list[bytes], *, commit: bool) -> None:
    """Send the values in one transaction, and commit or abort it."""
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, transactional_id=topic)
    await producer.start()
    try:
        await producer.begin_transaction()
        for value in values:
            await producer.send_and_wait(topic, value)
        await (producer.commit_transaction() if commit else producer.abort_transaction())
    finally:
        await producer.stop()


async def test_kafka_shows_a_committed_transaction_once_and_an_aborted_one_never(
    kafka: KafkaServer | ServerElsewhere, topic: Topic
) -> None:
    name = await topic(partitions=3)
    await produce(kafka.bootstrap, name, [b"mild", b"hot"], commit=True)
    await produce(kafka.bootstrap, name, [b"spilt"], commit=False)
    assert sorted(await read_committed(kafka.bootstrap, name, 3)) == [b"hot", b"mild"]


async def test_kafka_keeps_its_address_and_what_was_committed_over_a_kill(
    killable_kafka: KafkaServer, topic: Topic
) -> None:
    name = await topic()
    await produce(killable_kafka.bootstrap, name, [b"mild"], commit=True)
    killable_kafka.kill()
    assert not killable_kafka.alive
    await asyncio.to_thread(killable_kafka.start)
    await produce(killable_kafka.bootstrap, name, [b"hot"], commit=True)
    assert await read_committed(killable_kafka.bootstrap, name, 1) == [b"mild", b"hot"]


async def test_a_topic_takes_settings(kafka: KafkaServer | ServerElsewhere, topic: Topic) -> None:
    name = await topic(settings={"max.message.bytes": "1000"})
    with pytest.raises(MessageSizeTooLargeError):
        await produce(kafka.bootstrap, name, [bytes(2000)], commit=True)


@contextmanager
def mqtt_client(
    broker: MosquittoServer, name: str, subscription: str | None = None
) -> Iterator[tuple[paho.Client, list[bytes]]]:
    """A connected client with a persistent session, subscribed where it says, and what it receives."""
    received: list[bytes] = []
    answers: list[str] = []
    client = paho.Client(CallbackAPIVersion.VERSION2, name, clean_session=False)
    client.on_message = lambda _client, _userdata, message: received.append(bytes(message.payload))
    client.on_connect = lambda *_: answers.append("CONNACK")
    client.on_subscribe = lambda *_: answers.append("SUBACK")
    client.connect(broker.host, broker.port)
    client.loop_start()
    try:
        wait_until(lambda: answers, 10, f"{name} is connected")
        if subscription is not None:
            client.subscribe(subscription, qos=1)
            wait_until(lambda: "SUBACK" in answers, 10, f"{name} is subscribed")
        yield client, received
    finally:
        client.disconnect()
        client.loop_stop()


def leave_a_message_for_a_sleeper(broker: MosquittoServer) -> None:
    with mqtt_client(broker, "sleeper", "sauce/#"):
        pass
    with mqtt_client(broker, "sender") as (sender, _):
        sender.publish("sauce/hot", b"for later", qos=1).wait_for_publish(10)


def wake_the_sleeper(broker: MosquittoServer) -> list[bytes]:
    """Return what waited for it: the message sent after its return closes the list."""
    with mqtt_client(broker, "sleeper", "sauce/#") as (_, received):
        with mqtt_client(broker, "sender") as (sender, _):
            sender.publish("sauce/hot", b"now", qos=1)
            wait_until(lambda: b"now" in received, 10, "the sleeper hears what is sent now")
        return received


def test_mosquitto_keeps_what_it_saved_over_a_kill(killable_mqtt: MosquittoServer) -> None:
    leave_a_message_for_a_sleeper(killable_mqtt)
    killable_mqtt.save()
    killable_mqtt.kill()
    killable_mqtt.start()
    assert wake_the_sleeper(killable_mqtt) == [b"for later", b"now"]


def test_mosquitto_saves_within_seconds_by_itself(killable_mqtt: MosquittoServer) -> None:
    leave_a_message_for_a_sleeper(killable_mqtt)
    before = killable_mqtt.last_save
    wait_until(lambda: killable_mqtt.last_save != before, 10, "a save by itself")
    killable_mqtt.kill()
    killable_mqtt.start()
    assert wake_the_sleeper(killable_mqtt) == [b"for later", b"now"]


def test_mosquitto_keeps_everything_over_a_stop(killable_mqtt: MosquittoServer) -> None:
    leave_a_message_for_a_sleeper(killable_mqtt)
    killable_mqtt.stop()
    killable_mqtt.start()
    assert wake_the_sleeper(killable_mqtt) == [b"for later", b"now"]


def test_mosquitto_forgets_what_it_acknowledged_when_killed_before_a_save(tmp_path: Path) -> None:
    """A PUBACK promises nothing, which is why a dispenser is acknowledged by the gateway and not by the broker."""
    with MosquittoServer(tmp_path, autosave_s=3600) as broker:
        leave_a_message_for_a_sleeper(broker)
        broker.kill()
        broker.start()
        assert wake_the_sleeper(broker) == [b"now"]


def test_a_server_takes_no_other_server_for_itself(tmp_path: Path) -> None:
    with MosquittoServer(tmp_path / "first") as first:
        second = MosquittoServer(tmp_path / "second", port=first.port)
        with pytest.raises(ServerBroken, match="someone listens there"):
            second.start()
        assert not second.alive


def test_a_server_that_ends_while_starting_says_why(tmp_path: Path) -> None:
    server = MosquittoServer(tmp_path)
    (tmp_path / "mosquitto.conf").write_text("no_such_setting 1\n")
    with pytest.raises(ServerBroken, match="Unknown configuration variable"):
        server.start()
    assert not server.alive


def test_a_browser_runs_scripts_and_leaves_the_thread_to_others(browser: Browser) -> None:
    page = browser.new_page()
    page.set_content("<p>mild</p><script>document.querySelector('p').textContent = 'hot'</script>")
    assert page.inner_text("p") == "hot"


async def test_an_event_loop_starts_after_a_browser_test() -> None:
    await asyncio.sleep(0)
