"""A dispenser's EEPROM: the few settings that outlive its power, in a file beside its ring.

    offset   size
    0        4096   bank A
    4096     4096   bank B

    a bank:  magic (8), writes (8), length (4), content (length), CRC-32 (4); content is one MessagePack map

The banks are written in turn, whole, each with the count of writes and a CRC-32: whoever opens the file after a cut or
a kill takes the newest bank that is whole, so a change is there wholly or not at all. The count of writes is the
chip's wear, too. One process writes (`sim.lock` sees to that); a reader may look at any moment.
"""

from __future__ import annotations

import os
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import msgspec

from heat.errors import ConfigError
from hw_sim.power import PowerCut

BANK_BYTES = 4096
ENDURANCE = 1_000_000
"""Writes that a bank stands by its data sheet. Nothing is refused after that; `Eeprom.worn` tells."""
KEY_BYTES = 32
COMMANDS_KEPT = 16
COMMAND_ID_BYTES = 16
VERB_CHARS = 24
RESULT_BYTES = 128
"""Longest id, verb and result of a command; the log of the last sixteen then takes at most 2.9 kB."""
DEFAULT_PULSES_PER_ML = 100.0
"""What a flow meter gives when nobody has calibrated it."""

_MAGIC = b"PICEEPR1"
_HEAD = struct.Struct("<8sQI")
_CRC = struct.Struct("<I")
MAX_CONTENT_BYTES = BANK_BYTES - _HEAD.size - _CRC.size


class Calibration(msgspec.Struct, frozen=True, array_like=True):
    """A flow meter's factor, and the one before, for undoing."""

    pulses_per_ml: float = DEFAULT_PULSES_PER_ML
    before: float | None = None


class CommandRecord(msgspec.Struct, frozen=True, array_like=True):
    """A command that was started here. `done` with its `result`, or cut off in between."""

    id: bytes
    verb: str
    done: bool = False
    result: bytes = b""


class Contents(msgspec.Struct, frozen=True, omit_defaults=True, repr_omit_defaults=True):
    """All that an EEPROM holds. Its keys are not shown."""

    key: bytes | None = None
    """32 bytes, shared with the gateway; None: factory-new."""
    pending_key: bytes | None = None
    """A key that was handed over and has not proved itself yet."""
    calibration: dict[int, Calibration] = {}
    """By nozzle; one that is missing has the default."""
    planogram: dict[int, str] = {}
    """Sauce by nozzle; one that is missing has the sauce that it was built with."""
    tare_ml: dict[int, int] = {}
    """What a nozzle's level sensor reads on an empty bottle, ml; one that is missing reads 0."""
    locked: bool = False
    """Whether pouring is locked."""
    confirm: tuple[int, ...] = ()
    """The nozzles that pour only after a confirmation."""
    commands: tuple[CommandRecord, ...] = ()
    """The last commands, oldest first."""

    def __repr__(self) -> str:
        shown = {name: getattr(self, name) for name in self.__struct_fields__}
        for name in ("key", "pending_key"):
            shown[name] = "***" if shown[name] is not None else None
        return f"Contents({', '.join(f'{name}={value!r}' for name, value in shown.items())})"


@dataclass(frozen=True, slots=True)
class _Bank:
    writes: int
    contents: Contents


