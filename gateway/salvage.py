"""What is still good of a gateway.toml that can't be used: enough of it to show a page that says what is wrong."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from gateway.config import LOOPBACK, Config

_NAMELESS = {"id": "gateway", "store": "this-store", "region": "here"}
"""Until the file tells."""
_SECTIONS = ("gateway", "http", "keys", "clock", "system")
"""What a page needs to know: where it listens, who may come in, whose it is."""


def salvage(path: Path) -> Config:
    """A configuration of those keys that are right by themselves, and of defaults. It never raises."""
    good: dict[str, dict[str, Any]] = {"gateway": dict(_NAMELESS)}
    for section in _SECTIONS:
        table = _document(path).get(section)
        for key, value in table.items() if isinstance(table, dict) else ():
            tried = good | {section: good.get(section, {}) | {key: value}}
            if _config(path, tried) is not None:
                good = tried
    if good.get("http", {}).get("host", "127.0.0.1") not in LOOPBACK and "issuer" not in good["http"]:
        del good["http"]["host"]  # in clear to nobody but this machine
    config = _config(path, good)
    assert config is not None, "each key was tried"
    return config


def _document(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return {}


def _config(path: Path, document: dict[str, Any]) -> Config | None:
    as_tuples = {
        section: {key: tuple(value) if isinstance(value, list) else value for key, value in table.items()}
        for section, table in document.items()
    }
    try:
        return Config.model_validate({**as_tuples, "directory": path.resolve().parent})
    except ValidationError:
        return None
