"""A backup's content: a few files with known names, as a compressed tar, and the header that tells of them.

    gateway.db                     a snapshot: events, profiles, planograms, releases ...

and only where a passphrase seals it

    access.db                      who may sign in
    keyring.json                   the dispensers' keys
    setup.toml, set-up             what was set up, and that it was
    files/SECTION.KEY              what gateway.toml names

Only these names are ever written when one is read, whatever a file says, and never more bytes than the header tells.
"""

from __future__ import annotations

import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, BinaryIO, cast

import msgspec
from msgspec import Meta

from cloud_sync.durable import sync_directory
from gateway.backup import sealed
from heat.errors import BackupUnusable

DATABASE = "gateway.db"
ACCESS = "access.db"
KEYRING = "keyring.json"
SETUP = "setup.toml"
MARK = "set-up"
NAMED = "files/"
STATE = (DATABASE, ACCESS, KEYRING, SETUP, MARK)
"""What lies in the data directory."""
MAX_SMALL_BYTES = 16 * 1024 * 1024
"""Bytes of a file that is no database; a keyring of 10,000 dispensers has two million."""
READ_BYTES = 64 * 1024
_NAMED = re.compile(r"files/[a-z_]+\.[a-z_]+")
_DAMAGED = "Take the backup again, or another one"


class Header(msgspec.Struct, frozen=True):
    """What anybody may know of a backup."""

    gateway: Annotated[str, Meta(max_length=64)]
    store: Annotated[str, Meta(max_length=64)]
    region: Annotated[str, Meta(max_length=64)]
    software: Annotated[str, Meta(max_length=64)]
    """The version of Picante that made it."""
    made_ms: int
    """Unix time, ms, by that gateway's clock."""
    stored: Annotated[int, Meta(ge=0)]
    """The position of the last row."""
    confirmed: Annotated[int, Meta(ge=0)]
    """Rows up to this position were in Kafka."""
    migrations: tuple[str, ...]
    files: dict[str, Annotated[int, Meta(ge=0)]]
    """Bytes of each, by name."""
    seal: sealed.Seal | None = None
    """None where it is plain, and has no secrets."""

    @property
    def bytes_(self) -> int:
        """Of all files."""
        return sum(self.files.values())


@dataclass(frozen=True, slots=True)
class Source:
    """A file for a backup: its size, and its content in pieces."""

    size: int
    pieces: Iterable[bytes]


def of_file(path: Path) -> Source:
    """A file on disk."""
    return Source(path.stat().st_size, _pieces(path))


def of_bytes(content: bytes) -> Source:
    """A file in memory."""
    return Source(len(content), [content])


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(READ_BYTES):
            yield piece


def write(header: Header, sources: Mapping[str, Source], key: bytes | None) -> Iterator[bytes]:
    """A backup file's bytes, as fast as they are taken."""
    return sealed.write(msgspec.json.encode(header), _deflate(_tar(sources)), key)


def _tar(sources: Mapping[str, Source]) -> Iterator[bytes]:
    for name, source in sources.items():
        info = tarfile.TarInfo(name)
        info.size, info.mode = source.size, 0o600
        yield info.tobuf()
        written = 0
        for piece in source.pieces:
            written += len(piece)
            yield piece
        if written != source.size:
            raise BackupUnusable(f"{name} changed while it was read", hint="Take the backup again")
        yield bytes(-written % tarfile.BLOCKSIZE)
    yield bytes(2 * tarfile.BLOCKSIZE)


def _deflate(pieces: Iterable[bytes]) -> Iterator[bytes]:
    packer = zlib.compressobj(1)  # half of the size; level 6 takes three times as long for a tenth less
    for piece in pieces:
        if packed := packer.compress(piece):
            yield packed
    yield packer.flush()


def read_header(file: BinaryIO) -> tuple[Header, bytes]:
    """What a backup says of itself, and the same as bytes. Raises BackupUnusable."""
    raw = sealed.read_header(file)
    try:
        return msgspec.json.decode(raw, type=Header), raw
    except msgspec.DecodeError as error:
        raise BackupUnusable(f"the backup's header can't be read: {error}", hint=_DAMAGED) from None


def extract(file: BinaryIO, header: Header, raw: bytes, passphrase: str | None, into: Path) -> None:
    """Write a backup's files into a directory that is there and empty, all of it on disk when this returns.

    Raises:
        BackupUnusable: it is not as it was made, or of another passphrase; what was written then is worth nothing.
        OSError: they can't be written.
    """
    key = None
    if header.seal is not None:
        if not passphrase:
            raise BackupUnusable("the backup is sealed", hint="Type the passphrase that it was made with")
        key = header.seal.key(passphrase)
    stream = _Inflating(sealed.read(file, raw, key), header.bytes_)
    found = set()
    try:
        with tarfile.open(mode="r|", fileobj=cast("BinaryIO", stream)) as tar:
            for member in tar:
                if member.name in found or not _is_known(member, header):
                    raise BackupUnusable("the backup has a file that is none of a gateway's", hint=_DAMAGED)
                found.add(member.name)
                _write(tar, member, into / member.name)
        stream.drain()
    except (tarfile.TarError, zlib.error, EOFError) as error:
        raise BackupUnusable("the backup is damaged", hint=_DAMAGED) from error
    if found != header.files.keys() or DATABASE not in found:
        raise BackupUnusable("the backup lacks files", hint=_DAMAGED)
    sync_directory(into)


def _is_known(member: tarfile.TarInfo, header: Header) -> bool:
    name = member.name
    known = name in STATE or _NAMED.fullmatch(name) is not None
    return known and member.isreg() and header.files.get(name) == member.size


def _write(tar: tarfile.TarFile, member: tarfile.TarInfo, path: Path) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    source = cast("BinaryIO", tar.extractfile(member))
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        while piece := source.read(READ_BYTES):
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    sync_directory(path.parent)


class _Inflating:
    """A file to read from, of packed pieces; more than the header tells is never unpacked."""

    def __init__(self, pieces: Iterator[bytes], told_bytes: int) -> None:
        self._pieces = pieces
        self._unpacker = zlib.decompressobj()
        self._kept = bytearray()
        self._room = told_bytes + (len(STATE) + 100) * 2 * tarfile.BLOCKSIZE

    def read(self, size: int) -> bytes:
        """So many bytes, less at the end."""
        while len(self._kept) < size and self._more(size - len(self._kept)):
            pass
        piece = bytes(self._kept[:size])
        del self._kept[:size]
        return piece

    def drain(self) -> None:
        """Read to the end, which proves that the file is whole."""
        while self.read(READ_BYTES):
            pass

    def _more(self, size: int) -> bool:
        packed = self._unpacker.unconsumed_tail
        if not packed:
            found = next(self._pieces, None)
            if found is None:
                if not self._unpacker.eof:
                    raise BackupUnusable("the backup ends too early", hint=_DAMAGED)
                return False
            packed = found
        piece = self._unpacker.decompress(packed, max(size, READ_BYTES))
        self._room -= len(piece)
        if self._room < 0:
            raise BackupUnusable("the backup has more in it than it says", hint=_DAMAGED)
        self._kept += piece
        return True
