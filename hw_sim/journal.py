"""What truly happened at the simulated dispensers: one JSON line each, so that tests know the truth without a gateway.

Kinds of line, told apart by their second key; every line names its `dispenser`:

    event     generation, sequence, boot, uptime_ms, session, kind, body {...}   an event entered the ring
    claim     generation, session, uptime_ms; `claim` is the token               an ASK showed a loyalty token
    answered  generation, session, uptime_ms; `answered` is the pick_id          its (or another ASK's) picks came
    dropped   generation; `dropped` is [first, last]                             the full ring pushed events out
    fault     generation; `fault` is its kind, with its particulars     something went wrong, by will or by chance
    renewed   generation; `renewed` is [first, last]; to                         these got new numbers, from 1, in `to`

A renumbered event is written again under its new identity. The file holds loyalty tokens in clear: they are made up.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cbor2
import msgspec

from firmware_bridge.bodies import EventBody
from firmware_bridge.codec import BadMessage, decode_event_body, encode_body
from hw_sim.ring import Record, Ring

KIND_NAMES = {1: "poured", 2: "rated", 3: "stated", 4: "refilled"}


class Journal:
    """The journal, open for appending. Each line is written at once, and survives the process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        _cut_torn_line(path)
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def write(self, line: dict[str, Any]) -> None:
        """Append one line."""
        os.write(self._fd, msgspec.json.encode(line) + b"\n")

    def last_sequences(self) -> dict[tuple[str, int], int]:
        """The last sequence written, by dispenser and generation."""
        last: dict[tuple[str, int], int] = {}
        for line in read_journal(self._path):
            if "event" in line:
                key = (line["dispenser"], line["generation"])
                last[key] = max(last.get(key, 0), line["event"])
        return last

    def close(self) -> None:
        """Close the file."""
        os.close(self._fd)


class Recorder:
    """One dispenser's way into its ring, and into the journal."""

    def __init__(self, dispenser: str, ring: Ring, journal: Journal) -> None:
        self.dispenser = dispenser
        self.ring = ring
        self._journal = journal
        self._last = ring.header.next - 1
        """The last sequence that the journal has."""

    def record(self, session: int, body: EventBody, now_ms: int) -> int:
        """Keep an event; its sequence."""
        before = self.ring.header
        sequence = self.ring.append(Record(before.boot, now_ms, session, body.number, encode_body(body)))
        if (lowest := self.ring.header.lowest) > before.lowest:
            self._write("dropped", [before.lowest, lowest - 1])
        self._write_event(sequence, self.ring.get(sequence))
        return sequence

    def reboot(self) -> None:
        """The dispenser starts again: a boot of the ring, and what a cut kept from the journal."""
        self.ring.reboot()
        self.catch_up(self._last)

    def note_fault(self, fault: str, **more: Any) -> None:
        """Write a `fault`."""
        self._write("fault", fault, **more)

    def note(self, what: str, value: str, session: int, now_ms: int) -> None:
        """Write a `claim` or an `answered`."""
        self._write(what, value, session=session, uptime_ms=now_ms)

    def renew(self, generation: int) -> None:
        """Give the ring a new generation, and what it holds new numbers."""
        old = self.ring.header
        self.ring.renew(generation)
        self._write("renewed", [old.lowest, old.next - 1], generation=old.generation, to=generation)
        for sequence, record in self.ring:
            self._write_event(sequence, record)

    def catch_up(self, last: int) -> None:
        """Write what a kill left in the ring and not in the journal: what comes after sequence `last`."""
        for sequence in range(max(last + 1, self.ring.header.lowest), self.ring.header.next):
            self._write_event(sequence, self.ring.get(sequence))

    def _write_event(self, sequence: int, record: Record) -> None:
        self._last = sequence
        body = decode_event_body(record.kind, cbor2.loads(record.body))
        assert not isinstance(body, BadMessage)  # `record` encoded it
        names = type(body).__struct_fields__
        named = {name: value for name in names if (value := getattr(body, name)) is not None}
        self._write(
            "event",
            sequence,
            boot=record.boot,
            uptime_ms=record.uptime_ms,
            session=record.session,
            kind=KIND_NAMES[record.kind],
            body=named,
        )

    def _write(self, what: str, value: Any, **more: Any) -> None:
        line = {"dispenser": self.dispenser, what: value, "generation": self.ring.header.generation}
        self._journal.write(line | more)


def read_journal(path: Path) -> Iterator[dict[str, Any]]:
    """The lines of a journal; one that is just being written is left out."""
    with path.open("rb") as file:
        for line in file:
            if line.endswith(b"\n"):
                yield json.loads(line)


@dataclass(frozen=True, slots=True)
class Made:
    """The ids (`dispenser:generation:sequence`) of all events that a journal tells of."""

    held: set[str]
    """Those that must reach the gateway."""
    dropped: set[str]
    """Those that a full ring pushed out. Some may have reached it before, when no ACK had come back."""


def made_ids(path: Path) -> Made:
    """What was made, according to a journal. An event that was renumbered has its new id alone."""
    held: set[str] = set()
    dropped: set[str] = set()
    for line in read_journal(path):
        source = f"{line['dispenser']}:{line['generation']:08x}"
        if "event" in line:
            held.add(f"{source}:{line['event']}")
        for what in ("dropped", "renewed"):
            if what in line:
                first, last = line[what]
                gone = {f"{source}:{sequence}" for sequence in range(first, last + 1)}
                held -= gone
                if what == "dropped":
                    dropped |= gone
    return Made(held, dropped)


def expected_ids(path: Path) -> set[str]:
    """The ids of all events that must reach the gateway, according to a journal."""
    return made_ids(path).held


def _cut_torn_line(path: Path) -> None:
    """Cut off the end of a line that a kill left unfinished."""
    if path.exists():
        with path.open("r+b") as file:
            content = file.read()
            file.truncate(content.rfind(b"\n") + 1)
