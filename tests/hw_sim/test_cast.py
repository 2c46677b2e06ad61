"""Who is in a capture: dispensers, not links; and names that become files are names."""

from __future__ import annotations

import asyncio
from pathlib import Path

import msgspec
import pytest

from firmware_bridge.capture import Entry
from firmware_bridge.codec import encode_message, encode_packet
from firmware_bridge.messages import Hello, NozzleInfo
from heat.errors import DataError
from hw_sim.cast import cast
from hw_sim.stage import Stage
from hw_sim.stage import replay as play

HELLO = Hello(
    dispenser="bar-1", firmware="1.0.0", versions=(1,), nozzles=(NozzleInfo(1, "table-red", 700),),
    generation=7, lowest=1, next=1, nonce=bytes(16), boot=1, uptime_ms=0,
)  # fmt: skip
NOT_NAMES = ["../../victim", "/etc/passwd", "bar/1", "bar.1", "Bar 1", "a" * 31 + "/", "-", 'a"\nb = "c']


def hello(link: str, name: str) -> Entry:
    encode = encode_packet if link.startswith("mqtt:") else encode_message
    data = encode(msgspec.structs.replace(HELLO, dispenser=name))
    return Entry(ms=1.0, link=link, way="up", is_="hello", hex=data.hex())


def noise(link: str, ms: float = 2.0) -> Entry:
    return Entry(ms=ms, link=link, way="up", is_="bad:short", hex="000100")


def test_whose_a_piece_is_the_last_hello_of_its_link_tells() -> None:
    entries = [
        noise("a", 0.5),
        hello("a", "bar-1"),
        noise("a"),
        hello("b", "bar-2"),
        hello("mqtt:bar-2", "bar-2"),
        hello("a", "bar-2"),
        noise("b"),
        hello("b", "bar-1"),
        Entry(ms=3.0, link="b", way="down", is_="ack", hex="00"),
        Entry(ms=3.0, link="idle", way="down", is_="hellorequest", hex="00"),
        noise("a", 4.0),
    ]
    who = cast(entries)
    assert {name: [entries.index(entry) for entry in role.entries] for name, role in who.roles.items()} == {
        "bar-1": [1, 2, 7],
        "bar-2": [3, 5, 6, 10],
        "mqtt:bar-2": [4],
    }
    assert {name: (role.dispenser, role.on_mqtt) for name, role in who.roles.items()} == {
        "bar-1": ("bar-1", False),
        "bar-2": ("bar-2", False),
        "mqtt:bar-2": ("bar-2", True),
    }
    assert who.left_out == {"idle": "nobody says HELLO there"}


@pytest.mark.parametrize("name", NOT_NAMES)
def test_what_is_no_name_is_left_out(name: str) -> None:
    who = cast([hello("a", "bar-1"), noise("a"), hello("a", name), noise("a"), noise("b")])
    assert [(name, len(role.entries)) for name, role in who.roles.items()] == [("bar-1", 2)]
    assert who.left_out == {"a": f"{name[:40]!r} is no name of a dispenser", "b": "nobody says HELLO there"}


@pytest.mark.parametrize(
    ("entries", "told"),
    [
        ([], "nothing in this capture can be played: no link had any traffic"),
        ([noise("b")], "nothing in this capture can be played: b: nobody says HELLO there"),
        ([hello("a", "../../x")], "nothing in this capture can be played: a: '../../x' is no name of a dispenser"),
        ([Entry(ms=0.0, link="a", way="up", is_="hello", hex="000100")], "a: its HELLO can't be read"),
    ],
)
def test_what_can_not_be_played_touches_nothing(state: Path, entries: list[Entry], told: str) -> None:
    with pytest.raises(DataError) as raised:
        asyncio.run(play(entries, Stage(state), lambda _: None))
    assert raised.value.args[0] == told
    assert list(state.iterdir()) == []
