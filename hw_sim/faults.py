"""A bad line, on purpose: frames lost, doubled, damaged, by chance from a seed."""

from __future__ import annotations

import random
from typing import Annotated

import msgspec
from msgspec import Meta

GARBAGE_BYTES = 96
"""The longest piece of noise."""
ZERO_SHARE = 0.5
"""Share of pieces of noise with a zero, which ends a frame on serial, put into them."""
Share = Annotated[float, Meta(ge=0, le=1)]


class FaultRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often a frame is lost, doubled, or has one bit turned; each a share of all frames."""

    drop: Share = 0.0
    duplicate: Share = 0.0
    corrupt: Share = 0.0


class Faults:
    """The faults of one line, the same ones for the same seed."""

    def __init__(self, rates: FaultRates, seed: str) -> None:
        self.dropped = self.duplicated = self.corrupted = 0
        self._rates = rates
        self._rng = random.Random(seed)

    def pass_on(self, frame: bytes) -> list[bytes]:
        """What comes out of the line where `frame` went in: nothing, one frame, or two."""
        if self._happens(self._rates.drop):
            self.dropped += 1
            return []
        if self._happens(self._rates.corrupt):
            self.corrupted += 1
            frame = self._turn_a_bit(frame)
        if self._happens(self._rates.duplicate):
            self.duplicated += 1
            return [frame, frame]
        return [frame]

    def garbage(self) -> bytes:
        """What a babbling UART, or a broken network chip, sends: noise, with a zero here and there."""
        noise = bytearray(self._rng.randbytes(self._rng.randint(1, GARBAGE_BYTES)))
        if self._rng.random() < ZERO_SHARE:
            noise[self._rng.randrange(len(noise))] = 0
        return bytes(noise)

    def _happens(self, rate: float) -> bool:
        return rate > 0 and self._rng.random() < rate

    def _turn_a_bit(self, frame: bytes) -> bytes:
        damaged = bytearray(frame)
        damaged[self._rng.randrange(len(frame))] ^= 1 << self._rng.randrange(8)
        return bytes(damaged)
