"""A hot store in Redis (6.2 or newer, or Valkey): several processes fill one, and any number read it.

    picante:profile:SUBJECT     what came: "v", version (generation, offset, day), the record's offset, topic, the value
    picante:features:SUBJECT
    picante:picks:SUBJECT       a tombstone: "t", blanks, the record's offset, topic
    picante:positions           a hash: partition -> offset of the next record

The numbers are decimal, of a fixed width, so that a script can compare them as text, whole: as Lua's numbers, those
above 2**53 would be rounded. The topic is the CRC-32 of its id, in hex. Every key but the positions expires by itself,
so `maxmemory-policy` has to be `noeviction` or one of `volatile-*`: an evicted position means that all is read again.
"""

from __future__ import annotations

import contextlib
import zlib
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from cloud.hot_store.entries import FORGOTTEN_MS, KINDS, Change, Key, Move, PositionMoved, Put
from cloud_sync.published import Version
from heat.errors import SinkRefused, SinkUnavailable

ANSWER_S = 5.0
"""s that Redis may take for an answer; a batch of 2,000 entries takes 50 ms."""
POSITIONS = "picante:positions"
AT_ONCE = 1_000
"""Keys in one command that looks for all of ours, or takes them away."""

_GENERATION, _OFFSET, _DAY = 10, 16, 10
"""Digits: 2**32, 2**53, 2**31."""
_VERSION = _GENERATION + _OFFSET + _DAY
_TOPIC = 8
_HEAD = 1 + _VERSION + _OFFSET + _TOPIC
_BLANK = " " * _VERSION

_CHANGE = f"""
local found = redis.call('GETRANGE', KEYS[1], 0, {_HEAD - 1})
local kind, version, offset, topic = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if found ~= '' then
    local was = string.sub(found, 1, 1)
    local was_version = string.sub(found, 2, {_VERSION + 1})
    local was_offset = string.sub(found, {_VERSION + 2}, {_VERSION + _OFFSET + 1})
    local same = string.sub(found, {_VERSION + _OFFSET + 2}) == topic
    if kind == 'v' and was == 'v' and version < was_version then return 0 end
    if kind == 'v' and was == 't' and same and offset <= was_offset then return 0 end
    if kind == 't' and same and offset < was_offset then return 0 end
end
redis.call('SET', KEYS[1], kind .. version .. offset .. topic .. ARGV[5])
redis.call(ARGV[6], KEYS[1], ARGV[7])
return 1
"""
_MOVE = """
for i = 1, #ARGV, 3 do
    if (redis.call('HGET', KEYS[1], ARGV[i]) or '') ~= ARGV[i + 1] then return 0 end
end
for i = 1, #ARGV, 3 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 2]) end
return 1
"""


Login = tuple[()] | tuple[str] | tuple[str, str]
"""Nothing, a password, or a user and a password."""