class Eeprom:
    """The EEPROM, open for its one writer. Reading is reading `contents`; each change is one write of a bank."""

    def __init__(self, path: Path, newest: _Bank) -> None:
        self.path = path
        self.contents = newest.contents
        self.writes = newest.writes
        """Banks written since the chip was made, the first one included."""
        self._cut_after: int | None = None

    @classmethod
    def open(cls, path: Path, factory: Contents | None = None) -> Self:
        """Open the EEPROM in `path`, or make one with the factory's contents.

        Raises:
            ConfigError: the file is no EEPROM.
        """
        if not path.exists():
            _create(path, factory or Contents())
        return cls(path, _read(path))

    def update(self, **changes: Any) -> None:
        """Change some of the contents, in one write: all of them or none. No change writes nothing.

        Raises:
            ValueError: a value that doesn't fit, or more than the chip can hold. Nothing is changed.
            PowerCut: as `cut_next_write` wished.
        """
        contents = msgspec.structs.replace(self.contents, **changes)
        if contents != self.contents:
            self._write(contents)

    def reboot(self) -> None:
        """Read the chip anew, as firmware does at each start: what RAM believed does not count."""
        self._cut_after = None
        newest = _read(self.path)
        self.contents, self.writes = newest.contents, newest.writes

    # -- calibration --------------------------------------------------------------------------------------------------

    def pulses_per_ml(self, nozzle: int) -> float:
        """The factor that this nozzle's flow meter is read with."""
        return self.contents.calibration.get(nozzle, Calibration()).pulses_per_ml

    def tare_ml(self, nozzle: int) -> int:
        """What this nozzle's level sensor reads on an empty bottle, ml."""
        return self.contents.tare_ml.get(nozzle, 0)

    def calibrate(self, nozzle: int, pulses_per_ml: float) -> None:
        """Read this nozzle's flow meter with another factor; the one before is kept for `undo_calibration`."""
        now = Calibration(pulses_per_ml, before=self.pulses_per_ml(nozzle))
        self.update(calibration=self.contents.calibration | {nozzle: now})

    def undo_calibration(self, nozzle: int) -> bool:
        """Go back to the factor before the last calibration; whether there is one. It can be undone once."""
        before = self.contents.calibration.get(nozzle, Calibration()).before
        if before is None:
            return False
        self.update(calibration=self.contents.calibration | {nozzle: Calibration(before)})
        return True

    # -- the log of commands ------------------------------------------------------------------------------------------

    def command(self, command_id: bytes) -> CommandRecord | None:
        """What is known of a command: started, done, or (None) never seen or too long ago."""
        return next((record for record in self.contents.commands if record.id == command_id), None)

    def start_command(self, command_id: bytes, verb: str) -> None:
        """Note that a command is about to have its effect; the oldest one makes way.

        Raises:
            ValueError: its id is known already, or id or verb are too long.
        """
        if self.command(command_id) is not None:
            raise ValueError(f"command {command_id.hex()} was started before")
        kept = self.contents.commands[-(COMMANDS_KEPT - 1) :]
        self.update(commands=(*kept, CommandRecord(command_id, verb)))

    def finish_command(self, command_id: bytes, result: bytes, **changes: Any) -> None:
        """Note a command's result, and `changes` that are its effect, in the same write.

        Raises:
            KeyError: it was never started, or is forgotten.
            ValueError: the result is too long.
        """
        if self.command(command_id) is None:
            raise KeyError(command_id.hex())
        commands = tuple(
            msgspec.structs.replace(record, done=True, result=result) if record.id == command_id else record
            for record in self.contents.commands
        )
        self.update(commands=commands, **changes)

    # -- the chip -----------------------------------------------------------------------------------------------------

    @property
    def worn(self) -> bool:
        """Whether a bank was written more often than it is made for."""
        return self.writes > 2 * ENDURANCE

    def cut_next_write(self, after_bytes: int) -> None:
        """Let the power fail when so many bytes of the next write are through."""
        self._cut_after = after_bytes

    def _write(self, contents: Contents) -> None:
        bank = _encode(contents, self.writes + 1)
        written = bank if self._cut_after is None else bank[: self._cut_after]
        with self.path.open("r+b", buffering=0) as file:
            os.pwrite(file.fileno(), written, (self.writes + 1) % 2 * BANK_BYTES)
        if self._cut_after is not None:
            self._cut_after = None
            raise PowerCut(f"{self.path.name}: {len(written)} of {len(bank)} bytes were written")
        self.writes += 1
        self.contents = contents


def read_contents(path: Path) -> Contents:
    """What an EEPROM holds, also one that a running simulator writes to.

    Raises:
        ConfigError: the file is no EEPROM.
        OSError: it can't be read.
    """
    return _read(path).contents


def _create(path: Path, contents: Contents) -> None:
    """Write the first bank under another name first: a kill leaves no half of one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f"{path.name}.new")
    unfinished.unlink(missing_ok=True)
    unfinished.touch(mode=0o600)  # it holds a key
    with unfinished.open("r+b") as file:
        file.write(_encode(contents, writes=0))
        file.truncate(2 * BANK_BYTES)
    unfinished.replace(path)


def _encode(contents: Contents, writes: int) -> bytes:
    _check(contents)
    content = msgspec.msgpack.encode(contents)
    if len(content) > MAX_CONTENT_BYTES:
        raise ValueError(f"{len(content)} bytes don't fit into an EEPROM of {MAX_CONTENT_BYTES}")
    bank = _HEAD.pack(_MAGIC, writes, len(content)) + content
    return bank + _CRC.pack(zlib.crc32(bank))


def _check(contents: Contents) -> None:
    for name in ("key", "pending_key"):
        key = getattr(contents, name)
        if key is not None and len(key) != KEY_BYTES:
            raise ValueError(f"{name} has {len(key)} bytes, not {KEY_BYTES}")
    for nozzle, calibration in contents.calibration.items():
        if not calibration.pulses_per_ml > 0:
            raise ValueError(f"nozzle {nozzle}: {calibration.pulses_per_ml} pulses per ml")
    for record in contents.commands:
        sizes = (len(record.id), len(record.verb), len(record.result))
        if any(size > limit for size, limit in zip(sizes, (COMMAND_ID_BYTES, VERB_CHARS, RESULT_BYTES), strict=True)):
            raise ValueError(f"command {record.verb[:VERB_CHARS]!r}: its id, verb or result is too long: {sizes}")


def _read(path: Path) -> _Bank:
    """The newest whole bank."""
    with path.open("rb", buffering=0) as file:
        chip = file.read(2 * BANK_BYTES)
    banks = [bank for at in (0, BANK_BYTES) if (bank := _decode(chip[at : at + BANK_BYTES])) is not None]
    if not banks:
        raise ConfigError(f"{path} is not a dispenser's EEPROM", hint="Delete it to start with the factory's settings")
    return max(banks, key=lambda bank: bank.writes)


def _decode(bank: bytes) -> _Bank | None:
    """A bank, if it is whole."""
    if len(bank) < _HEAD.size or not bank.startswith(_MAGIC):
        return None
    _, writes, length = _HEAD.unpack_from(bank)
    end = _HEAD.size + length
    if length > MAX_CONTENT_BYTES or bank[end : end + _CRC.size] != _CRC.pack(zlib.crc32(bank[:end])):
        return None
    return _Bank(writes, msgspec.msgpack.decode(bank[_HEAD.size : end], type=Contents))
