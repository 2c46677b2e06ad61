"""docs/protocol.md says what the code does: its bytes, its message types, its numbers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from firmware_bridge import codec, framing, messages, moves, session, topics
from firmware_bridge.states import mermaid
from gateway import commands, orders
from heat.scale import MAX_SHU, default_words
from hw_sim import dispenser, eeprom, go_back_n, mcu, mqtt_device, question
from models.features import MOOD_STEP

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/protocol.md").read_text()
WIRE = ROOT / "tests/vectors/wire"


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading."""
    section = TEXT.split(f"## {heading}\n", 1)[1]
    lines = [line for line in section.split("\n## ")[0].splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_the_framed_example_is_a_vector() -> None:
    frames = {vector["name"]: vector for vector in json.loads((WIRE / "messages.json").read_text())}
    on_line = re.search(r"^on line +([0-9a-f ]+)$", TEXT, re.MULTILINE)
    body = re.search(r"^body +([0-9a-f ]+?) {2}", TEXT, re.MULTILINE)
    assert on_line is not None
    assert body is not None
    assert on_line[1].replace(" ", "") == frames["pong"]["frame"]
    assert body[1].replace(" ", "") == frames["pong"]["body"].replace(" ", "")


def test_the_signed_example_is_a_vector() -> None:
    macs = json.loads((WIRE / "macs1.json").read_text())
    block = TEXT.split("READY signs\n\n```\n")[1].split("```")[0]
    digits = "".join(line.split(";")[0] for line in block.splitlines()).replace(" ", "")
    assert digits == macs["ready"]["signed"]
    assert f"`{macs['ready']['mac']}`" in TEXT
    assert f"`{macs['welcome']['mac']}`" in TEXT
    end = re.search(r"ends with\s+`([0-9a-f ]+)`", TEXT)
    assert end is not None
    assert macs["welcome"]["signed"].endswith(end[1].replace(" ", ""))


def test_every_message_type_is_listed() -> None:
    listed = {int(row[0].strip("`"), 16): row[1].replace("_", "").lower() for row in table("Messages")}
    named = {number: cls.__name__.removesuffix("Message").lower() for number, cls in messages.BY_NUMBER.items()}
    assert listed == named


def test_every_reason_to_reject_is_listed() -> None:
    assert {row[0].strip("`") for row in table("Keep-alive and errors")} == set(get_args(messages.RejectReason))


@pytest.mark.parametrize("leaf", ["up", "down", "state"])
def test_the_topics_are_listed(leaf: topics.Leaf) -> None:
    assert f"`{topics.topic('{store}', '{dispenser}', leaf)}`" in TEXT


def test_the_numbers_are_those_of_the_code() -> None:
    code = {
        "longest frame before COBS": [framing.MAX_FRAME_BYTES],
        "longest MQTT payload": [codec.MAX_PACKET_BYTES],
        "`window`": [session.WINDOW, session.FULL_WINDOW_BAUD],
        "bytes on a serial line that a wait allows for": [mcu.SLACK_BYTES],
        "HELLO again": [mcu.HELLO_AGAIN_MS, mcu.HELLO_SLOWEST_MS],
        "HELLO_REQUEST ignored after HELLO": [mcu.HELLO_ANSWERED_MS],
        "back-off after REJECT": [mcu.BACK_OFF_MS, mcu.BACK_OFF_SLOWEST_MS],
        "resend": [go_back_n.RESEND_MS, go_back_n.RESEND_SLOWEST_MS],
        "resends without progress before HELLO": [go_back_n.FRUITLESS],
        "an event while the window is 0": [go_back_n.PROBE_MS],
        "RESULTs that may wait for the line": [mcu.RESULTS],
        "commands in the log": [eeprom.COMMANDS_KEPT],
        "COMMAND again": [commands.EVERY_S * 1000],
        "a copy of a COMMAND is good for": [orders.COPY_MS],
        "gateway unheard before HELLO": [mcu.SILENT_MS],
        "ASK again": [question.ASK_AGAIN_MS],
        "ASK given up": [question.ASK_GIVE_UP_MS],
        "PING after silence": [session.PING_AFTER_MS],
        "link given up by the gateway": [session.SILENT_AFTER_MS],
        "HELLO_REQUEST at most every": [session.HELLO_REQUEST_EVERY_MS],
        "messages without a PUBACK": [mqtt_device.IN_FLIGHT],
        "versions in a HELLO or a REJECT": [messages.MAX_VERSIONS],
        "nozzles in a HELLO, slots in PICKS": [messages.MAX_NOZZLES],
        "a press is confirmed within": [dispenser.CONFIRM_MS],
        "allergens in an ASK": [messages.MAX_AVOIDED],
        "series in a SAMPLE": [messages.MAX_SERIES],
        "values in a series": [messages.MAX_VALUES],
    }
    told = {what: [int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", value)] for what, value in table("Numbers")}
    assert told == code
    assert orders.LOG_SIZE == eeprom.COMMANDS_KEPT


def test_the_words_the_dial_and_the_moods_are_those_of_the_code() -> None:
    [listed] = re.findall(r"closed list:\s+(.*?)\. ", TEXT, re.DOTALL)
    words = default_words()
    assert re.findall(r"`(.*?)`", listed) == [w for one in words.categories for w in (one.word, *one.aliases)]
    dial = re.search(r"from 0,\s+the mildest \(([\d,]+) SHU\), to 100, the hottest \(([\d,]+)\)", TEXT)
    assert dial is not None
    ends = [int(end.replace(",", "")) for end in dial.groups()]
    assert ends == [words.dial_low_shu, words.dial_high_shu]
    assert f"SHU (0 to {MAX_SHU:,})" in TEXT
    assert "`mood` is `{}`, `{}` or `{}`".format(*MOOD_STEP) in TEXT


def test_the_states_are_drawn_from_the_tables() -> None:
    drawn = re.findall(r"```mermaid\n(stateDiagram.*?)```", TEXT, re.DOTALL)
    assert drawn == [mermaid(mcu.MOVES, mcu.LinkState.DOWN), mermaid(moves.MOVES, moves.State.OPENING)]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\((\.\./[^)]+)\)", TEXT):
        assert (ROOT / "docs" / target).exists(), target
