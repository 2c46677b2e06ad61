"""A customer opts out at one gateway: the pipeline marks their profile, and the region's other gateways forget them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cloud.pipeline.publish import Publisher, known
from cloud.pipeline.state import Log as LogKey
from cloud.pipeline.state import PartitionState
from cloud_sync.kafka_reader import Arrived
from cloud_sync.published import Profile, read_published
from cloud_sync.record import Consumed
from cloud_sync.resume import Log as Offsets
from cloud_sync.resume import Place, anew
from cloud_sync.topics import PROFILES
from gateway.clock import Clock
from gateway.downlink import StoreInbox, Wanted
from gateway.store import Settings, Store, open_store
from heat.events import ConsentChanged
from tests.cloud.logs import ANNA, NOON_MS, TODAY, Log, pour, value_of
from tests.strategies import PLACE

KEY = LogKey("events", 0)
MINUTE_MS = 60_000


def change(consent: str) -> ConsentChanged:
    return ConsentChanged(**{**PLACE, "region": "eu", "consent": consent})


def said(log: Log, sequence: int, consent: str, minute: int) -> None:
    """A customer says so, some minutes after noon."""
    key, value = value_of(sequence, change(consent), ANNA)
    document = json.loads(value)
    document["time"] = f"{document['time'][:11]}12:{minute:02d}:00.000Z"
    log.append(key, json.dumps(document).encode())


def published(state: PartitionState) -> Profile:
    """What Kafka is told of her."""
    [anna] = state.subjects([ANNA])
    record = Publisher(KEY, "/cloud/test").news(anna, TODAY, NOON_MS)[0]
    profile = read_published(record.value or b"")
    assert isinstance(profile, Profile)
    return profile


@pytest.mark.parametrize(
    ("words", "opted_out"),
    [
        ([("none", 1)], True),
        ([("none", 1), ("profile", 2)], False),
        ([("profile", 2), ("none", 1)], False),  # the later word, not the one that came later
        ([("profile", 1), ("none", 1)], True),  # at once: the one that says no
        ([("none", 1), ("profile", 1)], True),
    ],
)
def test_the_later_word_counts_in_whatever_order_they_come(
    tmp_path: Path, words: list[tuple[str, int]], *, opted_out: bool
) -> None:
    log = Log()
    log.append(*value_of(1, pour(), ANNA))
    for number, (consent, minute) in enumerate(words, 2):
        said(log, number, consent, minute)
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        for record in log.records:
            assert state.apply([record]).changed == (ANNA,)
        profile = published(state)
    assert profile.opted_out is opted_out
    assert profile.consent_ms is not None
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        assert published(state) == profile


def test_who_said_nothing_is_published_as_ever(tmp_path: Path) -> None:
    log = Log()
    log.append(*value_of(1, pour(), ANNA))
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        state.apply(log.records)
        [anna] = state.subjects([ANNA])
        value = Publisher(KEY, "/cloud/test").news(anna, TODAY, NOON_MS)[0].value or b""
    assert b"opted_out" not in value
    assert b"consent_ms" not in value


def test_a_rebuild_from_profiles_keeps_what_was_said(tmp_path: Path) -> None:
    log = Log()
    said(log, 1, "none", 1)
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        state.apply(log.records)
        [anna] = state.subjects([ANNA])
        record = Publisher(KEY, "/cloud/test").news(anna, TODAY, NOON_MS)[0]
    [[again]] = known(KEY, [[Consumed(PROFILES.name, 0, 0, NOON_MS, record.key, record.value, record.headers)]])
    assert again.consent == anna.consent is not None


@pytest.fixture
def neighbour(tmp_path: Path) -> Iterator[Store]:
    """The store of another gateway."""
    store = open_store(Settings(tmp_path / "data", "gw-2", ballast_bytes=0))
    yield store
    store.close()


async def test_another_gateway_of_the_region_forgets_and_knows_them_again(tmp_path: Path, neighbour: Store) -> None:
    inbox = StoreInbox(neighbour, Clock("system"), Wanted("eu", 10))
    begun = anew(None, Offsets("cluster", 0, 10), inbox.scope(PROFILES.name), "", NOON_MS).mark
    log = Log()
    log.append(*value_of(1, pour(), ANNA))
    known_here = []
    with PartitionState.open(tmp_path / "0.db", KEY) as state:
        for offset, consent in enumerate(("", "none", "profile")):
            if consent:
                said(log, offset + 1, consent, offset)
            state.apply(log.records[-1:])
            [anna] = state.subjects([ANNA])
            record = Publisher(KEY, "/cloud/test").news(anna, TODAY, NOON_MS)[0]
            arrived = Arrived(offset, NOON_MS, record.key, record.value)
            await inbox.take(Place(PROFILES.name, 0), [arrived], begun.after(offset + 1, offset, NOON_MS))
            known_here.append(here(neighbour))
    assert known_here == [(1, 1, []), (0, 0, ["none"]), (1, 1, ["profile"])]


def here(store: Store) -> tuple[int, int, list[str]]:
    """Buckets, customers from elsewhere, and what customers said."""
    with closing(store.reader()) as reader:
        buckets, regulars = reader.execute(
            "SELECT (SELECT count(*) FROM buckets), (SELECT count(*) FROM regulars)"
        ).fetchone()
        return buckets, regulars, [said for (said,) in reader.execute("SELECT consent FROM consents")]
