"""The keys that dispensers prove themselves by: those made and changed here, and those that people gave in files.

    data_dir/keyring.json   {"format": 1, "sha256": of the rest, "dispensers": {"bar-1": {"key": "64 hex digits", ...}}}

A file of its own, the daemon's alone (0600), and not the database: that is copied for backups, set aside when it is
damaged, and begun anew, and keys must neither travel with it nor vanish with it. It is replaced as a whole, and is on
disk before anything rests on it. One that is damaged stops the daemon; nothing is written over it.

A key that was made here is told to its dispenser once, in clear, when that says that it has none; from its first READY
on, never again. In a rotation both keys count until a READY has proved the new one.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import logging
import os
import secrets
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from cloud_sync.durable import sync_directory
from cloud_sync.private import check_private
from firmware_bridge.proofs import key_id
from heat.errors import ConfigError, StoreError

log = logging.getLogger("gateway.keyring")

FILE = "keyring.json"
KEY_BYTES = 32
MAX_KEPT = 10_000
"""Dispensers. A shop has a few; whoever makes ids up must not fill the disk."""
_FORMAT = 1
_DAMAGED = "Put it back from a copy; or move it away, and adopt the dispensers anew, each after a factory reset"


class Entry(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """What is kept of one dispenser. Keys are hex digits."""

    key: str | None = None
    pending: str | None = None
    """A new key that its dispenser has not proved yet."""
    proved: bool = False
    """Whether `key` is one that the dispenser has, and that is never told again."""
    retired: str | None = None
    """The id of a key from a file that does not count any more: it was rotated away, or its dispenser forgotten."""
    hardware: str | None = None
    """What it said of its hardware, if a provisioning file let it in by that."""

    def __repr__(self) -> str:
        return f"Entry(key={_shown(self.key)}, pending={_shown(self.pending)}, proved={self.proved})"


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    format: int
    sha256: str
    dispensers: dict[str, Entry]

    def __repr__(self) -> str:
        return f"_File({len(self.dispensers)} dispensers)"


class Keyring:
    """All keys, in memory. What changes them is on disk when it returns. `given` are those of files, by dispenser."""

    def __init__(self, path: Path, given: Mapping[str, bytes], entries: Mapping[str, Entry] | None = None) -> None:
        self.given = dict(given)
        self._path = path
        self._entries = dict(entries or {})
        self._writing = asyncio.Lock()

    def __repr__(self) -> str:
        return f"Keyring({len(self._entries)} kept, {len(self.given)} given)"

    # -- reading ----------------------------------------------------------------------------------------------------

    def key_of(self, dispenser: str, wanted_id: bytes | None) -> bytes | None:
        """The dispenser's key with this id; without an id, the one that it is taken to have."""
        return next((key for key in self._keys(dispenser) if wanted_id in (None, key_id(key))), None)

    def counts(self, dispenser: str, key: bytes) -> bool:
        """Whether this is a key of the dispenser now."""
        return any(hmac.compare_digest(key, one) for one in self._keys(dispenser))

    def is_retired(self, dispenser: str, its_key_id: bytes | None) -> bool:
        """Whether the key with this id was rotated away or forgotten here, though it may still stand in a file."""
        retired = self._entries.get(dispenser, Entry()).retired
        return retired is not None and its_key_id is not None and its_key_id.hex() == retired

    def claimant(self, hardware: str) -> str | None:
        """Who was let in by this text about its hardware."""
        return next((name for name, entry in self._entries.items() if entry.hardware == hardware), None)

    def hardware_of(self, dispenser: str) -> str | None:
        """The text about its hardware that let it in."""
        return self._entries.get(dispenser, Entry()).hardware

    def to_provision(self, dispenser: str) -> bytes | None:
        """The key to tell a dispenser that has none: one that was made here, and that nobody has proved yet."""
        entry = self._entries.get(dispenser, Entry())
        return bytes.fromhex(entry.key) if entry.key is not None and not entry.proved else None

    def is_adopted(self, dispenser: str) -> bool:
        """Whether it has a key here."""
        return self.key_of(dispenser, None) is not None

    def is_proved(self, dispenser: str) -> bool:
        """Whether its key is never told again."""
        return self.is_adopted(dispenser) and self.to_provision(dispenser) is None

    def pending(self, dispenser: str) -> bytes | None:
        """The new key that it is to take."""
        entry = self._entries.get(dispenser)
        return bytes.fromhex(entry.pending) if entry is not None and entry.pending is not None else None

    @property
    def rotating(self) -> list[str]:
        """Who is to take a new key."""
        return [name for name, entry in self._entries.items() if entry.pending is not None]

    @property
    def kept(self) -> list[str]:
        """Who has a key that is kept here, and not only in a file."""
        return [name for name, entry in self._entries.items() if entry.key is not None]

    @property
    def adopted(self) -> list[str]:
        """Who has a key here, in order."""
        return sorted(name for name in self._entries.keys() | self.given.keys() if self.is_adopted(name))

    def _keys(self, dispenser: str) -> Iterator[bytes]:
        entry = self._entries.get(dispenser, Entry())
        given = self.given.get(dispenser)
        if given is not None and key_id(given).hex() != entry.retired:
            yield given  # a person's word is newer than what was made before
        for text in (entry.key, entry.pending):
            if text is not None:
                yield bytes.fromhex(text)

    # -- changing ---------------------------------------------------------------------------------------------------

    async def adopt(self, dispenser: str, key: bytes | None = None) -> None:
        """Give it this key, which it has already and is never told; or make one, and tell it. Raises StoreError."""
        await self.adopt_all({dispenser: key})

    async def adopt_all(self, keys: Mapping[str, bytes | None], hardware: str | None = None) -> None:
        """Give each its key, as `adopt` does, all in one write; `hardware` is what let them in. Raises StoreError."""
        async with self._writing:
            if len(self._entries.keys() | keys.keys()) > MAX_KEPT:
                hint = "picante dispensers list shows them, and picante dispensers forget makes room"
                raise StoreError(f"{self._path} has no room for more than {MAX_KEPT:,} dispensers", hint=hint)
            entries: dict[str, Entry | None] = {}
            for dispenser, key in keys.items():
                before = self._entries.get(dispenser, Entry())
                made = secrets.token_bytes(KEY_BYTES) if key is None else key
                entries[dispenser] = Entry(
                    made.hex(), proved=key is not None, retired=before.retired, hardware=hardware
                )
            await self._keep(entries)

    async def rotate(self, dispenser: str) -> None:
        """Have a new key ready for it; one that it has not taken yet stays the one. Raises StoreError."""
        async with self._writing:
            entry = self._entries.get(dispenser, Entry())
            if entry.pending is None:
                new = secrets.token_bytes(KEY_BYTES).hex()
                await self._keep({dispenser: msgspec.structs.replace(entry, pending=new)})

    async def proved(self, dispenser: str, by: bytes | None) -> None:
        """A READY has proved the key with this id: older ones go, and it is never told again. Raises StoreError."""
        async with self._writing:
            entry = self._entries.get(dispenser)
            key = self.key_of(dispenser, by)
            if entry is None or key is None:
                return
            given = self.given.get(dispenser)
            if entry.pending == key.hex():
                retired = entry.retired if given is None else key_id(given).hex()
                after = Entry(entry.pending, proved=True, retired=retired, hardware=entry.hardware)
            elif entry.key == key.hex():
                after = msgspec.structs.replace(entry, proved=True)
            else:  # the one of the file
                after = msgspec.structs.replace(entry, key=None, proved=False)
            if after != entry:
                await self._keep({dispenser: after})

    async def forget(self, dispenser: str) -> None:
        """Take its keys away, also the one that a file gives it, by its id or its hardware. Raises StoreError."""
        async with self._writing:
            entry, key = self._entries.get(dispenser, Entry()), self.given.get(dispenser)
            if key is None and entry.hardware is not None and entry.key is not None:
                key = bytes.fromhex(entry.key)
            await self._keep({dispenser: None if key is None else Entry(retired=key_id(key).hex())})

    async def _keep(self, changed: Mapping[str, Entry | None]) -> None:
        entries = dict(self._entries)
        for dispenser, entry in changed.items():
            if entry is None or entry == Entry():
                entries.pop(dispenser, None)
            else:
                entries[dispenser] = entry
        await asyncio.to_thread(_write, self._path, entries)
        self._entries = entries


