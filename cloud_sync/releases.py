"""Releases: what `picante.releases.v1` holds for gateways, by kind and target. Pure.

A record's key is `KIND/TARGET`, and the last one of a key counts; a tombstone withdraws it. Of several targets that
name a gateway the nearest counts: its own name before its region before all.
"""

from __future__ import annotations

import hashlib
from typing import get_args

from cloud_sync.published import Kind, Release, read_published
from heat.errors import DataError
from heat.identity import check_name

KINDS: tuple[Kind, ...] = get_args(Kind)
MAX_CONTENT_BYTES = 640 * 1024
"""bytes; in base64 and its envelope it fits into a record (`envelope.MAX_ENVELOPE_BYTES`)."""
ALL = "all"


def targets(gateway: str, region: str) -> tuple[str, ...]:
    """The targets that name a gateway, the nearest first."""
    return f"gateway/{gateway}", f"region/{region}", ALL


def check_target(target: str) -> str:
    """`target`, if it is one. Raises DataError."""
    place, _, name = target.partition("/")
    if target != ALL:
        if place not in {"gateway", "region"}:
            raise DataError(f"{target!r} is no target", hint="Write all, region/NAME or gateway/NAME")
        check_name(name, place)
    return target


def key_of(kind: Kind, target: str) -> str:
    """The key of a release's record."""
    return f"{kind}/{target}"


def read_key(key: str) -> tuple[Kind, str]:
    """Kind and target of a record. Raises DataError."""
    kind, _, target = key.partition("/")
    if kind not in KINDS:
        raise DataError("it is the key of no release")
    return kind, check_target(target)


def read_release(key: str, value: bytes) -> Release:
    """What a record releases, whole, under the key that it belongs to. Raises DataError."""
    kind, target = read_key(key)
    said = read_published(value)
    if not isinstance(said, Release):
        raise DataError("it is no release")
    if (said.kind, said.target) != (kind, target):
        raise DataError("a release lies under the key of another one")
    if hashlib.sha256(said.content).hexdigest() != said.sha256:
        raise DataError(f"release {said.number} of {key} is damaged: its SHA-256 differs")
    return said


def release(kind: Kind, target: str, number: int, content: bytes) -> Release:
    """A release of some content. Raises DataError if it is too large, or its target is none."""
    if len(content) > MAX_CONTENT_BYTES:
        raise DataError(
            f"{len(content):,} bytes are too many for a release: {MAX_CONTENT_BYTES:,} fit into a record",
            hint="Leave out what gateways don't need; a larger bundle has to be brought to them as files",
        )
    digest = hashlib.sha256(content).hexdigest()
    return Release(kind=kind, target=check_target(target), number=number, sha256=digest, content=content)
