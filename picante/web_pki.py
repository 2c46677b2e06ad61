"""The brand's root for web pages, and an issuer for each gateway, as PEM files in one directory.

    web-root.pem, web-root.key           the root; its certificate is installed once on each technician's phone
    gateways/GATEWAY.pem, GATEWAY.key    an issuer, and behind it the root's certificate: what a gateway's [http] names

The root's key stays with the brand. An issuer's lies on its gateway, where it signs certificates for the addresses that
the gateway has. Neither can vouch for anything but local networks (`gateway.certificates`).
"""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding

from gateway.certificates import (
    Request,
    load_certificate,
    load_key,
    new_key,
    pem_of,
    sign_issuer,
    sign_root,
    write_pem,
)
from heat.errors import ConfigError, DataError
from heat.identity import check_name
from picante.errors import writing


class Made(NamedTuple):
    """A certificate in its file, with its key beside it."""

    path: Path
    until: datetime
    fresh: bool
    """False: it was there already, and stays."""


def make_root(directory: Path, name: str, days: int) -> Made:
    """Make the root; one that is there stays as it is.

    Raises:
        ConfigError: half of one is there, or the directory can't be written.
    """
    path, key_path = directory / "web-root.pem", directory / "web-root.key"
    fresh = not (path.exists() or key_path.exists())
    with writing(directory):
        if fresh:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            key = new_key()
            write_pem(key_path, pem_of(key), 0o600)
            write_pem(path, sign_root(key, name, days).public_bytes(Encoding.PEM), 0o644)
        _check_pair(path, key_path)
    return Made(path, load_certificate(path).not_valid_after_utc, fresh)


def make_issuer(directory: Path, gateway: str, days: int, *, renew: bool = False) -> Made:
    """Make a gateway's issuer; one that is there stays, unless it is to be renewed.

    Raises:
        ConfigError: there is no root, no gateway can have this name, or the directory can't be written.
    """
    try:
        check_name(gateway, "gateway")
    except DataError as error:
        raise ConfigError(error.args[0], hint=error.hint) from error
    root_path, root_key_path = directory / "web-root.pem", directory / "web-root.key"
    if not root_path.exists():
        hint = "Make a root with picante gateway web-pki init, or give its --directory"
        raise ConfigError(f"{root_path}: there is no root", hint=hint)
    _check_pair(root_path, root_key_path)
    root, root_key = load_certificate(root_path), load_key(root_key_path)
    path = directory / "gateways" / f"{gateway}.pem"
    with writing(directory), _alone(root_key_path):
        fresh = renew or not path.exists()
        if fresh:
            key = new_key()
            signed = sign_issuer(root, root_key, Request(f"Picante gateway {gateway}", key, days))
            chain = b"".join(each.public_bytes(Encoding.PEM) for each in (signed, root))
            write_pem(path.with_suffix(".key"), pem_of(key), 0o600)
            write_pem(path, chain, 0o644)
        _check_pair(path, path.with_suffix(".key"))
    return Made(path, load_certificate(path).not_valid_after_utc, fresh)


def _check_pair(path: Path, key_path: Path) -> None:
    if load_certificate(path).public_key() != load_key(key_path).public_key():
        raise ConfigError(f"{key_path}: is not the key of {path.name}", hint="Put back the two of one making")


@contextlib.contextmanager
def _alone(path: Path) -> Iterator[None]:
    with path.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
