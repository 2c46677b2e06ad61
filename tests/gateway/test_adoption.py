"""What a technician may do to a dispenser, and what is refused, with what to do instead."""

from __future__ import annotations

import pytest

from firmware_bridge.proofs import key_id, mask_key
from firmware_bridge.verbs import Placed, SetKey, SetPlanogram
from gateway.adoption import ANOTHER_ID, STUBBORN, TRIES, AdoptionRefused
from gateway.clock import Clock
from gateway.ingest import Ingest
from gateway.picks import Recommender
from gateway.store import Store
from heat.errors import DataError
from tests.gateway.adopting import Desk, hello

KEY = bytes(range(32))
OTHER = bytes(range(32, 64))


@pytest.fixture
async def desk(store: Store, clock: Clock, ingest: Ingest, recommender: Recommender) -> Desk:
    return Desk(store, clock, ingest, recommender)


async def adopt_and_prove(desk: Desk, name: str = "bar-1") -> bytes:
    """Adopt one, and have it prove its key, which is returned."""
    desk.comes(hello(name))
    await desk.adoption.adopt(name, planogram={})
    key = desk.dispensers.keyring.to_provision(name)
    assert key is not None
    desk.opens(hello(name))
    await desk.dispensers.aclose()
    assert desk.dispensers.keyring.is_proved(name)
    return key


async def test_one_that_waits_gets_a_key_a_name_and_a_planogram(desk: Desk) -> None:
    desk.comes(hello("bar-7"))
    await desk.adoption.adopt("bar-7", name="  Bar,   left ", planogram={2: "reaper-raw", 1: "table-red"})
    desk.start()
    assert desk.dispensers.keyring.to_provision("bar-7") is not None
    assert desk.plans.of("bar-7").name == "Bar, left"
    assert desk.plans.of("bar-7").planogram == {1: "table-red", 2: "reaper-raw"}


async def test_it_is_told_what_differs_once_it_is_there(desk: Desk) -> None:
    desk.comes(hello("bar-7"))
    await desk.adoption.adopt("bar-7", planogram={2: "reaper-raw", 1: "table-red"})
    await desk.adoption.carry_on()
    assert not desk.queue.given
    desk.opens(hello("bar-7"))
    await desk.adoption.carry_on()
    await desk.adoption.carry_on()
    [(dispenser, arguments, _)] = desk.queue.given
    assert (dispenser, arguments) == ("bar-7", SetPlanogram(placed=(Placed(2, "reaper-raw"),)))
    desk.queue.open = False
    await desk.adoption.carry_on()
    assert len(desk.queue.given) == 1, "a customer stood there: it is told again, after a pause"


