"""A dispenser's persistent ring of events: one file of fixed slots. An event leaves it by ACK, or by overflow.

    offset   size
    0        128    header, copy A
    128      128    header, copy B
    4096     256 n  n slots; sequence s lives in slot (s - 1 + shift) % n

The two header copies are written in turn, each with a counter and a CRC-32: whoever reads the file (`read_header`), or
opens it after the simulator was killed, takes the newest copy that is whole. A slot is filled before the header that
makes it count is written, so a kill between the two leaves the ring as it was. A new generation renumbers what the
ring holds by moving `shift`, which is one header as well.

A full ring drops its oldest page, a sixteenth of its slots, as flash is erased by pages. The room that makes lets the
dispenser tell the gateway about the loss before the next one.
"""

from __future__ import annotations

import mmap
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

from heat.errors import ConfigError
from hw_sim.power import PowerCut

SLOT_BYTES = 256
"""Bytes a slot; the longest event body takes 205: a customer's own words."""
SLOTS_OFFSET = 4096
PAGES = 16
"""Pages in a ring; one is dropped at a time."""

_MAGIC = b"PICRING1"
_COPY_BYTES = 128
_HEADER = struct.Struct("<8sQIIQQIIQQQI")
_CRC = struct.Struct("<I")
_SLOT = struct.Struct("<QIIBxH")
_BODY_BYTES = SLOT_BYTES - _SLOT.size


@dataclass(frozen=True, slots=True)
class Record:
    """One event as the ring keeps it; `body` is its CBOR map."""

    boot: int
    uptime_ms: int
    session: int
    kind: int
    body: bytes


@dataclass(frozen=True, slots=True)
class RingHeader:
    """What a ring holds and has held. `generated`, `acked`, `dropped` count over all its generations."""

    capacity: int
    generation: int
    next: int
    """The sequence that the next event gets."""
    lowest: int
    """The lowest sequence held; equal to `next` when the ring is empty."""
    boot: int
    sessions: int
    """The customer session numbers given out so far."""
    generated: int = 0
    acked: int = 0
    dropped: int = 0
    shift: int = 0

    @property
    def held(self) -> int:
        """Events in the ring."""
        return self.next - self.lowest


