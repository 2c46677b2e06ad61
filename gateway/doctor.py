"""What is wrong with a gateway that does not run: the repairs that need no daemon, by the code that the page uses.

`picante doctor` asks it where no daemon answers, and safe mode shows it. Everything is read, and nothing written: the
database is opened read-only, beside whoever has it.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

from firmware_bridge.line import is_url
from gateway.access.file import FILE as ACCESS
from gateway.access.file import VERSION
from gateway.access.roles import Role
from gateway.assembly import bundle_path, given_keys, open_door
from gateway.clock import Clock
from gateway.config import Config, load_config, load_pseudonym_key, pseudonym_path
from gateway.ports import find
from gateway.provisioning import load_fleet
from gateway.quarantine import quarantined
from gateway.scorer import probe
from gateway.security import load_credentials, load_security
from gateway.setup_file import MARK
from gateway.store import DATABASE
from gateway.web import reads
from gateway.web.language import Text
from gateway.web.leaf import check_issuer
from gateway.web.repairs.facts import Reader
from gateway.web.repairs.of_clock import clock_repairs
from gateway.web.repairs.of_machine import access_lost, machine_repairs, setup_repairs
from gateway.web.repairs.of_parts import fallback
from gateway.web.repairs.of_ports import absent_ports
from gateway.web.repairs.of_store import filling, set_aside
from gateway.web.repairs.repair import Repair, ordered
from heat.errors import ConfigError, ModelError, PicanteError, ScorerError
from models.bundle import load as load_bundle
from models.signing import read_signers

ASK_AS_USER = "Is it the gateway's user who asks? Else try sudo"


async def examine(path: Path, *, database: bool = True) -> list[Repair]:
    """What is wrong, what can't wait first. `database`: look at its pages, too; a full one takes a minute on a card."""
    try:
        config = load_config(path)
    except ConfigError as error:
        return [invalid("gateway.toml", error)]
    found = [*_of_files(config), *await _of_model(config), *_of_machine(config), *_of_access(config)]
    if database:
        found += await asyncio.to_thread(lambda: list(_of_database(config)))
    return ordered(found)


def invalid(subject: str, error: PicanteError) -> Repair:
    """The configuration, or a file that it names, can't be used."""
    mend = (error.hint,) if error.hint else (Text("Mend it"),)
    goes_on = Text("The gateway looks every 10 s, and goes on by itself")
    return Repair(
        "config_invalid",
        Text("The configuration can't be used: {detail}", detail=str(error.args[0])),
        (*mend, goes_on),
        subject,
    )


def unusable(error: PicanteError) -> Repair:
    """The database can't be used."""
    mend = (error.hint,) if error.hint else ()
    restore = Text("If it can't be mended, restore a backup: {command}", command="picante gateway restore FILE")
    return Repair(
        "store_unusable", Text("The database can't be used: {detail}", detail=str(error.args[0])), (*mend, restore)
    )


def down(why: str) -> Repair:
    """No daemon answers."""
    steps = (
        Text("{command} says why it does not run", command="systemctl status picante-gateway"),
        Text("Start it: {command}", command="systemctl start picante-gateway"),
    )
    return Repair("daemon_down", Text("No gateway runs here: {detail}", detail=why), steps)


def readings(config: Config) -> dict[str, Callable[[], object]]:
    """What reads each file that gateway.toml names as the start would, by the key; each raises ConfigError."""
    found: dict[str, Callable[[], object]] = {
        "keys.dispensers": lambda: given_keys(config),
        "keys.pseudonym": lambda: load_pseudonym_key(pseudonym_path(config)),
        "picks": lambda: open_door(config),
        "kafka": lambda: load_security(config),
        "mqtt": lambda: load_credentials(config),
        "http.issuer": lambda: check_issuer(config),
    }
    if (fleet := config.keys.provisioning) is not None:
        found["keys.provisioning"] = lambda: load_fleet(config.path(fleet), open_door(config).catalog)
    if (signers := config.keys.bundles) is not None:
        found["keys.bundles"] = lambda: read_signers(config.path(signers))
    return found


def _of_files(config: Config) -> Iterator[Repair]:
    for name, read in readings(config).items():
        try:
            read()
        except ConfigError as error:
            yield invalid(name, error)


async def _of_model(config: Config) -> list[Repair]:
    try:
        bundle = load_bundle(bundle_path(config))
        await probe(bundle.path)
    except ModelError as error:
        return [fallback(error, by_rule=not isinstance(error, ScorerError), ranker="NumPy")]
    return []


def _of_machine(config: Config) -> Iterator[Repair]:
    section = config.clock
    clock = Clock(section.trust, synchronised=config.path(section.synchronised))
    yield from clock_repairs(clock, config)
    serial = config.serial
    ports = () if serial is None else serial.ports
    patterns = [port if is_url(port) else str(config.path(port)) for port in ports]
    yield from absent_ports(
        config,
        find(patterns),
    )
    try:
        facts = Reader(config).read_files()
    except OSError:
        return  # a first start makes the directory; a later one is told of by the database
    yield from setup_repairs(config)
    yield from machine_repairs(facts, datetime.now(UTC) if clock.now().known else None)


def _of_access(config: Config) -> Iterator[Repair]:
    """Who may sign in."""
    directory = config.path(config.gateway.data_dir)
    path = directory / ACCESS
    try:
        was_set_up = (directory / MARK).exists()
        if not path.exists():
            if was_set_up:
                yield access_lost()
            return
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as reader:
            whole = reader.execute("PRAGMA quick_check(1)").fetchone() == ("ok",)
            [version] = reader.execute("PRAGMA user_version").fetchone()
            owner = "SELECT 1 FROM people WHERE role = ?"
            if version > VERSION:
                hint = "Install that version, or a later one"
                yield unusable(PicanteError(f"{path} was written by a newer Picante", hint=hint))
            elif not whole or (was_set_up and reader.execute(owner, (Role.OWNER,)).fetchone() is None):
                yield access_lost()
    except (OSError, sqlite3.OperationalError) as error:
        yield unusable(PicanteError(f"{path}: {error}", hint=ASK_AS_USER))
    except sqlite3.DatabaseError:  # a start sets it aside
        yield access_lost()


def _of_database(config: Config) -> Iterator[Repair]:
    directory = config.path(config.gateway.data_dir)
    yield from set_aside(quarantined(directory), set())
    path = directory / DATABASE
    try:
        if not path.exists():
            return
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=5)) as reader:
            said = str(reader.execute("PRAGMA quick_check(1)").fetchone()[0])
            yield from filling(reads.used_bytes(reader), config.gateway.quota_mb * 1024 * 1024)
    except (OSError, sqlite3.Error) as error:
        yield unusable(PicanteError(f"{path}: {error}", hint=ASK_AS_USER))
    else:
        if said != "ok":
            hint = "Copy it away: a start sets it aside, and begins a new one"
            yield unusable(PicanteError(f"{path} is damaged: {said}", hint=hint))
