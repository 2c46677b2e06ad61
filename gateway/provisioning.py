"""provisioning.toml -> a fleet that adopts itself: who may come, under which name, with which sauces on its nozzles.

    [dispensers.bar-1]                  by the id that it says it has
    name = "Bar, left"
    planogram = { 1 = "table-red" }
    key = "make"                        or 64 hex digits: the key that it has already

    [hardware."PD-8 rev 2 no. 0042"]    by what it says of its hardware, whatever its id

It is applied at the start and whenever it has changed; again, it changes nothing. A file that is wrong stops a start;
while the daemon runs, what was read before stays, and the page tells of it.
"""

from __future__ import annotations

import asyncio
import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

from cloud_sync.nearest import nearest
from cloud_sync.private import check_private, read_text
from firmware_bridge.proofs import key_id
from gateway.adoption import Adoption
from gateway.dispensers import Dispensers
from gateway.keyring import KEY_BYTES
from gateway.plans import Plan, check_planogram, check_title
from heat.catalog import Catalog
from heat.errors import ConfigError, DataError, StoreError
from heat.identity import check_name

log = logging.getLogger("gateway.provisioning")

NAMED_BY = "keys.provisioning"
"""The key in gateway.toml that leads to the file."""
_TABLES = ("dispensers", "hardware")
_KEYS = ("name", "planogram", "key")
MAKE = "make"
MAX_FLEET = 2_000
"""Dispensers. A shop has a few; five times as many begin in 6 s on a PC, and a Pi is slower."""
_NAMED = 8
"""Dispensers that a log line names."""
_AGAIN = "Put another key in its place, which it has; or adopt it: picante dispensers adopt"


