"""Which mishaps befall a dispenser, and when: drawn from a seed in virtual time, so that a run can be had again.

Each kind has a stream of its own, a Poisson process from (seed, dispenser, kind), and what a scenario sets to a time is
put between. So a schedule depends on nothing that happens, and one kind's rate moves no other kind's times.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from hw_sim.faults import FaultRates
from hw_sim.trouble import Babble, Freeze, Power, Troubles, Unplug

AtSeconds = Annotated[float, Meta(ge=0, le=31_536_000)]
"""s into the run; a year at most."""


@dataclass(frozen=True, slots=True)
class Mishap:
    """What goes wrong at a dispenser, `at_s` seconds into the run."""

    at_s: float
    trouble: Troubles


def planned(entry: dict[str, Any], dispenser: str) -> Mishap:
    """A mishap as a scenario sets it: `at_s`, what to `do`, and what that takes.

    Raises:
        msgspec.ValidationError: it can't be understood.
    """
    fields = dict(entry)
    at_s = msgspec.convert(fields.pop("at_s", None), AtSeconds)
    trouble: Troubles = msgspec.convert(fields | {"dispenser": dispenser}, Troubles)
    return Mishap(at_s, trouble)


def schedule(rates: FaultRates, set_times: Iterable[Mishap], seed: int, dispenser: str) -> Iterator[Mishap]:
    """All mishaps of a dispenser, in their order, for ever if a rate is above 0."""

    def unplug(s: float) -> Troubles:
        return Unplug(dispenser=dispenser, seconds=s)

    def power(s: float) -> Troubles:
        return Power(dispenser=dispenser, to="off", seconds=s)

    def freeze(s: float) -> Troubles:
        return Freeze(dispenser=dispenser, seconds=s)

    def babble(s: float) -> Troubles:
        return Babble(dispenser=dispenser, seconds=s)

    kinds: list[tuple[float, Callable[[float], Troubles]]] = [
        (rates.unplug_per_h, unplug),
        (rates.power_cut_per_h, power),
        (rates.freeze_per_h, freeze),
        (rates.babble_per_h, babble),
    ]
    streams = [
        _stream(per_h, rates.longest_s, make, random.Random(f"{seed}:{dispenser}:{make.__name__}"))
        for per_h, make in kinds
        if per_h
    ]
    yield from heapq.merge(sorted(set_times, key=_at), *streams, key=_at)


def _stream(per_h: float, longest_s: float, make: Callable[[float], Troubles], rng: random.Random) -> Iterator[Mishap]:
    at_s = 0.0
    while True:
        at_s += rng.expovariate(per_h / 3600)
        yield Mishap(round(at_s, 3), make(round(rng.uniform(longest_s / 10, longest_s), 3)))


def _at(mishap: Mishap) -> float:
    return mishap.at_s
