"""`setup.toml` in the data directory: what the first boot asked for. It counts where gateway.toml says nothing.

[gateway]  id, store, region, timezone
[kafka]    bootstrap, tls
"""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from heat.errors import ConfigError

FILE = "setup.toml"
MARK, CODE = "set-up", "setup-code"
"""Beside it: that there was an owner once; the code that opens the setup, while it is open."""
KEYS = {"gateway": ("id", "store", "region", "timezone"), "kafka": ("bootstrap", "tls")}
"""What it may hold."""
NEEDED = ("id", "store", "region")
"""Keys of [gateway] without which there is no gateway yet."""
UNNAMED = {"id": "new", "store": "new", "region": "new"}
"""What stands for those until they are known; nothing is stored under these names."""

Answers = dict[str, dict[str, Any]]


def read(data_dir: Path) -> Answers:
    """What was answered; nothing where there is no file.

    Raises:
        ConfigError: it is damaged, or says more than it may.
    """
    path = data_dir / FILE
    hint = f"Answer anew: picante gateway setup-code --again; or write its lines into gateway.toml and remove {FILE}"
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: {error}", hint=hint) from error
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{path}: {error}", hint=hint) from error
    for table, values in found.items():
        if not isinstance(values, dict) or set(values) - set(KEYS.get(table, ())):
            raise ConfigError(f"{path}: [{table}] has what was never asked for", hint=hint)
    return found


def may_ask(data_dir: Path) -> bool:
    """Whether what is missing is asked for at the next start: setup never comes back by itself."""
    return not (data_dir / MARK).exists() or (data_dir / CODE).exists()


def as_text(answers: Mapping[str, Mapping[str, Any]]) -> str:
    """Answers as TOML."""
    lines = ["# What the first boot asked for. gateway.toml wins over it."]
    for table, keys in KEYS.items():
        said = {key: answers.get(table, {}).get(key) for key in keys}
        if any(value is not None for value in said.values()):
            lines.append(f"[{table}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in said.items() if value is not None]
    return "\n".join(lines) + "\n"


def completed(document: Mapping[str, Any], answers: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """gateway.toml with the answers beneath it; a [kafka] of its own is not mixed with one that was answered."""
    whole = dict(document)
    said = whole.get("gateway", {})
    if isinstance(said, dict):
        whole["gateway"] = {**answers.get("gateway", {}), **said}
    if "kafka" in answers and "kafka" not in whole:
        whole["kafka"] = dict(answers["kafka"])
    return whole
