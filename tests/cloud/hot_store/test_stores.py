"""What every hot store does: the one in this process, and Redis."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from cloud.hot_store.entries import Forget, HotStore, Key, Move, PositionMoved, Put
from cloud.hot_store.memory import MemoryStore
from cloud.hot_store.redis_store import RedisStore
from cloud_sync.published import Version
from tests.servers import RedisServer
from tests.waiting import wait_until

SUBJECT = f"p1-{7:032x}"
KEY = Key("profile", SUBJECT)
HOUR_MS = 3_600_000
TENTH = Version(1, 10)


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> Iterator[HotStore]:
    """Either store, empty."""
    found: HotStore = MemoryStore() if request.param == "memory" else RedisStore(request.getfixturevalue("redis").url)
    yield found
    found.close()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _put(value: bytes, version: Version = TENTH, offset: int = 5, *, key: Key = KEY, lives_ms: int = HOUR_MS) -> Put:
    return Put(key, offset, version, value, _now_ms() + lives_ms)


def test_what_is_put_is_found_and_no_more(store: HotStore) -> None:
    assert store.put([_put(b"profile"), _put(b"picks", key=Key("picks", SUBJECT))], {}) == 2
    keys = [Key("picks", SUBJECT), Key("features", SUBJECT), KEY, Key("profile", f"p1-{8:032x}")]
    assert store.get_many(keys) == [b"picks", None, b"profile", None]
    assert store.get_many([]) == []


@pytest.mark.parametrize(
    ("first", "second", "stays"),
    [
        (Version(1, 10), Version(1, 9), True),
        (Version(1, 10), Version(1, 10), False),
        (Version(1, 10), Version(1, 11), False),
        (Version(1, 9), Version(1, 10), False),  # text would have it otherwise
        (Version(2, 0), Version(1, 10**12), True),
        (Version(9, 5), Version(10, 5), False),
        (Version(1, 10, 20_000), Version(1, 10, 19_999), True),
        (Version(1, 10, 20_000), Version(1, 11, 0), False),
        (Version(1, 2**53 - 1), Version(1, 2**53 - 2), True),
        (Version(1, 2**53 - 2), Version(1, 2**53 - 1), False),
    ],
)
def test_a_lower_version_never_replaces_a_higher_one(
    store: HotStore, first: Version, second: Version, stays: bool
) -> None:
    store.put([_put(b"first", first)], {})
    assert store.put([_put(b"second", second, offset=6)], {}) == (not stays)
    assert store.get_many([KEY]) == [b"first" if stays else b"second"]


def test_any_bytes_and_any_size_come_back(store: HotStore) -> None:
    values = [b"", bytes(range(256)), "ä\r\n\x00".encode(), b"x" * 900_000]
    keys = [Key("picks", f"p1-{n:032x}") for n in range(len(values))]
    store.put([_put(value, key=key) for key, value in zip(keys, values, strict=True)], {})
    assert store.get_many(keys) == values


def test_an_entry_expires_at_its_time_and_a_newer_one_sets_another(store: HotStore) -> None:
    other = Key("profile", f"p1-{9:032x}")
    store.put([_put(b"short", lives_ms=150), _put(b"short", key=other, lives_ms=150)], {})
    store.put([_put(b"long", Version(1, 11), lives_ms=HOUR_MS, key=other)], {})
    wait_until(lambda: store.get_many([KEY]) == [None], 5, "the entry expired")
    assert store.get_many([other]) == [b"long"]
    assert store.put([_put(b"of a lower version", Version(1, 1))], {}) == 1  # nothing is there to be older than


def test_what_expired_before_it_came_is_not_there(store: HotStore) -> None:
    store.put([_put(b"late", lives_ms=-1)], {})
    assert store.get_many([KEY]) == [None]


def test_a_tombstone_holds_against_what_was_written_before_it(store: HotStore) -> None:
    store.put([_put(b"value", offset=5), Forget(KEY, 7)], {})
    assert store.get_many([KEY]) == [None]
    assert store.put([_put(b"again", Version(1, 99), offset=6)], {}) == 0
    assert store.put([_put(b"again", Version(1, 99), offset=7)], {}) == 0
    assert store.get_many([KEY]) == [None]
    assert store.put([_put(b"came back", Version(1, 2), offset=8)], {}) == 1
    assert store.get_many([KEY]) == [b"came back"]


def test_a_tombstone_read_again_spares_what_was_written_after_it(store: HotStore) -> None:
    store.put([Forget(KEY, 7), _put(b"came back", offset=8)], {})
    assert store.put([Forget(KEY, 7)], {}) == 0
    assert store.get_many([KEY]) == [b"came back"]
    assert store.put([Forget(KEY, 9)], {}) == 1
    assert store.get_many([KEY]) == [None]


def test_offsets_of_a_topic_made_anew_are_not_compared_with_the_earlier_ones(store: HotStore) -> None:
    store.put([Forget(KEY, 700, "earlier")], {})
    came_back = _put(b"came back", Version(1, 2), offset=3)._replace(topic_id="anew")
    assert store.put([came_back], {}) == 1
    assert store.get_many([KEY]) == [b"came back"]
    store.put([_put(b"value", Version(1, 3), offset=700)._replace(topic_id="earlier")], {})
    assert store.put([Forget(KEY, 4, "anew")], {}) == 1
    assert store.get_many([KEY]) == [None]
    assert store.put([_put(b"older", offset=4)._replace(topic_id="anew")], {}) == 0


def test_positions_move_from_where_they_were_left(store: HotStore) -> None:
    assert store.positions(["a", "b"]) == {}
    assert store.positions([]) == {}
    store.put([], {"a": Move(None, 3), "b": Move(None, 0)})
    store.put([], {"a": Move(3, 2**53 - 1)})
    assert store.positions(["a", "b", "c"]) == {"a": 2**53 - 1, "b": 0}


@pytest.mark.parametrize("was", [None, 2, 4])
def test_no_position_moves_if_one_is_elsewhere_and_what_was_put_stays(store: HotStore, was: int | None) -> None:
    store.put([], {"a": Move(None, 3), "b": Move(None, 3)})
    with pytest.raises(PositionMoved):
        store.put([_put(b"value")], {"b": Move(3, 9), "a": Move(was, 9)})
    assert store.positions(["a", "b"]) == {"a": 3, "b": 3}
    assert store.get_many([KEY]) == [b"value"]


def test_positions_are_forgotten_some_or_all(store: HotStore) -> None:
    store.put([_put(b"value")], {name: Move(None, 1) for name in "abc"})
    store.forget_positions([])
    store.forget_positions(["a", "z"])
    assert store.positions(list("abc")) == {"b": 1, "c": 1}
    store.forget_positions()
    assert store.positions(list("abc")) == {}
    assert store.get_many([KEY]) == [b"value"]
    store.put([], {"a": Move(None, 5)})


def test_cleared_it_has_neither_entries_nor_positions_nor_tombstones(store: HotStore) -> None:
    others = [Key("picks", f"p1-{n:032x}") for n in range(30)]
    store.put([_put(b"value", key=key) for key in others], {"a": Move(None, 1)})
    store.put([Forget(KEY, 70)], {})
    store.clear()
    assert store.get_many(others) == [None] * 30
    assert store.positions(["a"]) == {}
    assert store.put([_put(b"value", offset=5)], {}) == 1


# -- one of them alone --------------------------------------------------------------------------------------------


def test_memory_is_bounded_and_what_was_written_longest_ago_goes() -> None:
    store = MemoryStore(max_entries=3)
    keys = [Key("picks", f"p1-{n:032x}") for n in range(5)]
    store.put([_put(b"value", key=key) for key in keys[:3]], {})
    store.put([_put(b"anew", Version(1, 11), key=keys[0]), *(_put(b"value", key=key) for key in keys[3:])], {})
    assert store.get_many(keys) == [b"anew", None, None, b"value", b"value"]


def test_memory_is_bounded_by_bytes_and_counts_each_once() -> None:
    store = MemoryStore(max_bytes=3_000)
    keys = [Key("picks", f"p1-{n:032x}") for n in range(4)]
    for offset in range(9):  # what is replaced, forgotten, expired or cleared takes no room
        store.put([_put(b"x" * 1_000, Version(1, offset), key=keys[0])], {})
        store.put([_put(b"x" * 2_000, key=keys[1]), Forget(keys[1], 5)], {})
        store.put([_put(b"x" * 2_000, key=keys[2], lives_ms=-1)], {})
        assert store.get_many(keys[:3]) == [b"x" * 1_000, None, None]
        store.put([Forget(keys[1], 6)], {})
    store.clear()
    store.put([_put(b"x" * 1_000, key=key) for key in keys[:3]], {})
    assert None not in store.get_many(keys[:3])
    store.put([_put(b"x" * 1_500, key=keys[3])], {})
    assert store.get_many(keys) == [None, None, b"x" * 1_000, b"x" * 1_500]


def test_in_a_full_memory_what_has_expired_goes_before_what_has_not() -> None:
    now = [1_000_000]
    store = MemoryStore(max_entries=3, now_ms=lambda: now[0])
    keys = [Key("picks", f"p1-{n:032x}") for n in range(5)]
    store.put([Put(keys[0], 5, TENTH, b"customer", 10**12)], {})
    store.put([Put(key, 5, TENTH, b"session", now[0] + 1) for key in keys[1:3]], {})
    now[0] += 1
    store.put([Put(key, 5, TENTH, b"customer", 10**12) for key in keys[3:]], {})
    assert store.get_many(keys) == [b"customer", None, None, b"customer", b"customer"]


def test_memory_forgets_a_tombstone_after_an_hour() -> None:
    now = [1_000_000]
    store = MemoryStore(now_ms=lambda: now[0])
    store.put([Forget(KEY, 7)], {})
    late = Put(KEY, 5, Version(1, 1), b"value", 10**12)
    assert store.put([late], {}) == 0
    now[0] += HOUR_MS
    assert store.put([late], {}) == 1


def test_redis_forgets_by_itself_all_but_positions(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    store.put([_put(b"value"), Forget(Key("picks", SUBJECT), 7)], {"a": Move(None, 1)})
    client = store._client
    assert HOUR_MS - 60_000 < client.pttl(f"picante:profile:{SUBJECT}") <= HOUR_MS
    assert HOUR_MS - 60_000 < client.pttl(f"picante:picks:{SUBJECT}") <= HOUR_MS
    assert client.pttl("picante:positions") == -1
    store.close()


def test_redis_leaves_the_keys_of_others_alone(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    store._client.set("shop:profile:1", b"theirs")
    store.put([_put(b"value")], {"a": Move(None, 1)})
    assert store.clear() == 1
    assert store._client.keys() == [b"shop:profile:1"]
    store.close()
