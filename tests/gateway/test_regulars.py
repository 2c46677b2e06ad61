"""Customers of other stores in the store: replaced whole, never the gateway's own buckets, and bounded."""

from __future__ import annotations

from contextlib import closing

import pytest

from gateway import regulars
from gateway.regulars import Regular
from gateway.store import Store
from gateway.transaction import read_profile
from heat.profile import BucketKey, FlavourKey, FlavourSums, Profile, Sums, merge
from heat.scale import BANDS

CUSTOMER = "p1-" + "a" * 32
OWN, OTHER, THIRD = "gw-1", "gw-2", "app"


def profile(origin: str, n: int, day: int = 20_000, tag: str = "smoky") -> Profile:
    """What `n` pours at an origin add up to."""
    made = Profile()
    made.add(BucketKey(origin, day, "poured"), Sums(n, 16 * n, 9_000 * n, 7 * n, (n, *(0,) * (BANDS - 1))))
    made.add_flavour(FlavourKey(origin, day, "poured", tag), FlavourSums(n, 16 * n))
    return made


def take(store: Store, version: tuple[int, int], *parts: Profile, subject: str = CUSTOMER, day: int = 20_000) -> bool:
    """What comes down."""
    regular = Regular(subject, *version, day, merge(parts))
    return store.write(lambda tx: regulars.take(tx, regular, 0, 1)).result(20)


def held(store: Store, subject: str = CUSTOMER) -> Profile:
    """What picks would read."""
    with closing(store.reader()) as reader:
        return read_profile(reader, subject)


@pytest.fixture
def own(store: Store) -> Profile:
    """What the customer did here."""
    sums = profile(OWN, 3)
    store.write(lambda tx: tx.fold(CUSTOMER, sums)).result(20)
    return sums


def test_buckets_of_other_origins_are_replaced_and_own_ones_stay(store: Store, own: Profile) -> None:
    assert take(store, (1, 10), profile(OTHER, 1), profile(THIRD, 1), profile(OWN, 2))
    assert held(store) == merge([own, profile(OTHER, 1), profile(THIRD, 1)])
    assert take(store, (1, 11), profile(OTHER, 5, day=20_001, tag="fruity"), profile(OWN, 99))
    assert held(store) == merge([own, profile(OTHER, 5, day=20_001, tag="fruity")])


def test_the_same_again_or_an_older_one_changes_nothing(store: Store, own: Profile) -> None:
    take(store, (2, 10), profile(OTHER, 4))
    for version in ((2, 10), (2, 9), (1, 99)):
        assert not take(store, version, profile(OTHER, 1))
    assert held(store) == merge([own, profile(OTHER, 4)])
    assert take(store, (3, 1), profile(OTHER, 1)), "a higher generation wins, whatever its offset"
    assert held(store) == merge([own, profile(OTHER, 1)])


def test_what_only_this_gateway_added_to_costs_no_commit(store: Store, own: Profile) -> None:
    take(store, (1, 10), profile(OTHER, 4), own)
    commits = store.figures.commits
    assert not take(store, (1, 11), profile(OTHER, 4), profile(OWN, 4))
    assert store.figures.commits == commits


def test_a_tombstone_takes_what_came_down_and_nothing_else(store: Store, own: Profile) -> None:
    take(store, (1, 10), profile(OTHER, 4))
    assert store.write(lambda tx: regulars.remove(tx, CUSTOMER)).result(20)
    assert held(store) == own
    assert not store.write(lambda tx: regulars.remove(tx, CUSTOMER)).result(20)
    assert take(store, (1, 1), profile(OTHER, 1)), "who comes back after it begins anew"


def test_whom_a_snapshot_does_not_name_is_gone(store: Store) -> None:
    names = [f"p1-{digit * 32}" for digit in "abc"]
    for name in names:
        take(store, (1, 1), profile(OTHER, 1), subject=name)
    again = Regular(names[1], 1, 1, 20_000, profile(OTHER, 1))
    elsewhere = Regular(names[2], 1, 1, 20_000, profile(OTHER, 1))

    store.write(lambda tx: (regulars.take(tx, again, 0, 2), regulars.take(tx, elsewhere, 1, 1))).result(20)
    assert store.write(lambda tx: regulars.remove_unnamed(tx, 0, 2)).result(20) == 1
    assert [bool(held(store, name).buckets) for name in names] == [False, True, True]


def test_who_was_seen_longest_ago_goes_first_and_the_share_holds(store: Store) -> None:
    names = [f"p1-{number:032x}" for number in range(20)]
    for number, name in enumerate(names):
        take(store, (1, 1), profile(OTHER, 1), subject=name, day=20_000 + number)
    each = regulars.REGULAR_BYTES + regulars.BUCKET_BYTES + regulars.FLAVOUR_BYTES
    assert store.write(lambda tx: regulars.used_bytes(tx.connection)).result(20) == 20 * each
    assert store.write(lambda tx: regulars.evict(tx, 8 * each)).result(20) == 12
    assert [bool(held(store, name).buckets) for name in names] == [False] * 12 + [True] * 8
    assert store.write(lambda tx: regulars.used_bytes(tx.connection)).result(20) == 8 * each
    assert store.write(lambda tx: regulars.evict(tx, 8 * each)).result(20) == 0


def test_what_a_customer_takes_is_about_what_the_share_counts(store: Store) -> None:
    """By SQLite's own count of pages, for customers of 30 buckets and as many flavours."""
    big = merge(profile(f"gw-store-{n}", 1_000, day=20_000 + n) for n in range(30))
    for number in range(100):
        take(store, (1, 1), big, subject=f"p1-{number:032x}")
    counted = store.write(lambda tx: regulars.used_bytes(tx.connection)).result(20)
    tables = "('buckets', 'flavours', 'regulars', 'regulars_by_day')"
    with closing(store.reader()) as reader:
        pages = reader.execute(f"SELECT sum(pgsize) FROM dbstat WHERE name IN {tables}").fetchone()[0]  # noqa: S608
    assert 0.7 < counted / pages < 1.4
