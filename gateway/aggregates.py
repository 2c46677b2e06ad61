"""Sensor values summed up by the minute: integers that merge, and the bytes in which they are stored. Pure.

A minute of one dispenser is stored as MessagePack: `[[channel, nozzle, n, sum, least, most, last], ...]`, and
`[channel, nozzle, n, value]` for a sensor that said the same all along, as an idle flow meter does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import msgspec

from firmware_bridge.messages import Channel

MINUTE_MS = 60_000
HOUR_MS = 3_600_000
CONSTANT = 4
"""Items of an entry whose values were all the same."""


class Sensor(NamedTuple):
    """What is measured, and where; nozzle 0 is the whole dispenser."""

    channel: int
    nozzle: int


FLOW, LEVEL, TEMPERATURE, DOOR, TRAY = (
    *(Channel.FLOW, Channel.LEVEL, Channel.TEMPERATURE),
    *(Channel.DOOR, Channel.DRIP_TRAY),
)


@dataclass(slots=True)
class Aggregate:
    """Values of one sensor, in its unit (`firmware_bridge.messages.Channel`). `n` is at least 1."""

    n: int
    sum: int
    least: int
    most: int
    last: int

    @classmethod
    def of(cls, values: Sequence[int]) -> Aggregate:
        """Of values in their order; there is one at least."""
        return cls(len(values), sum(values), min(values), max(values), values[-1])

    def merge(self, later: Aggregate) -> None:
        """Add values that came later."""
        self.n += later.n
        self.sum += later.sum
        self.least = min(self.least, later.least)
        self.most = max(self.most, later.most)
        self.last = later.last

    @property
    def mean(self) -> float:
        """The mean of the values."""
        return self.sum / self.n

    @property
    def constant(self) -> bool:
        """Whether all values were the same."""
        return self.least == self.most


Sums = dict[Sensor, Aggregate]


def merge(into: Sums, later: Mapping[Sensor, Aggregate]) -> None:
    """Add a later stretch of time."""
    for sensor, aggregate in later.items():
        if (present := into.get(sensor)) is None:
            into[sensor] = Aggregate(aggregate.n, aggregate.sum, aggregate.least, aggregate.most, aggregate.last)
        else:
            present.merge(aggregate)


def encode(sums: Mapping[Sensor, Aggregate]) -> bytes:
    """A minute as it is stored."""
    return msgspec.msgpack.encode([_entry(sensor, a) for sensor, a in sums.items()])


def decode(body: bytes) -> Sums:
    """A stored minute. Raises ValueError where it is none: the file is damaged."""
    try:
        entries: Iterable[list[int]] = _entries.decode(body)
        return {Sensor(entry[0], entry[1]): _aggregate(entry[2:]) for entry in entries}
    except (msgspec.DecodeError, IndexError) as error:
        raise ValueError(str(error)) from error


_entries = msgspec.msgpack.Decoder(list[list[int]])


def _entry(sensor: Sensor, a: Aggregate) -> tuple[int, ...]:
    if a.constant:
        return (*sensor, a.n, a.last)
    return (*sensor, a.n, a.sum, a.least, a.most, a.last)


def _aggregate(numbers: list[int]) -> Aggregate:
    if len(numbers) == CONSTANT - 2:
        n, value = numbers
        return Aggregate(n, n * value, value, value, value)
    n, total, least, most, last = numbers
    return Aggregate(n, total, least, most, last)