@dataclass(frozen=True, slots=True)
class Told:
    """What the file says of one dispenser."""

    name: str | None = None
    planogram: Mapping[int, str] = field(default_factory=dict)
    key: bytes | None = field(default=None, repr=False)
    """The key that it has; None: one is to be made."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """What the file says."""

    dispensers: Mapping[str, Told] = field(default_factory=dict)
    hardware: Mapping[str, Told] = field(default_factory=dict)

    @property
    def keys(self) -> dict[str, bytes]:
        """The keys that it gives, by dispenser."""
        return {name: told.key for name, told in self.dispensers.items() if told.key is not None}


def load_fleet(path: Path, catalog: Catalog) -> Fleet:
    """Read and check the file. Raises ConfigError naming its line, and never a key of it."""
    check_private(path, NAMED_BY)
    text = read_text(path, NAMED_BY)
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"line \d+", str(error))  # its message may quote the line
        raise ConfigError(f"{path}: not TOML, at {where[0] if where else 'its end'}") from None
    return _Reader(path, text, catalog).read(document)


class Provisioning:
    """Applies the file, and looks whether it has changed. `file_keys` are those of the keys file."""

    def __init__(
        self,
        path: Path,
        catalog: Catalog,
        adoption: Adoption,
        dispensers: Dispensers,
        file_keys: Mapping[str, bytes],
    ) -> None:
        self.fleet = Fleet()
        self.error: ConfigError | None = None
        """Why the file, as it is now, can't be applied."""
        self._path = path
        self.catalog = catalog
        self._adoption = adoption
        self._dispensers = dispensers
        self._keyring = dispensers.keyring
        self._file_keys = file_keys
        self._seen: tuple[int, int, int] | None = None
        self._due = False
        """Whether the file was read, and not applied yet."""
        self._told_of: set[str] = set()
        """Dispensers that can't be what the file says: told of once."""

    async def start(self) -> None:
        """Read the file, and apply it, as far as the disk has room; `look` goes on with it. Raises ConfigError."""
        self._seen = self._stamp()
        self._take(load_fleet(self._path, self.catalog))
        try:
            await self.look()
        except StoreError as error:
            log.warning("%s", error)

    async def look(self) -> None:
        """Apply the file if it is new, and adopt whom it names and who came meanwhile. Raises StoreError."""
        stamp = self._stamp()
        if stamp != self._seen:
            self._seen = stamp
            try:
                fleet = await asyncio.to_thread(load_fleet, self._path, self.catalog)
            except ConfigError as error:
                self.error = error
                log.warning("%s", error)
            else:
                self._take(fleet)
        if self._due:
            await self._adopt(self.fleet.dispensers)
            self._due = False
        await self._let_in()

    def told_of(self, dispenser: str) -> Told | None:
        """What the file says of it, by its id, or by the hardware that let it in."""
        hardware = self._keyring.hardware_of(dispenser)
        by_hardware = None if hardware is None else self.fleet.hardware.get(hardware)
        return self.fleet.dispensers.get(dispenser, by_hardware)

    def _stamp(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _take(self, fleet: Fleet) -> None:
        self.fleet, self.error, self._due = fleet, None, True
        self._told_of.clear()
        self._keyring.given = {**self._file_keys, **fleet.keys}
        self._dispensers.close_keyless()
        log.info("%d dispensers are provisioned by %s", len(fleet.dispensers) + len(fleet.hardware), self._path)

    async def _let_in(self) -> None:
        """Adopt anew who was forgotten, and whoever came with hardware that the file names: the first, each."""
        missing = {name: told for name, told in self.fleet.dispensers.items() if not self._keyring.is_adopted(name)}
        if missing:
            await self._adopt(missing)
        for stranger in list(self._dispensers.strangers):
            hardware, dispenser = stranger.hello.hardware, stranger.hello.dispenser
            told = None if hardware is None else self.fleet.hardware.get(hardware)
            if told is None or hardware is None or self._keyring.is_adopted(dispenser):
                continue
            if self._keyring.claimant(hardware) is None:  # or somebody's made-up ids would all be let in
                await self._adopt({dispenser: told}, hardware)

    async def _adopt(self, fleet: Mapping[str, Told], hardware: str | None = None) -> None:
        """Adopt who is not, name and plan all; in one write and one commit: a fleet is not to hold up a start."""
        keys, plans = dict[str, bytes | None](), dict[str, Plan]()
        for dispenser, told in fleet.items():
            if not self._keyring.is_adopted(dispenser):
                if told.key is not None and self._keyring.is_retired(dispenser, key_id(told.key)):
                    self._tell(dispenser, "it was forgotten here, and its key in this file counts no more", _AGAIN)
                    continue
                keys[dispenser] = told.key
            plans[dispenser] = Plan(told.name, told.planogram)
        if keys:
            await self._keyring.adopt_all(keys, hardware)
            who = ", ".join(list(keys)[:_NAMED]) + (f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else "")
            log.info("adopted by %s: %s", self._path, who)
        for dispenser, error in (await self._adoption.plan_all(plans)).items():
            self._tell(dispenser, str(error.args[0]), error.hint)

    def _tell(self, dispenser: str, what: str, hint: str) -> None:
        if dispenser not in self._told_of:
            self._told_of.add(dispenser)
            log.warning("%s: %s: %s. %s", self._path, dispenser, what, hint, extra={"dispenser": dispenser})


class _Reader:
    """One reading of the file: `text` is looked through for the lines of what is wrong."""

    def __init__(self, path: Path, text: str, catalog: Catalog) -> None:
        self._path = path
        self._lines = text.splitlines()
        self._catalog = catalog

    def read(self, document: dict[str, Any]) -> Fleet:
        """The fleet. Raises ConfigError."""
        for name in document:
            if name not in _TABLES:
                self._wrong((name,), f"unknown key {name!r}", nearest(name, _TABLES))
        dispensers, hardware = (self._table((name,), document.get(name, {})) for name in _TABLES)
        if len(dispensers) + len(hardware) > MAX_FLEET:
            self._wrong((), f"{len(dispensers) + len(hardware)} dispensers", f"One gateway takes {MAX_FLEET:,} at most")
        for dispenser in dispensers:
            try:
                check_name(dispenser, "dispenser")
            except DataError as error:
                self._wrong(("dispensers", dispenser), str(error.args[0]), error.hint)
        fleet = Fleet(
            {name: self._told(("dispensers", name), told) for name, told in dispensers.items()},
            {name: self._told(("hardware", name), told) for name, told in hardware.items()},
        )
        self._check_names(fleet)
        return fleet

    def _told(self, where: tuple[str, ...], value: object) -> Told:
        told = self._table(where, value)
        for name in told:
            if name not in _KEYS:
                self._wrong((*where, name), f"unknown key {name!r}", nearest(name, _KEYS))
        try:
            title = None if "name" not in told else check_title(self._text((*where, "name"), told["name"]))
        except DataError as error:
            self._wrong((*where, "name"), str(error.args[0]), error.hint)
        return Told(title, self._planogram((*where, "planogram"), told.get("planogram")), self._key(where, told))

    def _planogram(self, where: tuple[str, ...], value: object) -> dict[int, str]:
        if value is None:
            return {}
        placed = {}
        for number, sauce in self._table(where, value).items():
            if not number.isdecimal() or len(number) > 3:
                self._wrong(where, f"{number!r} is no nozzle", 'It reads: planogram = { 1 = "table-red" }')
            placed[int(number)] = self._text(where, sauce)
        try:
            return check_planogram(placed, self._catalog, None)
        except DataError as error:
            self._wrong(where, str(error.args[0]), error.hint)

    def _key(self, where: tuple[str, ...], told: dict[str, Any]) -> bytes | None:
        value = told.get("key", MAKE)
        if value == MAKE:
            return None
        if not isinstance(value, str) or not re.fullmatch(rf"[0-9a-fA-F]{{{2 * KEY_BYTES}}}", value):
            self._wrong((*where, "key"), 'key is neither "make" nor 64 hex digits in quotes', "openssl rand -hex 32")
        return bytes.fromhex(value)

    def _check_names(self, fleet: Fleet) -> None:
        seen: dict[str, str] = {}
        for table, told_of in zip(_TABLES, (fleet.dispensers, fleet.hardware), strict=True):
            for name, told in told_of.items():
                if told.name is not None and (other := seen.setdefault(told.name, name)) != name:
                    self._wrong((table, name, "name"), f"{other} is called {told.name!r}, too", "Give another name")

    def _table(self, where: tuple[str, ...], value: object) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._wrong(where, f"{where[-1]} is no table", "It reads: [dispensers.bar-1], and a key a line below")
        return value

    def _text(self, where: tuple[str, ...], value: object) -> str:
        if not isinstance(value, str):
            self._wrong(where, f"{where[-1]} is no text", "Put it in quotes")
        return value

    def _wrong(self, where: tuple[str, ...], what: str, hint: str) -> NoReturn:
        raise ConfigError(f"{self._path}:{self._line(where)}: {'.'.join(where[:2])}: {what}", hint=hint)

    def _line(self, where: tuple[str, ...]) -> int:
        """The line of a key, or of the nearest table around it that is written out."""
        found, depth = 1, 0
        for number, line in enumerate(self._lines, 1):
            words = [
                bare or quoted for quoted, bare in re.findall(r"""["']([^"']*)["']|([\w-]+)""", line.split("=")[0])
            ]
            if line.lstrip().startswith("["):
                depth = len(words) if tuple(words) == where[: len(words)] else 0
                found = number if depth else found
            elif (depth or not where[depth:][1:]) and "=" in line and tuple(words) == where[depth : depth + len(words)]:
                return number
        return found