async def test_it_is_told_again_but_not_for_ever(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.adoption.PAUSE_S", 0.0)
    monkeypatch.setattr("gateway.adoption._Handing.__init__.__defaults__", (None, 0, 0.0, 0.0))
    await adopt_and_prove(desk)
    desk.queue.open = False
    await desk.adoption.place("bar-1", {2: "reaper-raw"})
    assert not desk.adoption.is_stubborn("bar-1", SetPlanogram)
    for _ in range(2 * TRIES):
        await desk.adoption.carry_on()
    assert len(desk.queue.given) == TRIES == len({command for _, _, command in desk.queue.given})
    assert desk.adoption.is_stubborn("bar-1", SetPlanogram)
    await desk.adoption.place("bar-1", {2: "reaper-raw"})
    assert len(desk.queue.given) == TRIES + 1
    await desk.adoption.place("bar-1", {2: "mango-fresno"})
    assert len(desk.queue.given) == TRIES + 1, "that is what it has"
    assert not desk.adoption.is_stubborn("bar-1", SetPlanogram)


async def test_twice_is_once(desk: Desk) -> None:
    desk.comes(hello("bar-7"))
    await desk.adoption.adopt("bar-7", planogram={})
    key = desk.dispensers.keyring.to_provision("bar-7")
    await desk.adoption.adopt("bar-7", planogram={})
    assert desk.dispensers.keyring.to_provision("bar-7") == key


@pytest.mark.parametrize(
    ("changes", "code", "advice"),
    [
        ({"versions": (1,)}, "needs-its-key", "--key-file"),
        ({"key_id": b"abcd"}, "needs-its-key", "reset button"),
    ],
)
async def test_one_that_takes_no_key(desk: Desk, changes: dict[str, object], code: str, advice: str) -> None:
    desk.comes(hello("bar-7", **changes))
    with pytest.raises(AdoptionRefused) as refused:
        await desk.adoption.adopt("bar-7", planogram={})
    assert refused.value.code == code
    assert advice in refused.value.hint
    assert not desk.dispensers.keyring.is_adopted("bar-7")
    await desk.adoption.adopt("bar-7", key=KEY, planogram={})
    assert desk.dispensers.keyring.key_of("bar-7", None) == KEY


async def test_nobody_of_that_name(desk: Desk) -> None:
    desk.comes(hello("bar-7"))
    for do in (
        desk.adoption.adopt("bar-8", planogram={}),
        desk.adoption.rename("bar-8", "Bar"),
        desk.adoption.place("bar-8", {1: "table-red"}),
        desk.adoption.rotate("bar-8"),
        desk.adoption.forget("bar-8"),
    ):
        with pytest.raises(AdoptionRefused, match="no dispenser 'bar-8'. Did you mean bar-7?") as refused:
            await do
        assert refused.value.missing


async def test_a_reset_one_is_not_told_a_key_again(desk: Desk) -> None:
    await adopt_and_prove(desk)
    desk.comes(hello("bar-1"))
    with pytest.raises(AdoptionRefused, match="has lost its key. picante dispensers forget bar-1"):
        await desk.adoption.adopt("bar-1", planogram={})
    assert desk.dispensers.keyring.to_provision("bar-1") is None
    await desk.adoption.forget("bar-1")
    desk.comes(hello("bar-1"))
    await desk.adoption.adopt("bar-1", planogram={})
    assert desk.dispensers.keyring.to_provision("bar-1") is not None


async def test_another_key_for_one_that_has_one(desk: Desk) -> None:
    await desk.adoption.adopt("bar-1", key=KEY, planogram={})
    await desk.adoption.adopt("bar-1", key=KEY, planogram={})
    with pytest.raises(AdoptionRefused, match="has another key here"):
        await desk.adoption.adopt("bar-1", key=OTHER, planogram={})


async def test_a_key_for_one_that_has_none(desk: Desk) -> None:
    desk.comes(hello("bar-1"))
    with pytest.raises(AdoptionRefused, match="has no key, so not this one either. Adopt it without one") as refused:
        await desk.adoption.adopt("bar-1", key=KEY, planogram={})
    assert refused.value.code == "has-no-key"
    assert not desk.dispensers.keyring.is_adopted("bar-1")


async def test_names_are_for_people_and_for_one(desk: Desk) -> None:
    await adopt_and_prove(desk)
    await adopt_and_prove(desk, "bar-2")
    await desk.adoption.rename("bar-1", "Bar, left")
    with pytest.raises(DataError, match="bar-1 is called 'Bar, left'"):
        await desk.adoption.rename("bar-2", "Bar, left")
    for name in ("", "   ", "x" * 41, "tab\x07"):
        with pytest.raises(DataError, match="can't be a name"):
            await desk.adoption.rename("bar-2", name)
    await desk.adoption.rename("bar-1", "Bar, left")


@pytest.mark.parametrize(
    ("planogram", "words"),
    [
        ({1: "tabel-red"}, "Did you mean table-red?"),
        ({3: "table-red"}, "no nozzle 3. It has 1, 2"),
        (dict.fromkeys(range(13), "table-red"), "13 nozzles"),
        ({}, "0 nozzles"),
    ],
)
async def test_a_planogram_that_can_t_be(desk: Desk, planogram: dict[int, str], words: str) -> None:
    desk.comes(hello("bar-1"))
    await desk.adoption.adopt("bar-1", planogram={})
    with pytest.raises(DataError) as error:
        await desk.adoption.place("bar-1", planogram)
    assert words in str(error.value)
    assert not desk.plans.of("bar-1").planogram


async def test_a_new_key_is_sent_masked_and_once(desk: Desk) -> None:
    present = await adopt_and_prove(desk)
    await desk.adoption.rotate("bar-1")
    new = desk.dispensers.keyring.pending("bar-1")
    [(dispenser, arguments, command)] = desk.queue.given
    assert new is not None
    assert command is not None
    assert dispenser == "bar-1"
    assert arguments == SetKey(masked=mask_key(present, new, command), key_id=key_id(new))
    await desk.adoption.carry_on()
    assert len(desk.queue.given) == 1
    desk.start()  # killed before the queue had it, or after: the same command either way
    desk.opens(hello("bar-1", key_id=key_id(present)))
    await desk.adoption.carry_on()
    assert desk.queue.given == [(dispenser, arguments, command)]


async def test_asked_again_a_new_key_is_sent_again(desk: Desk) -> None:
    await adopt_and_prove(desk)
    await desk.adoption.rotate("bar-1")
    desk.queue.open = False
    await desk.adoption.carry_on()
    assert len(desk.queue.given) == 1
    await desk.adoption.rotate("bar-1")
    (_, first, one), (_, second, other) = desk.queue.given
    assert isinstance(first, SetKey)
    assert isinstance(second, SetKey)
    assert one != other, "each is a command of its own"
    assert first.key_id == second.key_id, "and the key is the same"
    assert not desk.adoption.is_stubborn("bar-1", bytes)
    for _ in range(STUBBORN):
        desk.adoption._handings["bar-1", bytes].due_s = 0.0  # the pause is over
        await desk.adoption.carry_on()
    assert desk.adoption.is_stubborn("bar-1", bytes)


async def test_what_can_t_be_rotated(desk: Desk) -> None:
    desk.comes(hello("bar-1"))
    with pytest.raises(AdoptionRefused, match="Adopt it"):
        await desk.adoption.rotate("bar-1")
    await desk.adoption.adopt("bar-1", planogram={})
    with pytest.raises(AdoptionRefused, match="waits for its first HELLO"):
        await desk.adoption.rotate("bar-1")


async def test_forgotten_means_no_key_no_name_no_plan(desk: Desk) -> None:
    await adopt_and_prove(desk)
    await desk.adoption.rename("bar-1", "Bar, left")
    await desk.adoption.place("bar-1", {1: "reaper-raw"})
    await desk.adoption.forget("bar-1")
    assert desk.queue.dropped == ["bar-1"]
    desk.start()
    assert desk.adoption.names() == []
    assert desk.plans.of("bar-1").name is None
    assert not desk.plans.of("bar-1").planogram


@pytest.mark.parametrize(
    ("changes", "private", "adopted", "words"),
    [
        ({}, True, None, "it has no key"),
        ({"key_id": b"abcd"}, True, None, "the key of another gateway"),
        ({"versions": (1,)}, True, None, "it takes no key"),
        ({}, True, "made", "gets its key at its next HELLO"),
        ({"key_id": key_id(KEY)}, True, "given", "let in at its next HELLO"),
        ({}, False, "made", "a key is not told on a line that others may hear"),
        ({}, True, "proved", "has lost it"),
        ({"key_id": b"abcd"}, True, "proved", "not the one that is known here"),
        ({"key_id": b"abcd"}, True, "made", "another key than the new one that was made for it"),
    ],
)
async def test_why_it_waits_is_said(
    desk: Desk, changes: dict[str, object], private: bool, adopted: str | None, words: str
) -> None:
    if adopted == "proved":
        await adopt_and_prove(desk)
    elif adopted == "made":
        desk.comes(hello("bar-1"))
        await desk.adoption.adopt("bar-1", planogram={})
    elif adopted == "given":
        await desk.adoption.adopt("bar-1", key=KEY, planogram={})
    desk.comes(hello("bar-1", **changes), private=private)  # on the port where it was
    stranger = desk.dispensers.strangers.get("bar-1")
    assert stranger is not None
    why, do = desk.adoption.advice(stranger)
    assert words in why
    assert do


async def test_a_namesake_needs_another_id(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two of one name wait, one of them is adopted, and the other one is not taken for it."""

    def advice() -> tuple[str, str]:
        stranger = desk.dispensers.strangers.get("twin")
        assert stranger is not None
        return desk.adoption.advice(stranger)

    first, second = hello("twin"), hello("twin", generation=2)
    desk.comes(first)
    desk.comes(first, on="mqtt:twin")
    assert advice()[0] == "it has no key", "one dispenser that has two lines"
    desk.comes(second, on="/dev/ttyUSB1")
    desk.comes(second, on="/dev/ttyUSB1")
    assert advice() == ("another dispenser of this name waits on mqtt:twin", ANOTHER_ID)
    with pytest.raises(AdoptionRefused, match="another of this name waits on mqtt:twin") as refused:
        await desk.adoption.adopt("twin", planogram={})
    assert refused.value.code == "name-taken"
    monkeypatch.setattr("gateway.strangers.NAMESAKE_S", 0.0)  # the other one was unplugged since
    await desk.adoption.adopt("twin", planogram={})
    desk.opens(first)
    await desk.dispensers.aclose()
    desk.comes(second, on="/dev/ttyUSB1")
    assert advice() == ("another dispenser of this name is online on /dev/ttyUSB0", ANOTHER_ID)
    with pytest.raises(AdoptionRefused, match="another of this name is online on /dev/ttyUSB0"):
        await desk.adoption.adopt("twin", planogram={})
