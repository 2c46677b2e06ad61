"""The support bundle: what somebody far away needs to understand this gateway, as one zip without secrets or customers.

Files are made one by one, each bounded, and each scrubbed (`gateway.scrub`) with every secret that this gateway knows.
What a database holds is counted, never copied. It works without a running daemon, on whatever is left: a file that
can't be made says why in its place.
"""

from __future__ import annotations

import io
import platform
import re
import sqlite3
import ssl
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import closing, suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from stat import S_ISDIR
from typing import Any

import msgspec

from gateway import hardware
from gateway.backup.archive import DATABASE, KEYRING
from gateway.backup.making import named_files
from gateway.config import Config
from gateway.named_certificates import certificates
from gateway.scrub import Scrubber
from gateway.setup_file import CODE

MAX_FILE_BYTES = 700_000
"""Of each file, before it is compressed; of lines, the last ones stay. A dozen files stay below 10 MB."""
MAX_ROWS = 200
"""Of commands and of days of the ledger."""
MOST_COUNTED = 100_000
"""Rows; a table that has more is told to have so many."""
MOST_DOCUMENTS, MOST_SECRET_BYTES = 20, 65_536
"""TOML files in which names of files are looked for, and bytes of such a file."""
CUT = "(what is too much was left out here)"

_QUOTED = re.compile(r"""["']([^"'\n]{1,300})["']""")

Content = str | list[Any] | dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """One file of a bundle."""

    name: str
    what: str
    """What is in it, for whoever decides whether it may leave."""
    make: Callable[[], Content | Iterable[str]]
    """A text, lines with their ends, or what becomes JSON. It may raise anything: the bundle goes on."""


def parts(config: Config, lines: Callable[[], Iterable[str]]) -> list[Part]:
    """What can be told with or without a running daemon; `lines` are of its log, with their ends."""
    data_dir = config.path(config.gateway.data_dir)
    return [
        Part("logs.jsonl", "The last lines of the log", lines),
        Part(
            "configuration.json",
            "gateway.toml as it counts; of secrets, whether they are set",
            lambda: _settings(config),
        ),
        Part("machine.json", "Power, temperature, wear, memory", lambda: _machine(config, data_dir)),
        Part("versions.json", "What is installed", _versions),
        Part("files.json", "Files of the data directory, with their sizes", lambda: _files(data_dir)),
        Part("database.json", "Tables of the database and how many rows each has", lambda: _database(data_dir)),
        Part(
            "commands.json", "The last commands to dispensers, without what they carried", lambda: _commands(data_dir)
        ),
        Part("ledger.json", "How many events of each dispenser and day", lambda: _ledger(data_dir)),
        Part("certificates.json", "Whose certificates are used, and until when", lambda: _certificates(config)),
    ]


def scrubber(config: Config, names: Iterable[str] = ()) -> Scrubber:
    """What takes secrets out of everything here; `names` beyond those of the configuration are harmless."""
    section = config.gateway
    harmless = {section.id, section.store, section.region, platform.release(), "utf-8", "sha256", "python3"}
    for one in (config.serial, config.mqtt, config.kafka, config.http):
        if one is not None:
            told = one.model_dump(exclude={"username"})
            harmless |= {text for value in told.values() for text in _texts(value)}
    harmless |= {str(config.path(section.data_dir)), str(config.directory)}
    return Scrubber(known_secrets(config), [*harmless, *names])


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        yield value
        yield from re.split(r"[,:/]+", value)
    elif isinstance(value, list | tuple):
        for one in value:
            yield from _texts(one)


def known_secrets(config: Config) -> set[bytes]:
    """Every secret that lies in a file of this gateway: keys as their bytes, passwords as they are."""
    found: set[bytes] = set()
    paths = [
        (name, path) for name, path in named_files(config) if not name.endswith((".ca", ".certificate", ".issuer"))
    ]
    data_dir = config.path(config.gateway.data_dir)
    paths += [("keyring", data_dir / KEYRING), ("setup code", data_dir / CODE)]
    for name, path in [*paths, *_quoted(config)]:
        try:
            content = path.read_bytes()
        except OSError:
            continue
        if name.endswith("password_file") or (name == "quoted" and b"\n" not in content.rstrip(b"\r\n")):
            found.add(content.rstrip(b"\r\n"))
        if b"PRIVATE KEY" in content:
            found |= {line for line in content.splitlines() if len(line) >= 16 and b"-" not in line}
        if name == "setup code":
            found |= {content.strip(), content.strip().replace(b"-", b"")}
        found |= {bytes.fromhex(text.decode()) for text in re.findall(rb"\b(?:[0-9a-fA-F]{2}){16,}\b", content)}
    return found


