"""Digests of customers seen lately: those alone whom the cloud can have in full."""

from __future__ import annotations

import pytest

from cloud_sync.published import DigestRow
from gateway import seen
from gateway.store import Store
from gateway.transaction import Transaction
from heat.events import Event, Stamp
from heat.identity import EventId
from heat.profile import BucketKey, Profile, Sums, contribution
from tests.cloud_sync.examples import POURED

DAY = 20_700
ANA, BEA, CLEO = (f"p1-{letter * 32}" for letter in "abc")


def pour(store: Store, subject: str, sequence: int, confirmed: int | None = None) -> Profile:
    """A pour, stored and folded; what it adds."""
    added = contribution(POURED, "gw-1", DAY)

    def work(tx: Transaction) -> None:
        tx.append(Event(EventId("hot-bar-1", 7, sequence), subject, Stamp(0, 0, DAY, "known"), POURED))
        tx.fold(subject, added)
        if confirmed is not None:
            tx.set_meta("confirmed", str(confirmed))

    store.write(work).result(20)
    return added


def test_whoever_is_all_in_kafka_is_told_of_newest_first(store: Store) -> None:
    once = pour(store, ANA, 1)
    pour(store, BEA, 2, confirmed=2)
    pour(store, "s-hot-bar-1-00000007-1", 3, confirmed=3)
    assert seen.digests(store).confirmed == 3, "the cloud compares with what it has up to there"
    assert [row.subject for row in seen.digests(store).rows] == [BEA, ANA]
    assert seen.digests(store).rows[1] == DigestRow(ANA, 1, once.digest("gw-1"))
    pour(store, ANA, 4)
    assert [row.subject for row in seen.digests(store).rows] == [BEA], "an event of hers waits for Kafka"
    once.fold(pour(store, ANA, 5, confirmed=5))
    both = seen.digests(store).rows[0]
    assert (both.subject, both.n) == (ANA, 3)
    assert both.digest != once.digest("gw-1")


def test_only_what_this_gateway_took_is_in_it(store: Store) -> None:
    own = pour(store, ANA, 1, confirmed=1)
    elsewhere = Profile()
    elsewhere.add(BucketKey("gw-2", DAY, "poured"), Sums(4, 4, 4, 4, (4,) + (0,) * 9))
    store.write(lambda tx: tx.fold(ANA, elsewhere)).result(20)
    assert seen.digests(store).rows == (DigestRow(ANA, 1, own.digest("gw-1")),)


def test_they_are_fifty_at_most_and_none_while_most_events_wait(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(60):
        pour(store, f"p1-{number:032x}", number + 1, confirmed=number + 1)
    rows = seen.digests(store).rows
    assert len(rows) == seen.CUSTOMERS == 50
    assert rows[0].subject == f"p1-{59:032x}"
    monkeypatch.setattr(seen, "ROWS", 10)
    for number in range(6):
        pour(store, CLEO, 61 + number)
    assert seen.digests(store) == (60, ())
