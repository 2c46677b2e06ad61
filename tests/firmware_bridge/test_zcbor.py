"""The C that zcbor makes of picante.cddl, by the commands of docs/protocol.md, reads and writes what our codec does."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cbor2
import pytest

from firmware_bridge.codec import encode_body
from firmware_bridge.framing import Frame, FrameDecoder
from firmware_bridge.messages import (
    MAX_NOZZLES,
    MAX_VALUES,
    MAX_VERSIONS,
    Hello,
    Message,
    NozzleInfo,
    PickInfo,
    Picks,
    Sample,
    Series,
)
from tests.firmware_bridge.schema import rule_of
from tests.firmware_bridge.test_vectors import RULES, load

ROOT = Path(__file__).parents[2]
ZCBOR = Path(sys.prefix) / "zcbor"
"""Where `make dev` puts it, with the cbor2 that it wants."""
ECHO = Path(__file__).parent / "zcbor/echo.c"

Echo = Callable[[list[tuple[str, bytes]]], list[str]]
"""Rules and bodies -> what the C makes of each: hex, `?` for what it did not read, `!` for what it could not write."""


@pytest.fixture(scope="module")
def echo(tmp_path_factory: pytest.TempPathFactory) -> Echo:
    if not ZCBOR.is_dir() or shutil.which("gcc") is None:
        pytest.skip("make test installs zcbor and gcc")
    here = tmp_path_factory.mktemp("zcbor")
    shutil.copy(ROOT / "firmware_bridge/picante.cddl", here)
    shutil.copy(ECHO, here)
    found = {"PATH": f"{ZCBOR / 'bin'}:{os.environ['PATH']}", "PYTHONPATH": str(ZCBOR), "PYTHONWARNINGS": "ignore"}
    make, translate = commands()
    for command in (make, [*translate, *map(str, (ZCBOR / "zcbor/src").glob("zcbor_*.c"))]):
        placed = [word.replace("ZCBOR", str(ZCBOR / "zcbor")) if word.startswith("-I") else word for word in command]
        subprocess.run(placed, cwd=here, env=os.environ | found, check=True, capture_output=True)

    def run(bodies: list[tuple[str, bytes]]) -> list[str]:
        lines = "".join(f"{rule} {body.hex()}\n" for rule, body in bodies)
        return subprocess.run(here / "echo", input=lines, check=True, capture_output=True, text=True).stdout.split()

    return run


def commands() -> tuple[list[str], list[str]]:
    """How the page says that C is made of the schema, and compiled: the same flags, with our `echo` as the firmware."""
    text = (ROOT / "docs/protocol.md").read_text()
    [block] = re.findall(r"^```\npip install zcbor.*?^```$", text, re.DOTALL | re.MULTILINE)
    make, compiled = re.findall(r"^((?:zcbor|gcc) (?:.*\\\n)*.*)$", block, re.MULTILINE)
    [flags] = re.findall(r"gcc (.*) -c .*", compiled)
    sources = ["echo.c", "wire_decode.c", "wire_encode.c"]
    return shlex.split(make.replace("\\\n", " ")), ["gcc", *shlex.split(flags), *sources, "-o", "echo"]


def test_it_writes_every_vector_as_it_read_it(echo: Echo) -> None:
    vectors = load("messages")
    bodies = [(vector["rule"], bytes.fromhex(vector["body"])) for vector in vectors]
    names = [vector["name"] for vector in vectors]
    assert dict(zip(names, echo(bodies), strict=True)) == dict(
        zip(names, [body.hex() for _, body in bodies], strict=True)
    )


def test_its_lists_hold_as_much_as_ours(echo: Echo) -> None:
    hello = Hello(
        dispenser="bar-1",
        firmware="1.0.0",
        versions=tuple(range(1, MAX_VERSIONS + 1)),
        nozzles=tuple(NozzleInfo(number, "table-red", 700) for number in range(1, MAX_NOZZLES + 1)),
        generation=1,
        lowest=1,
        next=1,
        nonce=bytes(16),
        boot=1,
        uptime_ms=0,
    )
    slots = (PickInfo(1, "table-red", "Table Red", 7_300, "as you like it"),) * MAX_NOZZLES
    series = tuple(Series(1, number, (0,) * MAX_VALUES) for number in range(MAX_NOZZLES))
    fullest: list[Message] = [
        hello,
        Picks(nonce=bytes(8), pick_id="p", picks=slots),
        Sample(uptime_ms=1, period_ms=100, series=series),
    ]
    bodies = [(rule_of(message), encode_body(message)) for message in fullest]
    assert echo(bodies) == [body.hex() for _, body in bodies]


def test_it_reads_no_body_that_we_refuse(echo: Echo) -> None:
    told = [vector for vector in load("bad") if vector["reason"] == "invalid_body"]
    frames = [frame for vector in told for frame in FrameDecoder().feed(bytes.fromhex(vector["frame"]))]
    bodies = [(RULES[frame.type], frame.body) for frame in frames if isinstance(frame, Frame)]
    assert len(bodies) == len(told) > 20
    assert dict(zip([vector["name"] for vector in told], echo(bodies), strict=True)) == dict.fromkeys(
        [vector["name"] for vector in told], "?"
    )


@pytest.mark.parametrize(
    ("rule", "body"),
    [
        ("pong", {1: bytes(7)}),
        ("pong", {1: bytes(8), 99: 0}),
        ("event", {1: 1, 2: 1, 3: 1, 4: 1, 5: 1, 6: 1, 7: 1, 8: {1: "table-red", 2: "too_hot"}}),
        ("command", {1: bytes(8), 2: "tare", 3: 1, 4: 5, 5: {1: True}}),
        ("ack", {2: 1, 1: 1}),
    ],
    ids=["too short", "an unknown key", "another kind's body", "another verb's arguments", "another order"],
)
def test_it_does_not_read_this(echo: Echo, rule: str, body: dict[int, Any]) -> None:
    assert echo([(rule, cbor2.dumps(body))]) == ["?"]
