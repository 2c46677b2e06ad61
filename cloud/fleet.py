"""What gateways tell of themselves -> who needs somebody, the worst first. Pure.

A gateway is heard every 30 s (`cloud_sync.pulse`). When is told by the broker's clock, so a gateway whose own is wrong
is judged like any other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum

from cloud_sync.published import Heartbeat, read_published
from cloud_sync.pulse import EVERY_S
from cloud_sync.record import Consumed

SILENT_MS = int(3 * EVERY_S * 1000)
"""ms without a heartbeat after which a gateway has fallen silent: three were missed."""
OLD_MS = 10 * 60 * 1000
"""ms for which an event may wait for Kafka."""
DISK_PERCENT = 90
"""Of the store's quota."""
FREE_MIB = 200
"""MiB left on the disk, below which the gateway's own page warns, too."""


class Trouble(IntEnum):
    """What may be wrong with a gateway; the least number is the worst."""

    SILENT = 0
    STOPPED = 1
    BACKLOG = 2
    CLOCK = 3
    DISK = 4
    REPAIRS = 5
    VERSIONS = 6


_STOPPED = {"store_broken", "store_full", "part_stopped"}
"""Repairs of gateways that take nothing in any more, or lack a part."""
_TOLD_ELSEWHERE = _STOPPED | {"clock_unknown", "clock_jumped", "disk_low", "store_filling"}


@dataclass(frozen=True, slots=True)
class Heard:
    """The last that was heard of a gateway, and when: Unix time, ms, of the broker."""

    heartbeat: Heartbeat
    at_ms: int


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that is wrong with a gateway."""

    trouble: Trouble
    what: str
    """In words, as a table shows them."""
    since_ms: int | None = None
    """Unix time, ms; None where nobody knows."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A gateway, and what is wrong with it, the worst first."""

    heard: Heard
    complaints: tuple[Complaint, ...]

    @property
    def well(self) -> bool:
        """Whether nobody needs to look after it: another version than its neighbours' is no reason."""
        return all(complaint.trouble is Trouble.VERSIONS for complaint in self.complaints)


def hear(fleet: dict[str, Heard], records: Iterable[Consumed]) -> list[Heard]:
    """Note what records of the topic say, in their order; returns the heartbeats among them."""
    heartbeats = []
    for record in records:
        name = (record.key or b"").decode(errors="replace")
        if record.value is None:
            fleet.pop(name, None)
        elif isinstance(told := read_published(record.value), Heartbeat) and told.gateway == name:
            fleet[name] = Heard(told, record.timestamp_ms)
            heartbeats.append(fleet[name])
    return heartbeats


def judge(fleet: Iterable[Heard], now_ms: int) -> list[Judged]:
    """All gateways, the worst first, and by name among equals. `now_ms`: Unix time."""
    heard = sorted(fleet, key=lambda one: one.heartbeat.gateway)
    usual = _Usual(heard)
    judged = [Judged(one, tuple(_complaints(one, now_ms, usual))) for one in heard]
    return sorted(judged, key=_rank)


def _rank(judged: Judged) -> tuple[int, int, int]:
    if not judged.complaints:
        return len(Trouble), 0, 0
    worst = judged.complaints[0]
    return worst.trouble, worst.since_ms or 2**62, -len(judged.complaints)


def _complaints(heard: Heard, now_ms: int, usual: _Usual) -> Iterator[Complaint]:
    told = heard.heartbeat
    if now_ms - heard.at_ms > SILENT_MS:
        yield Complaint(Trouble.SILENT, "silent", heard.at_ms)
    if stopped := [code for code in told.repairs if code in _STOPPED]:
        yield Complaint(Trouble.STOPPED, ", ".join(stopped))
    if told.oldest_ms is not None and heard.at_ms - told.oldest_ms > OLD_MS:
        yield Complaint(Trouble.BACKLOG, f"{told.backlog:,} events wait", told.oldest_ms)
    if told.clock != "known":
        yield Complaint(Trouble.CLOCK, "clock unknown")
    if told.disk_percent > DISK_PERCENT:
        yield Complaint(Trouble.DISK, f"store {told.disk_percent} % full")
    elif told.free_mib is not None and told.free_mib < FREE_MIB:
        yield Complaint(Trouble.DISK, f"disk has {told.free_mib} MiB left")
    if others := [code for code in told.repairs if code not in _TOLD_ELSEWHERE]:
        yield Complaint(Trouble.REPAIRS, ", ".join(others))
    if behind := usual.differing(told):
        yield Complaint(Trouble.VERSIONS, ", ".join(behind))


class _Usual:
    """What the fleet runs: the newest software, and of all else what most have."""

    def __init__(self, fleet: Sequence[Heard]) -> None:
        told = [one.heartbeat for one in fleet]
        self._newest = max((one.software for one in told), key=_number, default="")
        self._most = {
            name: Counter(getattr(one, name) for one in told).most_common(1)[0][0]
            for name in ("ranker", "catalogue", "words")
            if told
        }

    def differing(self, told: Heartbeat) -> list[str]:
        behind = [f"software {told.software}"] if _number(told.software) < _number(self._newest) else []
        return behind + [
            f"{name} {getattr(told, name) or 'none'}"
            for name, most in self._most.items()
            if getattr(told, name) != most
        ]


def _number(version: str) -> tuple[tuple[int, str], ...]:
    """A version as something to sort by: 0.10 is after 0.9, and 1.0rc1 before 1.0."""
    parts = version.partition("+")[0].split(".")
    found: list[tuple[int, str]] = []
    for part in parts:
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        found.append((int(digits or 0), part[len(digits) :] or "~"))
    return tuple(found)
