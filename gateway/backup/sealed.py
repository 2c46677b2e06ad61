"""The bytes of a backup file: a header that anybody may read, then chunks, sealed by a passphrase or plain.

    "PICANTE BACKUP 1\\n"
    the header, one line of JSON
    chunks    4 bytes: length, with the highest bit set for the last one; then so many bytes

Sealed, each chunk is AES-256-GCM; the key comes from the passphrase by scrypt and a salt of the file's own, the nonce
is the chunk's number and whether it is the last (the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizar, Online
authenticated-encryption and its nonce-reuse misuse-resistance, 2015), and the header's digest is bound to all. So
chunks can't be changed, moved, left out or cut off, and the header can't be changed. Plain, the last chunk is the
SHA-256 of all before it: a file that was damaged on its way is seen, one that was changed on purpose is not.

Nothing here holds more than a chunk in memory.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Iterator
from typing import Annotated, BinaryIO

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt
from msgspec import Meta

from heat.errors import BackupUnusable

MAGIC = b"PICANTE BACKUP 1\n"
CHUNK_BYTES = 256 * 1024
MAX_HEADER_BYTES = 64 * 1024
SCRYPT_N = 2**15
"""32 MiB, and a third of a second on a Pi 4, for each passphrase that is tried."""
SHORTEST_PASSPHRASE = 10
"""Characters: it guards the keys of all dispensers wherever the file lies, and for as long."""
_LAST = 1 << 31
_TAG_BYTES = 16
_DAMAGED = "It was damaged or cut off on its way: take it, or copy it here, again"


class Seal(msgspec.Struct, frozen=True):
    """How the key comes from the passphrase."""

    salt: Annotated[str, Meta(pattern="^[0-9a-f]{32}$")]
    n: Annotated[int, Meta(ge=2**14, le=2**18)] = SCRYPT_N
    """scrypt's cost; at most 256 MiB, or a file could have the gateway run out of memory."""

    def key(self, passphrase: str) -> bytes:
        """The key; takes a while."""
        return Scrypt(salt=bytes.fromhex(self.salt), length=32, n=self.n, r=8, p=1).derive(passphrase.encode())


def new_seal() -> Seal:
    """A seal for a file that is about to be made."""
    return Seal(secrets.token_hex(16))


def write(header: bytes, content: Iterable[bytes], key: bytes | None) -> Iterator[bytes]:
    """The file's bytes, for content in pieces of whatever size; sealed where there is a key."""
    head = MAGIC + header + b"\n"
    yield head
    wrap = _Sealing(key, head) if key is not None else _Summing(head)
    kept = bytearray()
    for piece in content:
        kept += piece
        while len(kept) > CHUNK_BYTES:
            yield wrap.chunk(bytes(kept[:CHUNK_BYTES]), last=False)
            del kept[:CHUNK_BYTES]
    yield from wrap.end(bytes(kept))


class _Sealing:
    def __init__(self, key: bytes, head: bytes) -> None:
        self._aead = AESGCM(key)
        self._bound = hashlib.sha256(head).digest()
        self._number = 0

    def chunk(self, plain: bytes, *, last: bool) -> bytes:
        """The chunk as it stands in the file."""
        sealed = self._aead.encrypt(_nonce(self._number, last=last), plain, self._bound)
        self._number += 1
        return _length(len(sealed), last=last) + sealed

    def end(self, plain: bytes) -> Iterator[bytes]:
        """The last chunk."""
        yield self.chunk(plain, last=True)


class _Summing:
    def __init__(self, head: bytes) -> None:
        self._sum = hashlib.sha256(head)

    def chunk(self, plain: bytes, *, last: bool) -> bytes:
        """The chunk as it stands in the file."""
        self._sum.update(plain)
        return _length(len(plain), last=last) + plain

    def end(self, plain: bytes) -> Iterator[bytes]:
        """The last piece, and the sum of all."""
        yield self.chunk(plain, last=False)
        yield self.chunk(self._sum.digest(), last=True)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11, "big") + bytes([last])


def _length(size: int, *, last: bool) -> bytes:
    return (size | (_LAST if last else 0)).to_bytes(4, "big")


def read_header(file: BinaryIO) -> bytes:
    """The header's JSON; the file stands at the first chunk then. Raises BackupUnusable."""
    if file.read(len(MAGIC)) != MAGIC:
        hint = (
            "Choose a file that `picante gateway backup` or the page System wrote, by this version of Picante or before"
        )
        raise BackupUnusable("this is no backup of a gateway", hint=hint)
    header = file.readline(MAX_HEADER_BYTES)
    if not header.endswith(b"\n"):
        raise BackupUnusable("the backup has no whole header", hint=_DAMAGED)
    return header[:-1]


def read(file: BinaryIO, header: bytes, key: bytes | None) -> Iterator[bytes]:
    """The content, checked piece by piece; it is whole once the iterator has ended.

    Raises BackupUnusable while iterating: the passphrase is another one, or the file is not as it was written.
    """
    head = MAGIC + header + b"\n"
    bound, summed = hashlib.sha256(head).digest(), hashlib.sha256(head)
    aead = AESGCM(key) if key is not None else None
    number = 0
    while True:
        chunk, last = _chunk(file)
        if aead is not None:
            try:
                yield aead.decrypt(_nonce(number, last=last), chunk, bound)
            except InvalidTag:
                if number == 0:
                    hint = "Type the passphrase that it was made with; if that is it, the file is damaged"
                    raise BackupUnusable("the passphrase is not the backup's", hint=hint) from None
                raise BackupUnusable("the backup is damaged", hint=_DAMAGED) from None
        elif last:
            if not hmac.compare_digest(chunk, summed.digest()):
                raise BackupUnusable("the backup is damaged", hint=_DAMAGED)
        else:
            summed.update(chunk)
            yield chunk
        number += 1
        if last:
            break
    if file.read(1):
        raise BackupUnusable("the backup has more than its end", hint=_DAMAGED)


def _chunk(file: BinaryIO) -> tuple[bytes, bool]:
    head = file.read(4)
    word = int.from_bytes(head, "big")
    size, last = word & ~_LAST, bool(word & _LAST)
    if len(head) < 4 or size > CHUNK_BYTES + _TAG_BYTES:
        raise BackupUnusable("the backup is damaged", hint=_DAMAGED)
    chunk = file.read(size)
    if len(chunk) < size:
        raise BackupUnusable("the backup ends too early", hint=_DAMAGED)
    return chunk, last
