"""What comes down, into a real store, without a Kafka: pieces and their marks, and the share that profiles may take."""

from __future__ import annotations

import asyncio
import contextlib
from contextlib import closing

import pytest

from cloud_sync.kafka_reader import Arrived
from cloud_sync.resume import Anew, GoOn, Log, Mark, Place, anew, decide
from cloud_sync.topics import DAY_MS, PROFILES, RELEASES
from gateway import shelf
from gateway.clock import Clock
from gateway.downlink import StoreInbox, Wanted
from gateway.shelf import Kept
from gateway.store import Store
from tests.gateway.conftest import NOON_MS
from tests.gateway.test_downlink import REGION, customer, record
from tests.gateway.test_regulars import OTHER, profile
from tests.waiting import wait_until_async

PLACE, RELEASED = Place(PROFILES.name, 0), Place(RELEASES.name, 0)
CUSTOMERS = 10
LOG = Log("cluster", 0, CUSTOMERS)


@pytest.fixture
def in_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each record makes a piece."""
    monkeypatch.setattr("gateway.downlink.PIECE_ROWS", 0)


def said(regions: list[str]) -> list[Arrived]:
    """Records of one customer each."""
    return [
        Arrived(n, NOON_MS, customer(n).encode(), record(profile(OTHER, 1), region=region))
        for n, region in enumerate(regions)
    ]


def snapshot(inbox: StoreInbox) -> Mark:
    """A snapshot that was read to its end."""
    begun = anew(None, LOG, inbox.scope(PROFILES.name), "", NOON_MS).mark
    return begun.after(CUSTOMERS, CUSTOMERS - 1, NOON_MS)


def count(store: Store) -> int:
    """Customers that are here."""
    with closing(store.reader()) as reader:
        return int(reader.execute("SELECT count(*) FROM regulars").fetchone()[0])


def inbox_of(store: Store, clock: Clock, share_percent: int = 10) -> StoreInbox:
    """What a start of the daemon makes."""
    return StoreInbox(store, clock, Wanted(REGION, share_percent))


@pytest.mark.usefixtures("in_pieces")
async def test_where_the_process_ends_between_two_pieces_the_rest_is_read_again(
    store: Store, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.downlink.PAUSE_S", 60.0)
    inbox, records = inbox_of(store, clock), said([REGION] * CUSTOMERS)
    taking = asyncio.create_task(inbox.take(PLACE, records, snapshot(inbox)))
    await wait_until_async(lambda: count(store) == 1, 5, "the first piece is here")
    taking.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await taking
    again = inbox_of(store, clock)
    mark = await again.mark(PLACE)
    assert mark is not None
    assert (mark.next, mark.witness, mark.until, mark.whole) == (1, 0, CUSTOMERS, False)
    monkeypatch.setattr("gateway.downlink.PAUSE_S", 0.0)
    await again.take(PLACE, records[mark.next :], mark.after(CUSTOMERS, CUSTOMERS - 1, NOON_MS))
    assert count(store) == CUSTOMERS


@pytest.mark.usefixtures("in_pieces")
async def test_a_snapshot_whose_last_piece_changes_nothing_is_whole_all_the_same(store: Store, clock: Clock) -> None:
    inbox = inbox_of(store, clock)
    await inbox.take(PLACE, said([REGION, "north"]), snapshot(inbox))
    mark = await inbox.mark(PLACE)
    assert mark is not None
    assert (mark.until, mark.next, mark.read_ms) == (None, CUSTOMERS, NOON_MS)
    assert isinstance(decide(mark, LOG, inbox.scope(PROFILES.name), NOON_MS + 120 * DAY_MS), Anew)


async def _visit(store: Store, clock: Clock, share_percent: int) -> bool:
    """A start that reads all there is for it, and a release topic without releases. Whether it read profiles anew."""
    inbox = inbox_of(store, clock, share_percent)
    scope, how = inbox.scope(PROFILES.name), None
    if share_percent:
        how = decide(await inbox.mark(PLACE), LOG, scope, NOON_MS)
        records = said([REGION] * CUSTOMERS) if isinstance(how, Anew) else []
        await inbox.take(PLACE, records, how.mark.after(CUSTOMERS, CUSTOMERS - 1, NOON_MS))
    released = anew(await inbox.mark(RELEASED), Log("cluster", 0, 0), inbox.scope(RELEASES.name), "", NOON_MS)
    await inbox.take(RELEASED, [], released.mark)
    return isinstance(how, Anew)


@pytest.mark.parametrize("smaller", [0, 1])
async def test_a_share_on_trial_costs_no_regulars_and_a_larger_one_brings_them_back(
    store: Store, clock: Clock, smaller: int
) -> None:
    store.settings.quota_bytes = 100_000
    assert await _visit(store, clock, 10)
    assert count(store) == CUSTOMERS
    tried = Kept("configuration", "all", 1, "0" * 64, b"", None)
    store.write(lambda tx: shelf.use(tx, tried, NOON_MS, on_trial=True)).result(20)
    await _visit(store, clock, smaller)
    assert count(store) == CUSTOMERS, "it may be taken back"
    store.write(lambda tx: shelf.pass_trial(tx, "configuration")).result(20)
    await _visit(store, clock, smaller)
    assert count(store) < CUSTOMERS
    assert await _visit(store, clock, 10), "the scope has changed"
    assert count(store) == CUSTOMERS
    assert not await _visit(store, clock, 10)


async def test_profiles_go_on_where_they_were_while_the_share_stays(store: Store, clock: Clock) -> None:
    await _visit(store, clock, 10)
    again = inbox_of(store, clock)
    assert isinstance(decide(await again.mark(PLACE), LOG, again.scope(PROFILES.name), NOON_MS), GoOn)