def merge(ours: Path, theirs: Path) -> None:
    """Add to the keyring file `theirs`, of a backup, what `ours` knows; where both know a dispenser, ours counts.

    A key that was rotated since the backup would turn its dispenser away, and one that was taken away would let
    somebody in again. Where there is no file `ours`, nothing changes.

    Raises:
        ConfigError: one of them is damaged.
        StoreError: it can't be written.
    """
    kept = load(ours.parent, {})._entries  # noqa: SLF001 -- of this module
    if kept:
        _write(theirs, {**load(theirs.parent, {})._entries, **kept})  # noqa: SLF001


def load(directory: Path, given: Mapping[str, bytes]) -> Keyring:
    """The keyring of a data directory; an empty one where there is none yet.

    Raises:
        ConfigError: it is damaged, others may read it, or a newer Picante wrote it.
    """
    path = directory / FILE
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return Keyring(path, given)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint="Only the gateway's user may read it") from error
    check_private(path, "gateway.data_dir")
    try:
        kept = msgspec.json.decode(content, type=_File)
    except msgspec.DecodeError:
        raise ConfigError(f"{path} is damaged", hint=_DAMAGED) from None  # its message might quote a key
    if kept.format != _FORMAT:
        raise ConfigError(f"{path} was written by a newer Picante", hint="Install that version, or a later one")
    if kept.sha256 != _digest(kept.dispensers) or not all(_is_whole(entry) for entry in kept.dispensers.values()):
        raise ConfigError(f"{path} is damaged", hint=_DAMAGED)
    return Keyring(path, given, kept.dispensers)


def _is_whole(entry: Entry) -> bool:
    return all(text is None or len(text) == 2 * KEY_BYTES for text in (entry.key, entry.pending))


def _write(path: Path, entries: dict[str, Entry]) -> None:
    new = path.with_suffix(".new")
    try:
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(msgspec.json.encode(_File(_FORMAT, _digest(entries), entries)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        new.rename(path)
        sync_directory(path.parent)
    except OSError as error:
        hint = "Free space, or let the gateway write it; nothing was changed"
        raise StoreError(f"{path}: {error.strerror}", hint=hint) from error


def _digest(entries: dict[str, Entry]) -> str:
    return hashlib.sha256(msgspec.json.encode(entries, order="sorted")).hexdigest()


def _shown(text: str | None) -> str:
    return "none" if text is None else "withheld"
