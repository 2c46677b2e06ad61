"""A bad line, on purpose: frames lost, doubled, damaged, by chance from a seed; and how often worse things happen."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

GARBAGE_BYTES = 96
"""The longest piece of noise."""
ZERO_SHARE = 0.5
"""Share of pieces of noise with a zero, which ends a frame on serial, put into them."""
Share = Annotated[float, Meta(ge=0, le=1)]
PerHour = Annotated[float, Meta(ge=0, le=36_000)]


class FaultRates(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How often things go wrong: shares of a line's frames, and how many times an hour at each dispenser."""

    drop: Share = 0.0
    """Frames that are lost."""
    duplicate: Share = 0.0
    """Frames that come twice."""
    corrupt: Share = 0.0
    """Frames with one bit turned."""
    unplug_per_h: PerHour = 0.0
    power_cut_per_h: PerHour = 0.0
    freeze_per_h: PerHour = 0.0
    babble_per_h: PerHour = 0.0
    longest_s: Annotated[float, Meta(gt=0, le=3_600)] = 10.0
    """Seconds that cable, power or firmware are away, or babble, at the longest; a tenth of it at least."""


def _forget(fault: str, **more: Any) -> None:
    pass


class Faults:
    """The faults of one line's frames. What befalls frame n depends on the seed and n alone; `note` hears of it."""

    def __init__(self, rates: FaultRates, seed: str, note: Callable[..., None] = _forget) -> None:
        self.dropped = self.duplicated = self.corrupted = 0
        self._rates = rates
        self._seed = seed
        self._note = note
        self._frames = 0
        self._noise = random.Random(f"{seed}:noise")

    def pass_on(self, frame: bytes) -> list[bytes]:
        """What comes out of the line where `frame` went in: nothing, one frame, or two."""
        rates = self._rates
        if not (rates.drop or rates.duplicate or rates.corrupt):
            return [frame]
        self._frames += 1
        rng = random.Random(f"{self._seed}:{self._frames}")
        if rng.random() < rates.drop:
            self.dropped += 1
            self._note("drop", frame=self._frames)
            return []
        if rng.random() < rates.corrupt:
            self.corrupted += 1
            self._note("corrupt", frame=self._frames)
            frame = _turn_a_bit(frame, rng)
        if rng.random() < rates.duplicate:
            self.duplicated += 1
            self._note("duplicate", frame=self._frames)
            return [frame, frame]
        return [frame]

    def garbage(self) -> bytes:
        """What a babbling UART, or a broken network chip, sends: noise, with a zero here and there."""
        noise = bytearray(self._noise.randbytes(self._noise.randint(1, GARBAGE_BYTES)))
        if self._noise.random() < ZERO_SHARE:
            noise[self._noise.randrange(len(noise))] = 0
        return bytes(noise)


def _turn_a_bit(frame: bytes, rng: random.Random) -> bytes:
    damaged = bytearray(frame)
    damaged[int(rng.random() * len(frame))] ^= 1 << rng.randrange(8)
    return bytes(damaged)