def _quoted(config: Config) -> Iterator[tuple[str, Path]]:
    """Files of nobody else's business that some TOML beside gateway.toml names, and those of a data directory.

    Where it can't be used, the configuration is what was salvaged of it, and has lost which files have passwords.
    """
    for document in islice(config.directory.glob("*.toml"), MOST_DOCUMENTS):
        try:
            names = set(_QUOTED.findall(document.read_text(errors="replace")))
        except OSError:
            continue
        for name in names:
            with suppress(OSError, ValueError, RuntimeError):  # no file, no path, no such home
                about = (path := config.path(name)).stat()
                if S_ISDIR(about.st_mode):
                    yield from (("keyring", path / KEYRING), ("setup code", path / CODE))
                elif not about.st_mode & 0o077 and about.st_size <= MOST_SECRET_BYTES:
                    yield "quoted", path


# -- the zip --------------------------------------------------------------------------------------------------------


def preview(wanted: Iterable[Part], scrub: Scrubber) -> list[tuple[Part, int]]:
    """Each file and its size."""
    return [(part, len(content(part, scrub))) for part in wanted]


def content(part: Part, scrub: Scrubber) -> bytes:
    """One file as it goes into the bundle."""
    scrubbed = cache(scrub.text)  # 200 dispensers say the same a thousand times
    try:
        made = part.make()
        if isinstance(made, str):
            text = scrub.text(made)
        elif isinstance(made, list | dict) and not part.name.endswith(".jsonl"):
            text = _json(_scrubbed(made, scrubbed))
        else:
            text = _newest(made, scrub)
    except Exception as error:  # noqa: BLE001 -- half a bundle of a broken gateway is what somebody needs
        text = scrub.text(f"{part.name} could not be made: {type(error).__name__}: {error}")
    raw = text.encode()
    return raw if len(raw) <= MAX_FILE_BYTES else raw[:MAX_FILE_BYTES] + f"\n{CUT}\n".encode()


def _json(value: Any) -> str:
    """With an item a line, where that is not too much. The standard library takes 0.2 s for that of 200 dispensers."""
    packed = msgspec.json.encode(value)
    by_line = msgspec.json.format(packed, indent=1)
    return (by_line if len(by_line) <= MAX_FILE_BYTES else packed).decode()


def _scrubbed(value: Any, text: Callable[[str], str]) -> Any:
    match value:
        case str():
            return text(value)
        case dict():
            return {text(str(key)): _scrubbed(one, text) for key, one in value.items()}
        case list() | tuple() | set():
            return [_scrubbed(one, text) for one in value]
        case None | bool() | int() | float():
            return value
        case _:
            return text(str(value))


def _newest(lines: Iterable[str], scrub: Scrubber) -> str:
    kept, size = [], len(CUT) + 1
    for line in reversed(list(lines)):
        text = scrub.text(line)
        size += len(text.encode())
        if size > MAX_FILE_BYTES:
            kept.append(f"{CUT}\n")
            break
        kept.append(text)
    return "".join(reversed(kept))


def bundle(wanted: Iterable[Part], scrub: Scrubber) -> Iterator[bytes]:
    """The zip's bytes, file by file."""
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as archive:
        for part in wanted:
            archive.writestr(part.name, content(part, scrub))
            yield sink.take()
    yield sink.take()


