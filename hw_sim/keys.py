"""The dispensers' keys, in the file that the gateway reads as well.

    [dispensers]
    "bar-1" = "64 hex digits"

A key proves a dispenser to its gateway and the gateway to the dispenser, so the file is its owner's alone (0600).
"""

from __future__ import annotations

import re
import secrets
import tomllib
from collections.abc import Iterable
from pathlib import Path

from heat.errors import ConfigError

KEY_BYTES = 32


def load_keys(path: Path) -> dict[str, bytes]:
    """The keys by dispenser; none if there is no such file. Raises ConfigError."""
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8")).get("dispensers", {})
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise ConfigError(f"keys file {path}: {error}") from error
    keys = {}
    for name, text in entries.items():
        if not isinstance(text, str) or not re.fullmatch(r"[0-9a-fA-F]{64}", text):
            raise ConfigError(f"keys file {path}: the key of {name!r} is not 64 hex digits")
        keys[name] = bytes.fromhex(text)
    return keys


def ensure_keys(path: Path, dispensers: Iterable[str]) -> dict[str, bytes]:
    """The keys by dispenser, after making the file, and those that it lacks."""
    keys = load_keys(path)
    missing = [name for name in dispensers if name not in keys]
    if missing or not path.exists():  # a gateway whose configuration names it wants it there, though it is empty
        keys |= {name: secrets.token_bytes(KEY_BYTES) for name in missing}
        _save(path, keys)
    return keys


def _save(path: Path, keys: dict[str, bytes]) -> None:
    lines = ["[dispensers]", *(f'"{name}" = "{key.hex()}"' for name, key in sorted(keys.items()))]
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=0o600)
    fresh.write_text("\n".join(lines) + "\n", encoding="utf-8")
    fresh.replace(path)
