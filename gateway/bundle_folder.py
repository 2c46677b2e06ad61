"""A bundle that was released, as the directory that rankers open: made of what the store has, whole or not at all."""

from __future__ import annotations

import contextlib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

from cloud_sync.durable import sync_directory
from heat.errors import ModelError
from models.bundle import load, unpack

FOLDER = "releases"
"""In data_dir."""


@dataclass(frozen=True, slots=True)
class Bundles:
    """The directories of the bundle to use, and of the one that is gone back to if its trial goes wrong.

    None: the one that gateway.toml names.
    """

    now: Path | None = None
    before: Path | None = None
    on_trial: bool = False


PLAIN = Bundles()
"""What gateway.toml names, and nothing that was released."""


def place(folder: Path, sha256: str) -> Path:
    """Where a packed bundle's directory is, or would be."""
    return folder / f"bundle-{sha256[:12]}"


def put(folder: Path, sha256: str, packed: bytes) -> Path:
    """The directory of a packed bundle, made if it is not there whole. Raises ModelError, OSError."""
    path = place(folder, sha256)
    with contextlib.suppress(ModelError):
        return load(path).path
    files = unpack(packed)
    new = folder / f"{path.name}.new"
    for stale in (new, path):
        shutil.rmtree(stale, ignore_errors=True)
    new.mkdir(parents=True, mode=0o700)
    for name, content in files.items():
        with (new / name).open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    load(new)
    sync_directory(new)
    new.rename(path)
    sync_directory(folder)
    return path


def tidy(folder: Path, *keep: Path) -> None:
    """Remove every other bundle: what a kill left half made, and what is used no more."""
    if folder.is_dir():
        for path in folder.iterdir():
            if path not in keep:
                shutil.rmtree(path, ignore_errors=True)
