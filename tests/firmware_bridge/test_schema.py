"""What the schema takes, and what it does not: it is worth something as a judge only if it says no."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from firmware_bridge.messages import BY_NUMBER
from tests.firmware_bridge.schema import CDDL, check

EVENT = {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 2, 8: {1: "table-red", 2: "too_hot"}}
COMMAND = {1: bytes(8), 2: "lock", 3: 1, 4: 5, 5: {1: True}}
SAMPLE = {1: 1, 2: 100, 3: [[1, 1, [0]]]}


@pytest.mark.parametrize(("rule", "body"), [("event", EVENT), ("command", COMMAND), ("sample", SAMPLE)])
def test_what_is_right_is_taken(rule: str, body: dict[int, Any]) -> None:
    check(rule, cbor2.dumps(body))


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("event", EVENT | {7: 1}),
        ("event", EVENT | {7: 9}),
        ("event", {key: value for key, value in EVENT.items() if key != 6}),
        ("event", EVENT | {8: {1: "table-red", 2: "too_much"}}),
        ("command", COMMAND | {2: "tare"}),
        ("command", COMMAND | {2: "fly"}),
        ("command", {key: value for key, value in COMMAND.items() if key != 3}),
        ("command", COMMAND | {1: bytes(7)}),
        ("sample", SAMPLE | {3: [[1, 1, []]]}),
        ("sample", SAMPLE | {3: []}),
        ("sample", SAMPLE | {2: 0}),
        ("ack", {1: 1, 2: 1, 3: 1025}),
        ("ack", {1: 1, 2: 1, 4: 1}),
        ("result", {1: bytes(8), 2: "perhaps"}),
        ("provision", {1: bytes(16), 2: bytes(31)}),
    ],
)
def test_what_is_wrong_is_refused(rule: str, body: dict[int, Any]) -> None:
    pycddl = pytest.importorskip("pycddl", reason="pycddl has no wheel for this machine")
    with pytest.raises(pycddl.ValidationError):
        check(rule, cbor2.dumps(body))


def test_each_message_has_a_rule_with_its_number() -> None:
    numbers = {int(line.split("0x")[1][:2], 16) for line in CDDL.splitlines() if "type 0x" in line}
    assert numbers == set(BY_NUMBER)
