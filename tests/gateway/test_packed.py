"""Long `data` lies deflated on the card: it comes back to the byte, wherever it is read."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cloud_sync.outbox import StoredEvent
from firmware_bridge.bodies import PouredBody
from gateway.outbox import StoreOutbox
from gateway.packed import LONG_BYTES, MAX_BYTES, pack, unpack
from gateway.picks import Recommender
from gateway.store import Store
from gateway.web import reads
from heat.events import Impression, read_data
from tests.gateway.conftest import Counter, HandClock, Screen, ask
from tests.waiting import wait_until_async

Query = Callable[[str], list[tuple[Any, ...]]]
OFFLINE_DAYS, EVENTS_A_DAY, IMPRESSIONS = 30, 33_000, 1 / 3


@given(st.text(max_size=2_000))
def test_json_comes_back_to_the_byte(text: str) -> None:
    data = msgspec.json.encode({"said": text})
    stored = pack(data)
    assert unpack(stored) == data
    assert (stored == data) == (len(data) <= LONG_BYTES)


@pytest.mark.parametrize(
    "stored", [b"\x01\xff\xffdamaged", pack(b'{"a":"' + b"b" * 3_000 + b'"}')[:-3], b"", b"\xff" * 700]
)
def test_what_is_damaged_is_given_back_as_it_is(stored: bytes) -> None:
    assert unpack(stored) == stored


def test_what_unpacks_without_end_is_no_event() -> None:
    bomb = pack(b'{"a":"' + b"b" * (MAX_BYTES + 1) + b'"}')
    assert unpack(bomb) == bomb


async def test_an_impression_is_packed_and_read_everywhere_as_it_was(
    recommender: Recommender, counter: Counter, store: Store, rows: Query
) -> None:
    counter.send(PouredBody(nozzle=1, sauce="table-red", volume_ul=4_000, duration_ms=800))
    recommender.answer(Screen(), counter.hello, ask(1), 0)  # type: ignore[arg-type]
    await wait_until_async(lambda: rows("SELECT count(*) FROM events") == [(2,)], 5, "both are stored")
    stored: dict[str, bytes] = dict(rows("SELECT type, data FROM events"))
    assert stored["picante.poured.v1"][:1] == b"{"
    packed = stored[Impression.type]
    assert packed[:1] != b"{"
    assert len(packed) < len(unpack(packed)) / 2
    sent = {row.type: row for row in await StoreOutbox(store).read(0, 10) if isinstance(row, StoredEvent)}
    assert sent[Impression.type].data == unpack(packed)
    assert isinstance(read_data(Impression.type, sent[Impression.type].data), Impression)
    with closing(store.reader()) as reader:
        shown = {row.type: row.data for row in reads.last_rows(reader, 2)}
    assert shown == {type_: row.data for type_, row in sent.items()}


def used_bytes(store: Store) -> int:
    with closing(store.reader()) as reader:
        return reads.used_bytes(reader)


async def test_the_default_quota_holds_a_month_offline(
    recommender: Recommender, counter: Counter, store: Store, rows: Query, hand_clock: HandClock
) -> None:
    """33,000 events a day, every third of them an impression of twelve sauces, indexes and all."""
    hello = msgspec.structs.replace(counter.hello, nozzles=counter.hello.nozzles[:12])
    empty, count = used_bytes(store), "SELECT count(*) FROM events"
    for number in range(1, 501):
        hand_clock.go_on(1_000)  # faster than people ask, nothing is recorded
        recommender.answer(Screen(), hello, ask(number), 0)  # type: ignore[arg-type]
        counter.send(PouredBody(nozzle=1, sauce="table-red", volume_ul=4_000, duration_ms=800))
        counter.send(PouredBody(nozzle=2, sauce="garlic-ghost", volume_ul=3_000, duration_ms=700))
        if number % 100 == 0:
            wanted = [(3 * number,)]
            await wait_until_async(lambda: rows(count) == wanted, 20, "all are stored")  # noqa: B023 -- at once
    an_event = (used_bytes(store) - empty) / 1_500
    assert empty + an_event * OFFLINE_DAYS * EVENTS_A_DAY < store.settings.quota_bytes