class Ring:
    """The ring, open for its one writer. Opening counts as a boot of the dispenser."""

    def __init__(self, path: Path, memory: mmap.mmap, header: RingHeader, counter: int) -> None:
        self._path = path
        self._memory = memory
        self._counter = counter
        self._cut_after: int | None = None
        self.header = header

    @classmethod
    def open(cls, path: Path, capacity: int, new_generation: Callable[[], int]) -> Self:
        """Open the ring in `path`, or create it with a generation from `new_generation`.

        Raises:
            ConfigError: the file is no ring, or one of another capacity.
        """
        if not path.exists():
            _create(path, RingHeader(capacity, new_generation(), next=1, lowest=1, boot=0, sessions=0))
        with path.open("r+b") as file:
            memory = mmap.mmap(file.fileno(), 0)
        counter, header = _newest(memory[: 2 * _COPY_BYTES], path)
        if header.capacity != capacity or len(memory) != SLOTS_OFFSET + capacity * SLOT_BYTES:
            memory.close()
            raise ConfigError(
                f"the ring in {path} has {header.capacity} slots, not {capacity}",
                hint="Give it its old capacity again, or delete it with the events that it holds",
            )
        ring = cls(path, memory, header, counter)
        ring.reboot()
        return ring

    def reboot(self) -> None:
        """Read the header anew, as firmware does at each start, and count the boot: what RAM believed is gone."""
        self._cut_after = None
        self._counter, header = _newest(self._memory[: 2 * _COPY_BYTES], self._path)
        self._publish(replace(header, boot=header.boot + 1))

    def append(self, record: Record) -> int:
        """Keep an event and return its sequence. A full ring drops its oldest page first.

        Raises:
            ValueError: the body does not fit into a slot.
            PowerCut: as `cut_next_write` wished.
        """
        if len(record.body) > _BODY_BYTES:
            raise ValueError(f"a body of {len(record.body)} bytes does not fit into a slot of {_BODY_BYTES}")
        if self.full:
            self._drop(max(self.header.capacity // PAGES, 1))
        sequence = self.header.next
        self._write(sequence, record)
        if self._cut_after is not None:
            self._tear(replace(self.header, next=sequence + 1, generated=self.header.generated + 1))
        self._publish(replace(self.header, next=sequence + 1, generated=self.header.generated + 1))
        return sequence

    def get(self, sequence: int) -> Record:
        """The event with this sequence. Raises KeyError if the ring doesn't hold it."""
        if not self.header.lowest <= sequence < self.header.next:
            raise KeyError(sequence)
        at = self._offset(sequence)
        uptime_ms, boot, session, kind, length = _SLOT.unpack_from(self._memory, at)
        start = at + _SLOT.size
        return Record(boot, uptime_ms, session, kind, self._memory[start : start + length])

    def __iter__(self) -> Iterator[tuple[int, Record]]:
        for sequence in range(self.header.lowest, self.header.next):
            yield sequence, self.get(sequence)

    @property
    def full(self) -> bool:
        """Whether the next event would push others out."""
        return self.header.held >= self.header.capacity

    def free(self, sequence: int) -> int:
        """Free every event up to `sequence`, which the gateway has on disk; return how many that were."""
        header = self.header
        freed = min(sequence, header.next - 1) - header.lowest + 1
        if freed <= 0:
            return 0
        self._publish(replace(header, lowest=header.lowest + freed, acked=header.acked + freed))
        return freed

    def new_session(self) -> int:
        """Give out the next customer session number."""
        self._publish(replace(self.header, sessions=self.header.sessions + 1))
        return self.header.sessions

    def renew(self, generation: int) -> None:
        """Start a new generation: what the ring holds is numbered from 1, in its order, and nothing is lost."""
        header = self.header
        shift = (header.lowest - 1 + header.shift) % header.capacity
        self._publish(replace(header, generation=generation, lowest=1, next=header.held + 1, shift=shift))

    def cut_next_write(self, after_bytes: int) -> None:
        """Let the power fail when so many bytes of the header that follows the next event's slot are through."""
        self._cut_after = after_bytes

    def close(self) -> None:
        """Close the file. The ring stays on disk."""
        self._memory.close()

    def _drop(self, count: int) -> None:
        header = self.header
        self._publish(replace(header, lowest=header.lowest + count, dropped=header.dropped + count))

    def _offset(self, sequence: int) -> int:
        return SLOTS_OFFSET + (sequence - 1 + self.header.shift) % self.header.capacity * SLOT_BYTES

    def _write(self, sequence: int, record: Record) -> None:
        head = _SLOT.pack(record.uptime_ms, record.boot, record.session, record.kind, len(record.body))
        at = self._offset(sequence)
        self._memory[at : at + len(head) + len(record.body)] = head + record.body

    def _tear(self, header: RingHeader) -> None:
        assert self._cut_after is not None  # asked by `append`
        copy, after = _encode_header(header, self._counter + 1), self._cut_after
        self._put(copy[:after])
        raise PowerCut(f"{self._path.name}: {min(after, len(copy))} of {len(copy)} bytes of the header were written")

    def _publish(self, header: RingHeader) -> None:
        self._put(_encode_header(header, self._counter + 1))
        self._counter += 1
        self.header = header

    def _put(self, copy: bytes) -> None:
        at = (self._counter + 1) % 2 * _COPY_BYTES
        self._memory[at : at + len(copy)] = copy


def read_header(path: Path) -> RingHeader:
    """The header of a ring, also of one that a running simulator writes to.

    Raises:
        ConfigError: the file is no ring.
        OSError: it can't be read.
    """
    with path.open("rb", buffering=0) as file:
        return _newest(file.read(2 * _COPY_BYTES), path)[1]


def _create(path: Path, header: RingHeader) -> None:
    """Write an empty ring under another name first: a kill leaves no half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    with unfinished.open("wb") as file:
        file.write(_encode_header(header, counter=0))
        file.truncate(SLOTS_OFFSET + header.capacity * SLOT_BYTES)
    unfinished.replace(path)


def _encode_header(header: RingHeader, counter: int) -> bytes:
    fields = _HEADER.pack(
        _MAGIC, counter, header.capacity, header.generation, header.next, header.lowest,
        header.boot, header.sessions, header.generated, header.acked, header.dropped, header.shift,
    )  # fmt: skip
    return fields + _CRC.pack(zlib.crc32(fields))


def _newest(copies: bytes, path: Path) -> tuple[int, RingHeader]:
    """The counter and content of the newest whole copy."""
    whole = []
    for at in (0, _COPY_BYTES):
        fields = copies[at : at + _HEADER.size]
        crc = copies[at + _HEADER.size : at + _HEADER.size + _CRC.size]
        if fields.startswith(_MAGIC) and crc == _CRC.pack(zlib.crc32(fields)):
            _, counter, *rest = _HEADER.unpack(fields)
            whole.append((counter, RingHeader(*rest)))
    if not whole:
        raise ConfigError(f"{path} is not a dispenser's ring", hint="Delete it to start with an empty one")
    return max(whole, key=lambda copy: copy[0])
