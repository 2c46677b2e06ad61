"""Dead letters: what a replay would do with each, that it does it once, and what a person is shown."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import get_args

import cbor2
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud import dead_letters
from cloud.config import load_cloud_config
from cloud.dead_letters import Mark, Topics, mark_of, marks, parse_letter_id, prospect, replay, topics_of
from cloud.kafka import Producer, read_to_end
from cloud.letter_page import page, whose
from cloud.librdkafka import Cluster
from cloud.remedies import REMEDIES
from cloud_sync.dead_letter import DeadLetter, from_event, from_record, from_refusal, read
from cloud_sync.envelope import encode
from cloud_sync.record import Consumed, Headers, Record
from cloud_sync.topics import DAY_MS, EVENTS, SAMPLES
from heat.errors import DataError, SyncError
from heat.quality import Reason, Refusal
from tests.cloud_sync.examples import CUSTOMER, DAY, TIME_MS, refused, stored
from tests.cloud_sync.kafka_reading import no_transaction_is_open
from tests.servers import KafkaServer, ServerElsewhere
from tests.waiting import wait_until_async

NOW_MS = (DAY + 1) * DAY_MS
HEADERS: Headers = (("content-type", b"application/cloudevents+json"), ("tag", b"a"), ("tag", None), ("tag", b"a"))


def letter_of(
    sequence: int = 1, topic: str = EVENTS.name, reason: Reason = "unknown_type", **changes: object
) -> Record:
    """The dead letter of a pour that lay in a topic."""
    pour = encode(stored(sequence=sequence))
    record = Consumed(topic, 0, sequence, TIME_MS, pour.key, pour.value, HEADERS)
    return from_record(replace(record, **changes), Refusal(reason, "no such event type"))  # type: ignore[arg-type]


def as_read(letter: Record, offset: int = 17) -> DeadLetter:
    return read(Consumed(letter.topic, 0, offset, NOW_MS, letter.key, letter.value, letter.headers))


def fate(letter: DeadLetter, sent: set[Mark] | None = None, now_ms: int = NOW_MS) -> tuple[str, str]:
    found = prospect(letter, sent or set(), now_ms, [EVENTS.name])
    return found.fate, found.why


# -- what a replay would do -----------------------------------------------------------------------------------------


def test_what_readers_take_by_now_is_sent_again_once() -> None:
    letter = as_read(letter_of())
    assert fate(letter) == ("replay", "")
    assert fate(letter, {mark_of(letter)}) == ("already", "")
    assert fate(as_read(letter_of(sequence=2)), {mark_of(letter)}) == ("replay", ""), "the topic was made anew"
    assert fate(as_read(letter_of(), 18), {mark_of(letter)}) == ("replay", ""), "it came twice, and each is a letter"


def test_what_would_be_refused_again_is_left() -> None:
    assert fate(as_read(letter_of(value=b"\xff")))[1].startswith("it would be refused again, malformed: ")
    assert fate(as_read(letter_of(key=b"other")))[1].startswith("it would be refused again, wrong_key: ")
    assert "too_old: 101 days" in fate(as_read(letter_of()), now_ms=(DAY + 101) * DAY_MS)[1]


NEVER = {
    "refused at the door": (from_refusal(refused()), "a gateway refused it"),
    "damaged in a store": (from_event(stored(), Refusal("damaged", "x")), "a gateway refused it"),
    "cut short": (letter_of(value=bytes(2**21)), "only its beginning"),
    "of another topic": (letter_of(topic="picante.profiles.v1"), "nothing is sent to picante.profiles.v1 again"),
    "of a stranger": (Record("picante.dlq.v1", None, b"hello", ()), "nobody says where it lay"),
}


@pytest.mark.parametrize("case", NEVER)
def test_what_can_not_be_sent_again_says_why(case: str) -> None:
    letter, why = NEVER[case]
    found = fate(as_read(letter))
    assert found[0] == "never"
    assert found[1].startswith(why)


def test_letters_go_back_to_the_topic_that_the_pipeline_reads_since_a_replay_of_the_lake(tmp_path: Path) -> None:
    anew = f"{EVENTS.name}.g2"
    (tmp_path / "cloud.toml").write_text(f'[kafka]\nbootstrap = "127.0.0.1:1"\n[pipeline]\ntopic = "{anew}"\n')
    targets = topics_of(load_cloud_config(tmp_path / "cloud.toml")).targets
    assert set(targets) == {EVENTS.name, SAMPLES.name, anew}
    assert prospect(as_read(letter_of(topic=anew)), set(), NOW_MS, targets).fate == "replay"


def test_ids_are_read_as_they_are_printed() -> None:
    assert (parse_letter_id("3:17"), parse_letter_id("17")) == ((3, 17), (0, 17))
    for wrong in ("", "a", "1:", "-1", "1:2:3", "²", "1:" + "9" * 19):
        with pytest.raises(DataError):
            parse_letter_id(wrong)


# -- on Kafka -------------------------------------------------------------------------------------------------------

Places = tuple[Cluster, Topics]


@pytest.fixture
async def places(kafka: KafkaServer | ServerElsewhere, topic: Callable[..., Awaitable[str]]) -> Places:
    """A cluster, and topics of the test's own."""
    names = [await topic(2) for _ in range(3)]
    return Cluster(kafka.bootstrap), Topics(names[0], names[1], [names[2]])