class RedisStore:
    """See `entries.HotStore`. Any thread may use it. Nothing is asked of Redis when it is made."""

    def __init__(self, url: str, login: Callable[[], Login] = lambda: (), tls: Mapping[str, str] | None = None) -> None:
        """`url`: redis://HOST:PORT/DB, or rediss:// with TLS. `tls`: redis-py's options with files in PEM.

        `login` is asked at each connection, so that a renewed password counts; it may raise ConfigError.
        """
        options: dict[str, Any] = dict(tls or {})
        self._client = redis.Redis.from_url(
            url,
            credential_provider=_Credentials(login),
            socket_timeout=ANSWER_S,
            socket_connect_timeout=ANSWER_S,
            retry=Retry(NoBackoff(), 0),  # the supervisor retries
            health_check_interval=15,
            client_name="picante-hot-store",
            **options,
        )
        self._where = url
        self._change = self._client.register_script(_CHANGE)
        self._move = self._client.register_script(_MOVE)

    def positions(self, names: Collection[str]) -> dict[str, int]:
        """See `entries.Filled`."""
        names = list(names)
        if not names:
            return {}
        with self._told():
            found = cast("list[bytes | None]", self._client.hmget(POSITIONS, names))
        return {name: int(text) for name, text in zip(names, found, strict=True) if text is not None}

    def put(self, changes: Sequence[Change], moves: Mapping[str, Move]) -> int:
        """See `entries.Filled`. It is two round trips: the positions may move only when all changes were made."""
        steps = [part for name, move in moves.items() for part in (name, _text(move.was), str(move.now))]
        with self._told():
            try:
                results = self._sent(changes)
            except redis.exceptions.NoScriptError:  # a Redis that was started meanwhile
                self._client.script_load(_CHANGE)
                results = self._sent(changes)
            if not self._move([POSITIONS], steps):
                raise PositionMoved
        return sum(results)

    def _sent(self, changes: Sequence[Change]) -> list[int]:
        with self._client.pipeline(transaction=False) as pipe:
            for change in changes:
                pipe.evalsha(self._change.sha, 1, *_arguments(change))
            return cast("list[int]", pipe.execute())

    def forget_positions(self, names: Collection[str] | None = None) -> None:
        """See `entries.Filled`."""
        with self._told():
            if names is None:
                self._client.delete(POSITIONS)
            elif names:
                self._client.hdel(POSITIONS, *names)

    def get_many(self, keys: Sequence[Key]) -> list[bytes | None]:
        """See `entries.Looked`."""
        if not keys:
            return []
        with self._told():
            found = cast("list[bytes | None]", self._client.mget([_name(key) for key in keys]))
        return [entry[_HEAD:] if entry is not None and entry.startswith(b"v") else None for entry in found]

    def clear(self) -> int:
        """See `entries.HotStore`. Keys that aren't ours are left alone.

        A filler at work puts anew what is taken away here, so positions go with each batch of entries, at once.
        """
        entries = 0
        with self._told():
            ours = (key for kind in KINDS for key in self._client.scan_iter(f"picante:{kind}:*", count=AT_ONCE))
            while keys := list(islice(ours, AT_ONCE)):
                with self._client.pipeline(transaction=True) as pipe:
                    pipe.unlink(*keys)
                    pipe.delete(POSITIONS)
                    entries += pipe.execute()[0]
            self._client.delete(POSITIONS)
        return entries

    def close(self) -> None:
        """Close the connections."""
        with contextlib.suppress(redis.RedisError):
            self._client.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """Raise Redis' errors as ours."""
        try:
            yield
        except redis.exceptions.NoScriptError:
            raise SinkUnavailable(f"{self._where}: forgets scripts", hint="Is it started again and again?") from None
        except (
            redis.exceptions.AuthenticationError,
            redis.exceptions.AuthorizationError,
            redis.exceptions.NoPermissionError,
        ) as error:
            hint = "Mend [hot_store] in cloud.toml: url, and the password's file"
            raise SinkRefused(f"{self._where}: Redis does not let us in: {error}", hint=hint) from error
        except redis.exceptions.OutOfMemoryError as error:
            hint = "Raise its maxmemory, or lower hot_store.customer_days"
            raise SinkUnavailable(f"{self._where}: Redis is full", hint=hint) from error
        except (redis.RedisError, OSError) as error:
            hint = "Look whether Redis runs at hot_store.url of cloud.toml; it is tried again"
            raise SinkUnavailable(f"{self._where}: {str(error).rstrip('.')}", hint=hint) from error


class _Credentials(redis.CredentialProvider):
    def __init__(self, login: Callable[[], Login]) -> None:
        self._login = login

    def get_credentials(self) -> Any:
        """See redis-py; no members mean that nobody logs in."""
        return self._login()


def _arguments(change: Change) -> tuple[str | bytes | int, ...]:
    """KEYS[1] and ARGV of the script that makes a change."""
    name, offset = _name(change.key), f"{change.offset:0{_OFFSET}}"
    topic = f"{zlib.crc32(change.topic_id.encode()):0{_TOPIC}x}"
    if isinstance(change, Put):
        return (name, "v", _head(change.version), offset, topic, change.value, "PEXPIREAT", change.expires_ms)
    return (name, "t", _BLANK, offset, topic, b"", "PEXPIRE", FORGOTTEN_MS)


def _head(version: Version) -> str:
    return f"{version.generation:0{_GENERATION}}{version.offset:0{_OFFSET}}{max(version.day, 0):0{_DAY}}"


def _name(key: Key) -> str:
    return f"picante:{key.kind}:{key.subject}"


def _text(position: int | None) -> str:
    return "" if position is None else str(position)
