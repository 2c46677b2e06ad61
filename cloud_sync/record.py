"""One Kafka record, whatever it carries: on its way out, and as it was read."""

from __future__ import annotations

from dataclasses import dataclass

Headers = tuple[tuple[str, bytes | None], ...]
"""In their order; a name may stand more than once."""


@dataclass(frozen=True, slots=True)
class Record:
    """What a topic is given. Records with equal keys share a partition, and so keep their order."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    timestamp_ms: int | None = None
    """Unix time, ms; None: now. Of no account where the broker stamps the topic's records."""
    partition: int | None = None
    """None: the one that the key says."""

    @property
    def size_bytes(self) -> int:
        """An upper bound of the record's size in a batch, before compression."""
        return _size_bytes(self.key, self.value, self.headers)

    def with_header(self, name: str, value: bytes) -> Record:
        """This record with one header more."""
        return Record(self.topic, self.key, self.value, (*self.headers, (name, value)))


@dataclass(frozen=True, slots=True)
class Consumed:
    """A record as a reader got it, nothing interpreted."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int
    """Unix time, ms: the broker's, or the writer's, as the topic has it."""
    key: bytes | None
    value: bytes | None
    """None: a tombstone."""
    headers: Headers

    @property
    def size_bytes(self) -> int:
        """As in `Record`."""
        return _size_bytes(self.key, self.value, self.headers)


def _size_bytes(key: bytes | None, value: bytes | None, headers: Headers) -> int:
    names = sum(len(name.encode(errors="replace")) + len(content or b"") + 10 for name, content in headers)
    return len(key or b"") + len(value or b"") + names + 40