class _Sink(io.RawIOBase):
    """A file that can't be sought in, whose bytes are taken away."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, piece: Any) -> int:
        """Keep it until it is taken."""
        self._pieces.append(bytes(piece))
        return len(piece)

    def take(self) -> bytes:
        """What was written since."""
        taken = b"".join(self._pieces)
        self._pieces.clear()
        return taken


# -- its files ------------------------------------------------------------------------------------------------------


def _settings(config: Config) -> dict[str, Any]:
    told = config.model_dump(mode="json", exclude={"directory"})
    for section in ("kafka", "mqtt"):
        if told.get(section):
            told[section]["username"] = "set" if told[section]["username"] is not None else "not set"
    there = {name: "set" if path.exists() else "missing" for name, path in named_files(config)}
    return {"configuration": told, "files with secrets": there}


def _machine(config: Config, data_dir: Path) -> dict[str, Any]:
    return asdict(hardware.look(data_dir, Path(config.system.root)))


def _versions() -> dict[str, str]:
    return {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "picante": version("picante"),
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "openssl": ssl.OPENSSL_VERSION,
        "kernel": platform.release(),
        "machine": platform.machine(),
    }


def _files(data_dir: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted(data_dir.rglob("*")):
        if path.is_file():
            told = path.stat()
            changed = datetime.fromtimestamp(told.st_mtime, UTC).isoformat(timespec="seconds")
            found.append({"file": str(path.relative_to(data_dir)), "bytes": told.st_size, "changed": changed})
        if len(found) >= MAX_ROWS:
            break
    return found


def _reader(data_dir: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(f"file:{data_dir / DATABASE}?mode=ro", uri=True, timeout=2)
    connection.text_factory = lambda raw: str(raw, "utf-8", "replace")
    return connection


def _database(data_dir: Path) -> dict[str, Any]:
    with closing(_reader(data_dir)) as reader:
        tables = reader.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name").fetchall()
        migrations = reader.execute("SELECT name FROM _sqlite_migrations ORDER BY name").fetchall()
        numbers = ("page_count", "freelist_count", "page_size", "user_version", "schema_version")
        return {
            "rows": {name: _count(reader, name) for (name,) in tables},
            "columns": {
                name: [column for _, column, *_ in reader.execute("SELECT * FROM pragma_table_info(?)", (name,))]
                for (name,) in tables
            },
            "migrations": [name.partition("_")[2] or name for (name,) in migrations],
            "pragmas": {name: reader.execute(f"PRAGMA {name}").fetchone()[0] for name in numbers},
            "confirmed": int(reader.execute("SELECT value FROM meta WHERE key = 'confirmed'").fetchone()[0]),
            "refused": reader.execute("SELECT ifnull(sum(refused), 0) FROM ledger").fetchone()[0],
        }


def _count(reader: sqlite3.Connection, table: str) -> int:
    """Rows of a table, as far as counting takes no time; of events by their positions: counting would read them all."""
    if table == "events":
        # of both at once it would read them all
        asked = "SELECT ifnull((SELECT max(position) FROM events) - (SELECT min(position) FROM events) + 1, 0)"
    else:
        asked = f'SELECT count(*) FROM (SELECT 1 FROM "{table}" LIMIT {MOST_COUNTED})'  # noqa: S608 -- our own tables
    return int(reader.execute(asked).fetchone()[0])


def _commands(data_dir: Path) -> list[dict[str, Any]]:
    with closing(_reader(data_dir)) as reader:
        reader.row_factory = sqlite3.Row
        left_out = {"id", "arguments", "asked_by", "detail", "result"}
        found = reader.execute("SELECT * FROM commands ORDER BY number DESC LIMIT ?", (MAX_ROWS,))
        return [{key: row[key] for key in row.keys() if key not in left_out} for row in found]  # noqa: SIM118


def _ledger(data_dir: Path) -> list[dict[str, Any]]:
    with closing(_reader(data_dir)) as reader:
        found = reader.execute(
            "SELECT source, day, min(first), max(last), sum(stored) FROM ledger GROUP BY source, day"
            " ORDER BY day DESC, source LIMIT ?",
            (MAX_ROWS,),
        )
        keys = ("source", "day", "first", "last", "stored")
        return [dict(zip(keys, row, strict=True)) for row in found]


def _certificates(config: Config) -> list[Mapping[str, Any]]:
    return [
        {
            "key": one.key,
            "subject": one.subject,
            "issuer": one.issuer,
            "from": one.not_before.isoformat(),
            "until": one.not_after.isoformat(),
        }
        for one in certificates(config)
    ]