def put(places: Places, letters: list[Record]) -> None:
    cluster, topics = places
    with Producer(cluster) as producer:
        for letter in letters:
            producer.send(replace(letter, topic=topics.letters))
        producer.flush()


async def in_target(places: Places) -> list[Consumed]:
    """What was sent again, once readers see what was committed."""
    [target] = places[1].targets
    bootstrap = places[0].bootstrap
    await wait_until_async(lambda: no_transaction_is_open(bootstrap, target), 30, "what was committed is seen")
    return [record for batch in read_to_end(places[0], target) for record in batch]


async def test_a_letter_is_sent_again_as_it_was_and_once(places: Places) -> None:
    cluster, topics = places
    [target] = topics.targets
    put(places, [letter_of(1, target), letter_of(2, target, value=b"\xff"), letter_of(3, target, reason="wrong_key")])
    done = list(replay(cluster, lambda letter: letter.reason == "unknown_type", NOW_MS, topics))
    assert Counter(one.fate for one in done) == {"replay": 1, "never": 1}
    [sent] = await in_target(places)
    pour = encode(stored(sequence=1))
    [mark] = marks(cluster, topics.marks)
    assert (sent.key, sent.value) == (pour.key, pour.value)
    assert sent.headers == (*HEADERS, ("picante.replayed", mark.letter.encode()))
    again = list(replay(cluster, lambda letter: letter.reason == "unknown_type", NOW_MS, topics))
    assert Counter(one.fate for one in again) == {"already": 1, "never": 1}
    assert len(await in_target(places)) == 1
    assert {mark.letter for mark in marks(cluster, topics.marks)} == {
        f"{one.letter.letter.partition}:{one.letter.letter.offset}" for one in done if one.fate == "replay"
    }


