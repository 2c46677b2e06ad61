"""Customers of whom edge and cloud differ, in a file: a restart doesn't forget them, and the command shows them.

It is written when they change, whole, beside the last one, and then takes its place.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import msgspec

from cloud.digests import Difference
from heat.errors import StoreError


def load(path: Path) -> list[Difference]:
    """What the file holds; nothing where there is none, or it is another version's. Raises StoreError."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=list[Difference])
    except (FileNotFoundError, msgspec.DecodeError):
        return []
    except OSError as error:
        raise StoreError(f"{path} can't be read: {error.strerror}", hint="Run it as who runs the cloud") from error


def save(path: Path, differences: Iterable[Difference]) -> None:
    """Have the file hold these. Raises StoreError: it holds what it did."""
    new = path.with_name(path.name + ".new")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        new.write_bytes(msgspec.json.encode(list(differences)))
        new.replace(path)
    except OSError as error:
        hint = "cloud.data_dir of cloud.toml must be a folder that we may write to, with room"
        raise StoreError(f"{path} can't be written: {error.strerror}", hint=hint) from error
