"""Who made a bundle: a signature beside its manifest, and the keys of those whom a gateway trusts.

    signature.json     {"key": public key, "signature": of manifest.json's bytes}   Ed25519 (RFC 8032), in hex digits
    bundle-keys.toml   [signers]
                       brand-2026 = "64 hex digits"                                 a public key; nothing secret

The manifest has the hash of every other file, so one signature holds all of them. It is checked before anything of the
manifest is read. `cryptography` is imported where it is used: a gateway that is given no signed bundle never loads it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import msgspec

from heat.errors import ConfigError, ModelError
from heat.identity import check_name

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SIGNATURE_NAME = "signature.json"
MAX_KEYS_BYTES = 64 * 1024
"""bytes of bundle-keys.toml: some 700 signers."""
Signers: TypeAlias = Mapping[str, str]
"""Public key in hex digits -> the name of whose it is."""
_HINT = 'A signer has a line in [signers]: name = "64 hex digits", as `picante models keygen` prints it'


class Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in signature.json."""

    key: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    signature: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{128}$")]


class _Keys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    signers: dict[str, Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]]


def read_signers(path: Path) -> Signers:
    """The signers in a bundle-keys.toml. Raises ConfigError."""
    try:
        with path.open("rb") as file:
            text = file.read(MAX_KEYS_BYTES + 1)
        if len(text) > MAX_KEYS_BYTES:
            raise ConfigError(f"{path}: is larger than {MAX_KEYS_BYTES} bytes", hint=_HINT)
        signers = msgspec.convert(tomllib.loads(text.decode()), type=_Keys).signers
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=_HINT) from error
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise ConfigError(f"{path}: {error}", hint=_HINT) from error
    found: dict[str, str] = {}
    for name, key in signers.items():
        check_name(name, "signer")
        if key in found:
            raise ConfigError(f"{path}: {found[key]} and {name} have one key", hint="Each signer has a key of its own")
        found[key] = name
    return found


def read_signature(path: Path, content: bytes) -> Signature:
    """What a signature.json says, unchecked. `path` is for the message. Raises ModelError."""
    try:
        return msgspec.json.decode(content, type=Signature)
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}", hint="Sign the bundle again", reason="signature") from error


def verify(path: Path, manifest: bytes, signature: bytes, signers: Signers) -> str:
    """The name of the signer. `path`: of signature.json, for the message. Raises ModelError: it is none of theirs."""
    said = read_signature(path, signature)
    if (name := signers.get(said.key)) is None:
        raise ModelError(
            f"{path}: signed with the key {said.key[:16]}…, which is nobody's who is trusted here",
            hint="Add the signer to the file that [keys] bundles names, or have a trusted one sign",
            reason="signer",
        )
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(said.key)).verify(bytes.fromhex(said.signature), manifest)
    except (InvalidSignature, ValueError) as error:
        raise ModelError(
            f"{path}: not {name}'s signature of this manifest: one of the two was changed",
            hint="Copy the bundle again; if it stays, ask who signed it",
            reason="signature",
        ) from error
    return name


def make_key(path: Path) -> str:
    """Make a private key in PEM (mode 0600). The public one, in hex digits. Raises ConfigError: it can't be written."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(pem)
    except OSError as error:
        hint = "A key is never written over: name a file that is not there yet, in a directory that is"
        raise ConfigError(f"{path}: {error.strerror}", hint=hint) from error
    return _public(key)


def sign(manifest: bytes, key_file: Path) -> tuple[str, bytes]:
    """The signer's public key, and the content of signature.json for these bytes. Raises ConfigError."""
    key = _private(key_file)
    public = _public(key)
    return public, msgspec.json.encode(Signature(public, key.sign(manifest).hex())) + b"\n"


def _private(path: Path) -> Ed25519PrivateKey:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    hint = "Make one with picante models keygen"
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}", hint=hint) from error
    except (ValueError, TypeError):
        # its message might quote the key; a password is asked for by TypeError
        raise ConfigError(f"{path}: no private key in PEM without a password", hint=hint) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise ConfigError(f"{path}: no key of Ed25519", hint=hint)
    return key


def _public(key: Ed25519PrivateKey) -> str:
    return key.public_key().public_bytes_raw().hex()
