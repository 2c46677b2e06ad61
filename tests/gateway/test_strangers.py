"""Who waits: the newest are remembered, and nobody for ever."""

from __future__ import annotations

import pytest

from firmware_bridge.messages import Hello
from gateway import strangers
from gateway.strangers import REMEMBERED, REMEMBERED_OF_A_LINK, Strangers


def hello(name: str, key_id: bytes | None = None, versions: tuple[int, ...] = (1, 2)) -> Hello:
    return Hello(
        dispenser=name,
        firmware="1.0.0",
        versions=versions,
        nozzles=(),
        generation=1,
        lowest=1,
        next=1,
        nonce=bytes(16),
        boot=1,
        uptime_ms=0,
        key_id=key_id,
    )


def note(waiting: Strangers, said: Hello, link: str | None = None) -> None:
    waiting.note(
        said, link or f"mqtt:{said.dispenser}", private=True, reason="unadopted", detail="it has no key: adopt it"
    )


def test_the_newest_are_remembered_and_the_others_counted() -> None:
    waiting = Strangers()
    for number in range(REMEMBERED + 3):
        note(waiting, hello(f"bar-{number}"))
        note(waiting, hello("bar-0"))
    assert len(waiting) == REMEMBERED
    assert waiting.dropped == 3
    assert waiting.get("bar-0") is not None, "it was heard all the time"
    assert waiting.get("bar-1") is None
    assert waiting.get(f"bar-{REMEMBERED + 2}") is not None


def test_a_port_that_makes_names_up_crowds_out_itself_alone() -> None:
    waiting = Strangers()
    note(waiting, hello("bar-1"), "/dev/ttyUSB1")
    for number in range(3 * REMEMBERED):
        note(waiting, hello(f"x-{number}"), "/dev/ttyUSB0")
    assert [stranger.hello.dispenser for stranger in waiting] == [
        "bar-1",
        *(f"x-{number}" for number in range(3 * REMEMBERED - REMEMBERED_OF_A_LINK, 3 * REMEMBERED)),
    ]
    assert waiting.dropped == 3 * REMEMBERED - REMEMBERED_OF_A_LINK


def test_one_that_comes_again_is_the_same() -> None:
    waiting = Strangers()
    note(waiting, hello("bar-1"))
    first = waiting.get("bar-1")
    note(waiting, hello("bar-1"))
    again = waiting.get("bar-1")
    assert first is not None
    assert again is not None
    assert (again.first_seen, again.times) == (first.first_seen, 2)


def test_one_that_nobody_hears_is_not_told_of_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    waiting = Strangers()
    note(waiting, hello("bar-1"))
    waiting.look()
    assert len(waiting) == 1
    monkeypatch.setattr(strangers, "KEPT_S", -1.0)
    waiting.look()
    assert len(waiting) == 0


@pytest.mark.parametrize(
    ("said", "takes"),
    [
        (hello("bar-1"), True),
        (hello("bar-1", key_id=bytes(4)), False),
        (hello("bar-1", versions=(1,)), False),
    ],
)
def test_who_can_be_given_a_key(said: Hello, takes: bool) -> None:
    waiting = Strangers()
    note(waiting, said)
    stranger = waiting.get("bar-1")
    assert stranger is not None
    assert stranger.takes_a_key is takes
