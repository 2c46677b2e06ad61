"""The dead letters: which there are, which were sent again already, and sending them again once their cause is mended.

A replay puts key, value and headers back where they lay, with the letter's id in one more: the event keeps its identity
and is folded once, and whoever counts an outbox's rows knows that this is none. A mark to `picante.replays.v1` goes in
the same transaction; who replays fences everybody else who does, and then reads the marks.
So each letter is sent again once, whoever is killed or in a hurry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import msgspec

from cloud.config import CloudConfig
from cloud.kafka import Consumer, Place, Producer, read_range
from cloud.librdkafka import Cluster
from cloud.pipeline.verdict import judge
from cloud_sync.dead_letter import DeadLetter, read
from cloud_sync.record import Consumed, Record
from cloud_sync.topics import DEAD_LETTERS, EVENTS, REPLAYED, REPLAYS, SAMPLES
from heat.errors import DataError

REPLAYER = "picante-dlq-replay"
"""The transactional id of whoever replays: there is one at a time."""
ONE_GO = 200
"""Letters in one transaction: it holds up who reads behind it."""
ONE_GO_BYTES = 8 * 1024 * 1024
"""bytes of them, about."""


@dataclass(frozen=True, slots=True)
class Topics:
    """Which topics play their parts."""

    letters: str = DEAD_LETTERS.name
    marks: str = REPLAYS.name
    targets: Collection[str] = (EVENTS.name, SAMPLES.name)
    """Where letters may be sent to."""


def topics_of(config: CloudConfig) -> Topics:
    """Those of an installation: letters go back to what its pipeline reads, too, when the lake filled a topic anew."""
    return Topics(targets={EVENTS.name, SAMPLES.name, config.pipeline.topic})


class Mark(msgspec.Struct, frozen=True):
    """That a letter was sent again."""

    letter: str
    """Its id: partition:offset."""
    sha256: str
    """Of its content: a topic that was made anew counts its offsets from 0 again."""


@dataclass(frozen=True, slots=True)
class Prospect:
    """What a replay would do with a letter."""

    letter: DeadLetter
    fate: Literal["replay", "already", "never"]
    why: str = ""
    """Why never."""


def letter_id(letter: DeadLetter) -> str:
    """Where it lies among the dead letters: partition:offset."""
    return f"{letter.letter.partition}:{letter.letter.offset}"


def parse_letter_id(text: str) -> tuple[int, int]:
    """Partition and offset. Raises DataError."""
    partition, _, offset = text.rpartition(":")
    numbers = partition or "0", offset
    if not all(one.isascii() and one.isdecimal() and len(one) < 19 for one in numbers):
        raise DataError(f"{text!r} is no dead letter's id", hint="It reads PARTITION:OFFSET, as `list` prints it")
    return int(numbers[0]), int(numbers[1])


def mark_of(letter: DeadLetter) -> Mark:
    """The mark that says that this letter was sent again."""
    content = hashlib.sha256()
    for part in (letter.letter.key, letter.letter.value):
        content.update(b"-" if part is None else b"%d:%b" % (len(part), part))
    return Mark(letter_id(letter), content.hexdigest()[:32])


def prospect(letter: DeadLetter, marks: Collection[Mark], now_ms: int, targets: Collection[str]) -> Prospect:
    """What a replay at this time would do with a letter. Pure."""
    record, lay = letter.record, letter.source
    if letter.topic is None:
        return Prospect(letter, "never", "nobody says where it lay")
    if lay is None:
        why = "a gateway refused it: it never was a record, and for which customer is known there alone"
        return Prospect(letter, "never", why)
    if record is None:
        return Prospect(letter, "never", "only its beginning is here; the lake's table raw has the whole")
    if mark_of(letter) in marks:
        return Prospect(letter, "already")
    if lay.topic not in targets:
        return Prospect(letter, "never", f"nothing is sent to {lay.topic} again")
    again = Consumed(lay.topic, 0, 0, now_ms, record.key, record.value, record.headers)
    verdict = judge(again, samples=lay.topic == SAMPLES.name)
    if verdict.refusal is not None:
        why = f"it would be refused again, {verdict.refusal.reason}: {verdict.refusal.detail}"
        return Prospect(letter, "never", why)
    return Prospect(letter, "replay")


def letters(cluster: Cluster, topic: str = DEAD_LETTERS.name) -> Iterator[DeadLetter]:
    """All dead letters that there are now, partition by partition."""
    return map(read, _all(cluster, topic))


def one_letter(cluster: Cluster, partition: int, offset: int, topic: str = DEAD_LETTERS.name) -> DeadLetter | None:
    """One dead letter; None where there is none."""
    with Consumer(cluster) as consumer:
        if partition >= consumer.partitions(topic):
            return None
        low, high = consumer.watermarks(Place(topic, partition))
    if not low <= offset < high:
        return None
    found = (record for batch in read_range(cluster, Place(topic, partition), offset, offset + 1) for record in batch)
    return next((read(record) for record in found if record.offset == offset), None)


def marks(cluster: Cluster, topic: str = REPLAYS.name) -> set[Mark]:
    """Which letters were sent again."""
    found = set()
    for record in _all(cluster, topic):
        try:
            found.add(msgspec.json.decode(record.value or b"", type=Mark))
        except (msgspec.DecodeError, RecursionError):
            continue  # whoever may write there may write anything
    return found


def replay(
    cluster: Cluster, wanted: Callable[[DeadLetter], bool], now_ms: int, topics: Topics | None = None
) -> Iterator[Prospect]:
    """Send the wanted letters again, those that can be; yields each once it is done.

    Raises:
        SinkUnavailable: what was yielded is done, and of the rest perhaps some; begin anew, nothing is done twice.
    """
    topics = topics or Topics()
    with Producer(cluster, REPLAYER) as producer:
        producer.open()
        done = marks(cluster, topics.marks)
        chosen = (letter for letter in letters(cluster, topics.letters) if wanted(letter))
        for group in _groups(chosen):
            prospects = [prospect(letter, done, now_ms, topics.targets) for letter in group]
            if records := [one for p in prospects if p.fate == "replay" for one in _again(p.letter, topics.marks)]:
                producer.transact(records)
            yield from prospects


def _groups(chosen: Iterable[DeadLetter]) -> Iterator[list[DeadLetter]]:
    group: list[DeadLetter] = []
    size_bytes = 0
    for letter in chosen:
        group.append(letter)
        size_bytes += letter.letter.size_bytes
        if len(group) == ONE_GO or size_bytes > ONE_GO_BYTES:
            yield group
            group, size_bytes = [], 0
    if group:
        yield group


def _again(letter: DeadLetter, marks_topic: str) -> tuple[Record, Record]:
    record, mark = letter.record, mark_of(letter)
    assert record is not None
    again = record.with_header(REPLAYED, mark.letter.encode())
    return again, Record(marks_topic, mark.letter.encode(), msgspec.json.encode(mark), ())


def _all(cluster: Cluster, topic: str) -> Iterator[Consumed]:
    """What there is now, and not what comes meanwhile: a replay may bring letters of its own."""
    with Consumer(cluster) as consumer:
        places = [Place(topic, number) for number in range(consumer.partitions(topic))]
        ends = {place: consumer.watermarks(place) for place in places}
    for place, (low, high) in ends.items():
        for batch in read_range(cluster, place, low, high):
            yield from batch
