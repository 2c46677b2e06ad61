"""Inputs to begin with, for each target: what the vectors of the wire have for it, and the corpus.

A folder of `corpus/` is a target's, a file one input, by its SHA-1: what reached code that no vector did, and what once
broke something.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import cbor2

CORPUS = Path(__file__).parent / "corpus"
WIRE = Path(__file__).parents[1] / "vectors/wire"
TARGETS = ("line", "packet", "body", "session")


def from_vectors(target: str) -> list[bytes]:
    """What the vectors have for a target."""
    vectors = [vector for name in ("messages", "lenient", "bad") for vector in _load(name)]
    frames = [bytes.fromhex(vector["frame"]) for vector in vectors]
    match target:
        case "line":
            return frames
        case "session":
            return [*frames, b"".join(frames)]
        case "packet":
            return [_packet(vector) for vector in vectors if "body" in vector]
        case _:
            events = [cbor2.loads(bytes.fromhex(vector["body"])) for vector in vectors if "event_body" in vector]
            return [bytes([fields[7]]) + cbor2.dumps(fields[8]) for fields in events]


def name_of(given: bytes) -> str:
    """The name of an input's file: its SHA-1, as libFuzzer has it."""
    return hashlib.sha1(given, usedforsecurity=False).hexdigest()


def _load(name: str) -> list[dict[str, Any]]:
    vectors: list[dict[str, Any]] = json.loads((WIRE / f"{name}.json").read_text())
    return vectors


def _packet(vector: dict[str, Any]) -> bytes:
    return bytes([vector.get("version", 1), vector["type"]]) + bytes.fromhex(vector["body"])
