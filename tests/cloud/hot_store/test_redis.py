"""The hot store's Redis that is gone, comes back, is full, or lets nobody in."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from cloud.hot_store.entries import Key, Move, Put
from cloud.hot_store.redis_store import RedisStore
from cloud_sync.published import Version
from heat.errors import SinkRefused, SinkUnavailable
from tests.servers import RedisServer

KEY = Key("profile", f"p1-{7:032x}")


def _put(value: bytes = b"value") -> Put:
    return Put(KEY, 5, Version(1, 10), value, time.time_ns() // 1_000_000 + 3_600_000)


def test_without_redis_all_raise_what_is_tried_again(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    redis.kill()
    calls = (
        lambda: store.positions(["a"]),
        lambda: store.put([_put()], {}),
        store.forget_positions,
        lambda: store.get_many([KEY]),
        store.clear,
    )
    for call in calls:
        with pytest.raises(SinkUnavailable, match=r"hot_store\.url") as caught:
            call()
        assert not isinstance(caught.value, SinkRefused)
    store.close()


def test_what_redis_had_is_there_when_it_is_back_and_scripts_are_sent_again(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    store.put([_put()], {"a": Move(None, 1)})
    redis.kill()
    redis.start()
    assert store.get_many([KEY]) == [b"value"]
    store._client.script_flush()
    assert store.put([_put(b"anew")], {"a": Move(1, 2)}) == 1
    assert store.get_many([KEY]) == [b"anew"]
    store.close()


def test_a_full_redis_is_told_and_moves_no_position(redis: RedisServer) -> None:
    store = RedisStore(redis.url)
    store.put([], {"a": Move(None, 1)})
    store._client.config_set("maxmemory", "1mb")
    with pytest.raises(SinkUnavailable, match="Redis is full"):
        store.put([_put(b"x" * 1_000_000)] * 3, {"a": Move(1, 2)})
    store._client.config_set("maxmemory", "0")
    assert store.positions(["a"]) == {"a": 1}
    store.close()


def test_where_one_change_of_many_is_refused_no_position_moves(redis: RedisServer) -> None:
    """So it is with a Redis that is full for a large profile, and has room for a position."""
    store = RedisStore(redis.url)
    store._client.hset(f"picante:profile:{KEY.subject}", "a", "hash, which no entry is")
    other = KEY._replace(kind="picks")
    with pytest.raises(SinkUnavailable, match="WRONGTYPE"):
        store.put([_put(), _put()._replace(key=other)], {"a": Move(None, 1)})
    assert store.get_many([other]) == [b"value"]
    assert store.positions(["a"]) == {}
    store.close()


def test_a_password_lets_in_and_is_never_told(tmp_path: Path) -> None:
    with RedisServer(tmp_path / "locked", password="sesame-of-the-shop") as server:
        given: list[str] = ["wrong-word"]
        store = RedisStore(server.url, lambda: (given[0],))
        with pytest.raises(SinkRefused, match=r"\[hot_store\]") as caught:
            store.put([_put()], {})
        assert "wrong-word" not in str(caught.value)
        given[0] = "sesame-of-the-shop"  # its file was mended
        store.put([_put()], {})
        assert store.get_many([KEY]) == [b"value"]
        assert "sesame" not in repr(store)
        store.close()
        nobody = RedisStore(server.url)
        with pytest.raises(SinkRefused):
            nobody.get_many([KEY])
        nobody.close()