async def test_one_that_ends_halfway_is_gone_on_with(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, topics = places
    [target] = topics.targets
    put(places, [letter_of(number, target) for number in range(1, 8)])
    monkeypatch.setattr(dead_letters, "ONE_GO", 2)
    halfway = replay(cluster, lambda _: True, NOW_MS, topics)
    for _ in range(3):
        next(halfway)
    halfway.close()  # type: ignore[attr-defined]  # it is a generator
    assert len(await in_target(places)) == 4
    fates = Counter(one.fate for one in replay(cluster, lambda _: True, NOW_MS, topics))
    assert fates == {"replay": 3, "already": 4}
    assert Counter(record.value for record in await in_target(places)) == {
        encode(stored(sequence=number)).value: 1 for number in range(1, 8)
    }


async def test_two_at_once_send_nothing_twice(places: Places, monkeypatch: pytest.MonkeyPatch) -> None:
    cluster, topics = places
    [target] = topics.targets
    put(places, [letter_of(number, target) for number in range(1, 31)])
    monkeypatch.setattr(dead_letters, "ONE_GO", 3)

    def run() -> None:
        try:
            for _ in replay(cluster, lambda _: True, NOW_MS, topics):
                pass
        except SyncError:
            pass  # the other one has fenced it

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    list(replay(cluster, lambda _: True, NOW_MS, topics))
    assert Counter(Counter(record.value for record in await in_target(places)).values()) == {1: 30}


# -- what a person is shown -----------------------------------------------------------------------------------------


def shown(letter: DeadLetter) -> str:
    return "\n".join(page(letter, prospect(letter, set(), NOW_MS, [EVENTS.name])))


def test_each_reason_has_a_remedy_and_is_documented() -> None:
    assert set(REMEDIES) == set(get_args(Reason))
    for reason in get_args(Reason):
        assert REMEDIES[reason] in shown(as_read(letter_of(reason=reason))).replace("\n             ", " ")


def test_the_page_has_what_is_wrong_and_all_that_there_is() -> None:
    lines = shown(as_read(letter_of())).splitlines()
    assert "reason       unknown_type: no such event type" in lines
    assert "it lay in    picante.events.v1, partition 0, offset 1" in lines
    assert "event        hot-bar-1:5e3a09c1:1" in lines, "out of the record itself"
    assert f"key          {CUSTOMER}" in lines
    assert lines.count("header       tag: a") == 2
    assert "header       tag: null" in lines
    assert '  "type": "picante.poured.v1",' in lines
    assert "sends it again" in shown(as_read(letter_of()))


def test_what_is_no_text_is_shown_in_hex() -> None:
    wire = shown(as_read(from_refusal(refused(body=b"\xa1\x01\x02"))))
    assert "000000  a1 01 02" in wire
    assert "as CBOR: {1: 2}" in wire
    assert "no value" in shown(as_read(letter_of(value=None)))


def doubled(times: int) -> bytes:
    """CBOR of a list of itself twice, so many times over: few bytes, and much to print."""
    item = b"\xd8\x1c\x61x"  # tag 28 marks what tag 29 refers to
    for number in range(times, 0, -1):
        item = b"\xd8\x1c\x82" + item + b"\xd8\x1d" + (bytes([number]) if number < 24 else bytes([0x18, number]))
    return item


def test_what_would_be_printed_for_ever_is_not() -> None:
    assert cbor2.loads(doubled(1)) == ["x", "x"]
    for value in (doubled(16), b"\xd8\x1c\x81\xd8\x1d\x00", b"\xd9\xd9\xf7\x00"):
        assert "no CBOR as dispensers send it" in shown(as_read(from_refusal(refused(body=value))))
    assert "too long" in shown(as_read(from_refusal(refused(body=b"\x9f" + bytes(8_192) + b"\xff"))))


BYTES = st.none() | st.binary(max_size=40) | st.sampled_from([b"[" * 100_000, b'{"id":1}', b"\x9f" * 5_000])
NAMES = st.sampled_from(["content-type", "__connect.errors.topic", "picante.reason", "picante.timestamp"])


@given(st.lists(st.tuples(NAMES, BYTES | st.just(b"application/cbor"))).map(tuple), BYTES, BYTES)
def test_nothing_in_a_letter_makes_the_page_fail(headers: Headers, key: bytes | None, value: bytes | None) -> None:
    letter = read(Consumed("picante.dlq.v1", 0, 0, 0, key, value, headers))
    assert "what to do" in shown(letter)
    whose(letter)
    msgspec.json.encode(mark_of(letter))
