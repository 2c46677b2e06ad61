"""`picante.cddl` as a validator that shares nothing with our codec understands it."""

from __future__ import annotations

import functools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from firmware_bridge.codec import encode_body
from firmware_bridge.messages import Message

if TYPE_CHECKING:
    import pycddl

CDDL = (Path(__file__).parents[2] / "firmware_bridge/picante.cddl").read_text()


@functools.cache
def schema(rule: str) -> pycddl.Schema:
    """The schema with this rule on top."""
    pycddl = pytest.importorskip("pycddl", reason="pycddl has no wheel for this machine")
    return pycddl.Schema(f"root = {rule}\n{CDDL}")


def check(rule: str, body: bytes) -> None:
    """Raises `pycddl.ValidationError` where `body` is not what the rule says."""
    schema(rule).validate_cbor(body)


def rule_of(message: Message) -> str:
    """The rule for a message: its name as the schema writes it."""
    name = type(message).__name__.removesuffix("Message")
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", name).lower()


def is_taken(rule: str, body: bytes) -> bool:
    """Whether `body` is what the rule says."""
    pycddl = pytest.importorskip("pycddl", reason="pycddl has no wheel for this machine")
    try:
        check(rule, body)
    except pycddl.ValidationError:
        return False
    return True


def check_message(message: Message) -> None:
    """As `check`, by the message's own rule."""
    check(rule_of(message), encode_body(message))
