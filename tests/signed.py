"""Bundles as a brand releases them: signed, with a sequence, and the file by which gateways trust the signer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.bundle import Bundle, load, pack, pretrained
from models.manifest import encode
from models.signing import Signature

BRAND = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = BRAND.public_key().public_bytes_raw().hex()


def trust(path: Path) -> Path:
    """Write a bundle-keys.toml that trusts the brand."""
    path.write_text(f'[signers]\nbrand = "{PUBLIC}"\n')
    return path


def signed(sequence: int = 1, bundle: Bundle | None = None, **changes: Any) -> Bundle:
    """A bundle, the one that ships if not another, with a sequence, signed by the brand. Its files are not on disk."""
    bundle = bundle or load(pretrained())
    manifest = msgspec.structs.replace(bundle.manifest, sequence=sequence, **changes)
    text = encode(manifest)
    signature = msgspec.json.encode(Signature(PUBLIC, BRAND.sign(text).hex()))
    return replace(bundle, manifest=manifest, text=text, signature=signature)


def released(sequence: int = 1, bundle: Bundle | None = None, **changes: Any) -> bytes:
    """The same as the content of a release."""
    return pack(signed(sequence, bundle, **changes))
