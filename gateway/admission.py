"""Whether a bundle that was released may be used: a trusted signer's, and newer than all that were used before.

The topic of releases may be written by others than those who train: whoever only has that can neither make a bundle up
nor bring an old one back. The highest sequence that was used for each target is kept, with the bundle that had it: that
one may come back when a nearer target's is withdrawn.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

import msgspec

from gateway.shelf import Kept
from gateway.transaction import Transaction
from heat.errors import ModelError
from models.bundle import Bundle, check_sequence, read_packed
from models.signing import Signers

_META = "bundles_used"


class _Used(msgspec.Struct, frozen=True, array_like=True):
    sequence: int
    sha256: str


def trusted(packed: bytes, path: Path, signers: Signers | None) -> Bundle:
    """The bundle of a release; `path` is where it will lie.

    Raises:
        ModelError: it is not whole, or not signed by one of `signers`.
    """
    if signers is None:
        raise ModelError(
            "released bundles are not used: gateway.toml trusts no signer",
            hint="Name a file of public keys as `bundles` in [keys]",
            reason="signer",
        )
    return read_packed(packed, path, signers, signed=True)


def check_newer(connection: sqlite3.Connection, kept: Kept, bundle: Bundle) -> None:
    """Raises ModelError if the bundle of a release is older than what was used before, and was not used for it."""
    used = _used(connection)
    if (mine := used.get(kept.target)) is None or mine.sha256 != kept.sha256:
        check_sequence(bundle, max((one.sequence for one in used.values()), default=0))


def note_used(tx: Transaction, kept: Kept, bundle: Bundle) -> None:
    """Remember that a bundle came into use, in the transaction that uses it."""
    used = _used(tx.connection) | {kept.target: _Used(bundle.manifest.sequence, kept.sha256)}
    tx.set_meta(_META, msgspec.json.encode(used).decode())


def note_taken_back(tx: Transaction, target: str) -> None:
    """Remember that the last bundle for a target did no good: released again, it is an old one like any other."""
    used = _used(tx.connection)
    if (last := used.get(target)) is not None:
        tx.set_meta(_META, msgspec.json.encode(used | {target: _Used(last.sequence, "")}).decode())


def _used(connection: sqlite3.Connection) -> dict[str, _Used]:
    """By target; a gateway has three."""
    row = connection.execute("SELECT value FROM meta WHERE key = ?", (_META,)).fetchone()
    return {} if row is None else msgspec.json.decode(row[0], type=dict[str, _Used])
