"""Files that a configuration or a command names: errors say which key led there; secrets are nobody else's to read."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from heat.errors import ConfigError


def check_private(path: Path, name: str) -> None:
    """Refuse a file with a secret that others may read; `name`: the key, or the command's option, that names it.

    Raises:
        ConfigError: it is missing, or not private.
    """
    try:
        mode = stat.S_IMODE(path.stat().st_mode)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=_named_by(name)) from error
    # systemd gives a credential to the service's user by an ACL, whose mask shows as the group's rights
    credentials = os.environ.get("CREDENTIALS_DIRECTORY")
    others = 0o007 if credentials and path.is_relative_to(credentials) else 0o077
    if mode & others:
        raise ConfigError(f"{path}: others may read it (mode {mode:04o})", hint=f"chmod 600 {path}")


def read_text(path: Path, name: str) -> str:
    """A file's text; `name`: the key of the configuration, or the option, that names it. Raises ConfigError."""
    try:
        return path.read_text()
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=_named_by(name)) from error
    except UnicodeDecodeError:
        # its message would quote the bytes
        raise ConfigError(f"{path}: not a text in UTF-8", hint=_named_by(name)) from None


def _named_by(name: str) -> str:
    return f"{name} names this file" if name.startswith("-") else f"{name} in the configuration names this file"
