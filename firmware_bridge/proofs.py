"""HMACs: who holds a dispenser's key. All are HMAC-SHA-256; `docs/protocol.md` has worked examples."""

from __future__ import annotations

import hmac
from typing import Any

import cbor2
import msgspec

from firmware_bridge.messages import Hello, Welcome

HELLO_FIELDS = {1: 10, 2: 12}
"""How many of HELLO's keys a proof covers, by protocol version."""


def key_id(key: bytes) -> bytes:
    """4 bytes that tell a key from another, and nothing about it."""
    return hmac.digest(key, b"picante key id", "sha256")[:4]


def mask_key(present: bytes, new: bytes, command: bytes) -> bytes:
    """`new` masked by the `present` key, for the command with this id; masking what is masked gives `new` again."""
    pad = hmac.digest(present, b"picante rotate 1" + command, "sha256")
    return bytes(a ^ b for a, b in zip(new, pad, strict=True))


def welcome_mac(key: bytes, hello: Hello, welcome: Welcome) -> bytes:
    """The MAC of a WELCOME (its own `mac` field aside): the gateway holds this dispenser's key."""
    answer = [welcome.version, welcome.time_ms, welcome.window, welcome.generation, welcome.durable]
    confirm = [list(welcome.confirm)] if welcome.confirm else []
    return _mac(key, "welcome", welcome.version, hello, welcome.nonce, [*answer, *confirm])


def ready_mac(key: bytes, hello: Hello, welcome: Welcome) -> bytes:
    """The MAC of a READY: the dispenser holds its key, and has seen this WELCOME."""
    return _mac(key, "ready", welcome.version, hello, welcome.nonce, [])


def _mac(key: bytes, step: str, version: int, hello: Hello, nonce_g: bytes, more: list[Any]) -> bytes:
    # an array of the named fields, not the body's bytes: a newer HELLO may carry keys that we don't know
    fields = msgspec.structs.astuple(hello)[: HELLO_FIELDS[version]]
    signed = [f"picante {step} {version}", *msgspec.to_builtins(fields, builtin_types=(bytes,)), nonce_g, *more]
    return hmac.digest(key, cbor2.dumps(signed), "sha256")
