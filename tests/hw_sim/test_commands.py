"""A dispenser does what it is told once, and says what it measured, whatever the power does meanwhile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from firmware_bridge.messages import Command, PickInfo, Result
from firmware_bridge.proofs import key_id, mask_key
from firmware_bridge.verbs import (
    AnyArguments,
    Calibrate,
    Changed,
    Clean,
    Flowed,
    Identify,
    Lock,
    Placed,
    Prime,
    Reboot,
    SetKey,
    SetPlanogram,
    ShowAddress,
    ShowPicks,
    Tare,
    TestPour,
)
from hw_sim.eeprom import BANK_BYTES, COMMANDS_KEPT, Calibration
from hw_sim.power import PowerCut
from tests.firmware_bridge.pair import KEY
from tests.hw_sim.bench import FOR_MS, Bench, measured

NEW_KEY = bytes(range(100, 132))
PICK = PickInfo(2, "mango-fresno", "Mango Fresno", 7000, "try it")
SET_KEY = SetKey(masked=mask_key(KEY, NEW_KEY, b"\x01" * 16), key_id=key_id(NEW_KEY))
"""For the command whose id is sixteen ones."""

EFFECTS: dict[str, tuple[AnyArguments, Callable[[Bench], object], object, object]] = {
    # what is told, what to look at, how it was, how it is after exactly one effect
    "identify": (Identify(seconds=5), lambda b: b.twin.blinks, 0, 1),
    "tare": (Tare(nozzle=1), lambda b: b.eeprom.tare_ml(1), 0, 750),
    "calibrate": (
        Calibrate(nozzle=1, pulses_per_litre=98_000),
        lambda b: (b.eeprom.pulses_per_ml(1), b.eeprom.contents.calibration.get(1, Calibration()).before),
        (100.0, None),
        (98.0, 100.0),
    ),
    "test_pour": (TestPour(nozzle=1, volume_ul=20_000), lambda b: round(b.left_ml()), 750, 730),
    "prime": (Prime(nozzle=2, duration_ms=3_000), lambda b: b.left_ml(2) < 750, False, True),
    "clean": (Clean(nozzle=3, duration_ms=3_000), lambda b: b.left_ml(3) < 750, False, True),
    "lock": (Lock(locked=True), lambda b: b.twin.pours, True, False),
    "reboot": (Reboot(), lambda b: b.restarts, 0, 1),
    "set_planogram": (
        SetPlanogram(placed=(Placed(1, "reaper-raw"),)),
        lambda b: b.twin.tanks[1].sauce.id,
        "table-red",
        "reaper-raw",
    ),
    "show_picks": (
        ShowPicks(pick_id="t-1", picks=(PICK,), seconds=60),
        lambda b: b.twin.shown.picks,
        (),
        (PICK,),
    ),
    "show_address": (
        ShowAddress(url="https://gw-1.local:8443/", seconds=60),
        lambda b: b.twin.shown.address,
        None,
        "https://gw-1.local:8443/",
    ),
    "set_key": (SET_KEY, lambda b: b.eeprom.contents.key, KEY, NEW_KEY),
}
RAM_ONLY = {"identify", "show_picks", "show_address"}
"""Their effect is on the screen, which a cut of the power darkens."""


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def _look(bench: Bench, verb: str) -> object:
    return EFFECTS[verb][1](bench)


def _finish(bench: Bench, result: Result | None) -> Result | None:
    """Let a command that runs come to its end."""
    if result is None or result.outcome != "running":
        return result
    if bench.reboots_soon:
        [result] = bench.restart()
        return result
    return bench.pass_time()


@pytest.mark.parametrize("verb", EFFECTS)
def test_a_command_has_one_effect_however_often_it_comes(bench: Bench, verb: str) -> None:
    arguments, _, before, after = EFFECTS[verb]
    assert _look(bench, verb) == before
    command = bench.command(1, arguments)
    first = bench.take(command)
    assert first is not None
    assert first.outcome in {"done", "running"}
    again = bench.take(command)  # its answer was lost on the line, or the copy was doubled
    assert again == first or (again is not None and again.outcome == "running")
    done = _finish(bench, first)
    assert done is not None
    assert done.outcome == "done"
    assert _look(bench, verb) == after
    for _ in range(3):
        assert bench.take(command) == done
        bench.restart()
    late = msgspec.structs.replace(command, boot=bench.boot, expires_uptime_ms=0)  # the gateway asks what became of it
    assert bench.take(late) == done
    if verb == "reboot":
        assert bench.restarts == 4  # one, and the three of this test
    elif verb not in RAM_ONLY:
        assert _look(bench, verb) == after


@pytest.mark.parametrize("after_bytes", [0, 30, BANK_BYTES])
@pytest.mark.parametrize("write", [1, 2])
@pytest.mark.parametrize("verb", EFFECTS)
def test_power_fails_in_each_write(bench: Bench, verb: str, write: int, after_bytes: int) -> None:
    """However much of a write is through: one effect or none, the result says which, and it is never done again."""
    arguments, _, before, after = EFFECTS[verb]
    command = bench.command(1, arguments)
    result: Result | None = None
    cut = False
    try:
        if write == 1:
            bench.eeprom.cut_next_write(after_bytes)
        else:
            begun = bench.eeprom.writes
            _cut_second_write(bench, after_bytes, begun)
        result = _finish(bench, bench.take(command))
    except PowerCut:
        cut = True
    assert cut or verb == "reboot"
    seen = _look(bench, verb) if cut else None
    told = bench.restart() if cut else [result] if result is not None else []
    said = told[0] if told else bench.take(command)  # the old copy is still in a broker's queue
    if said is None:
        # nothing was begun: the gateway sends it to the new boot, where it has its one effect
        assert write == 1
        said = _finish(bench, bench.take(bench.command(1, arguments)))
        assert said is not None
        assert said.outcome == "done"
    flowed = verb in {"test_pour", "prime", "clean"}
    if said.outcome == "done":
        assert verb == "reboot" or _look(bench, verb) == after or verb in RAM_ONLY
    else:
        assert said.outcome == "interrupted"
        assert flowed or verb in RAM_ONLY or seen == before
    settled = _look(bench, verb)
    for _ in range(2):
        question = msgspec.structs.replace(command, boot=bench.boot, expires_uptime_ms=0)
        assert bench.take(question) == said
        assert verb == "reboot" or _look(bench, verb) == settled


def _cut_second_write(bench: Bench, after_bytes: int, begun: int) -> None:
    start = bench.eeprom.start_command

    def start_and_arm(command_id: bytes, verb: str) -> None:
        start(command_id, verb)
        assert bench.eeprom.writes == begun + 1
        bench.eeprom.cut_next_write(after_bytes)

    bench.eeprom.start_command = start_and_arm  # type: ignore[method-assign]


def test_the_power_fails_while_it_pours(bench: Bench) -> None:
    command = bench.command(1, TestPour(nozzle=1, volume_ul=40_000))
    running = bench.take(command)
    assert running is not None
    assert running.outcome == "running"
    assert bench.commands.flow is not None
    bench.now_ms += (bench.commands.flow.shuts_ms - bench.commands.flow.opened_ms) // 2
    [result] = bench.restart()
    assert (result.command, result.outcome) == (command.id, "interrupted")
    assert bench.left_ml() == pytest.approx(730, abs=1)  # half of it is on the table
    assert bench.take(command) == result
    assert bench.left_ml() == pytest.approx(730, abs=1)
    assert bench.twin.pours


def test_what_it_measured(bench: Bench) -> None:
    bench.plant.meters[1].pulses_per_ml = 103.0
    poured = bench.do(1, TestPour(nozzle=1, volume_ul=20_000))
    flowed = measured("test_pour", poured)
    assert isinstance(flowed, Flowed)
    assert (flowed.pulses, flowed.volume_ul) == (2_000, 20_000)  # by the factor that it believes in
    assert bench.left_ml() == pytest.approx(750 - 2_000 / 103)
    calibrated = bench.do(2, Calibrate(nozzle=1, pulses_per_litre=103_000))
    assert measured("calibrate", calibrated) == Changed(before=100_000, now=103_000)
    again = bench.do(3, TestPour(nozzle=1, volume_ul=20_000))
    assert measured("test_pour", again).pulses == 2_060  # type: ignore[union-attr]
    assert measured("tare", bench.do(4, Tare(nozzle=2))) == Changed(before=0, now=750)
    assert bench.plant.level_ml(2) == 0


def test_no_pulse_and_a_bottle_that_runs_empty_are_failures(bench: Bench) -> None:
    bench.plant.nozzles[1].blocked = True
    blocked = bench.do(1, TestPour(nozzle=1, volume_ul=20_000))
    assert (blocked.outcome, blocked.detail) == ("failed", "nothing came: bottle empty, or nozzle blocked?")
    bench.plant.nozzles[2].level_ul = 10_000
    short = bench.do(2, TestPour(nozzle=2, volume_ul=20_000))
    assert (short.outcome, short.detail) == ("failed", "the bottle ran empty")
    assert measured("test_pour", short).pulses == 1_000  # type: ignore[union-attr]


@pytest.mark.parametrize("verb", EFFECTS)
def test_a_customer_is_not_disturbed(bench: Bench, verb: str) -> None:
    bench.customer = True
    command = bench.command(1, EFFECTS[verb][0])
    result = bench.take(command)
    assert result is not None
    if verb in {"identify", "lock", "set_key"}:
        assert result.outcome == "done"
        return
    assert (result.outcome, result.detail) == ("refused", "a customer stands there")
    bench.customer = False
    assert bench.take(command) == result, "another copy of what was refused is refused"
    assert _look(bench, verb) == EFFECTS[verb][2]
    assert bench.do(2, Identify(seconds=1)).outcome == "done"


def test_one_valve_at_a_time(bench: Bench) -> None:
    bench.take(bench.command(1, Prime(nozzle=1, duration_ms=5_000)))
    second = bench.take(bench.command(2, TestPour(nozzle=2, volume_ul=1_000)))
    assert second is not None
    assert (second.outcome, second.detail) == ("refused", "another command is still running")
    assert bench.twin.pour(2, 1_000, bench.now_ms) is None, "no customer is served meanwhile"
    bench.pass_time()
    assert bench.twin.pour(2, 1_000, bench.now_ms) is not None


def test_locked_it_pours_for_nobody_until_it_is_unlocked(bench: Bench) -> None:
    bench.do(1, Lock(locked=True))
    bench.restart()
    assert bench.twin.pour(1, 3_000, bench.now_ms) is None
    assert bench.do(2, TestPour(nozzle=1, volume_ul=3_000)).outcome == "done", "a technician may"
    bench.do(3, Lock(locked=False))
    assert bench.twin.pour(1, 3_000, bench.now_ms) is not None


def test_late_copies(bench: Bench) -> None:
    command = bench.command(1, Lock(locked=True))
    bench.now_ms += FOR_MS
    expired = bench.take(command)
    assert expired is not None
    assert expired.outcome == "expired"
    assert bench.take(bench.command(2, Lock(locked=True), boot=bench.boot - 1)) is None
    bench.restart()
    assert bench.take(command) is None, "a copy of another boot concerns nobody"
    assert bench.twin.pours


@pytest.mark.parametrize(
    ("verb", "arguments", "outcome", "word"),
    [
        ("dance", {}, "unsupported", "dance"),
        ("test_pour", {1: 1}, "refused", "missing"),
        ("test_pour", {1: 9, 2: 1_000}, "refused", "there is no nozzle 9"),
        ("test_pour", {1: 1, 2: 100_001}, "refused", "100000"),
        ("set_planogram", {1: [[1, "ketchup"]]}, "refused", "no sauce ketchup"),
        ("set_key", {1: bytes(32), 2: bytes(4)}, "refused", "unmasked"),
    ],
)
def test_what_cannot_be_done_is_said_in_words(
    bench: Bench, verb: str, arguments: dict[int, object], outcome: str, word: str
) -> None:
    sound = bench.command(1, Lock(locked=True))
    result = bench.take(msgspec.structs.replace(sound, verb=verb, arguments=arguments))
    assert result is not None
    assert result.outcome == outcome
    assert word in result.detail
    assert bench.eeprom.writes == 0


def test_the_longest_result_fits_into_the_log(bench: Bench) -> None:
    """A full log of the longest results, and still room for the settings."""
    bench.eeprom.update(planogram=dict.fromkeys(range(1, 13), "s" * 32), tare_ml=dict.fromkeys(range(1, 13), 9_999))
    bench.plant.nozzles[1].blocked = True
    for number in range(1, COMMANDS_KEPT + 5):
        assert bench.do(number, Prime(nozzle=1, duration_ms=30_000)).outcome == "failed"
    assert bench.eeprom.command(b"\x04" * 16) is None
    assert bench.eeprom.command(b"\x05" * 16) is not None


def test_a_planogram_and_a_key_have_it_say_hello_again(bench: Bench) -> None:
    bench.do(1, SET_KEY)
    bench.do(2, SetPlanogram(placed=(Placed(2, "reaper-raw"),)))
    assert bench.greeted == 2
    bench.restart()
    assert [nozzle.sauce for nozzle in bench.twin.nozzles()] == ["table-red", "reaper-raw", "garlic-ghost"]


def test_a_sauce_that_moved_in_is_confirmed_until_the_gateway_has_said_how_hot_it_is(bench: Bench) -> None:
    bench.eeprom.update(confirm=(3,))
    bench.do(1, SetPlanogram(placed=(Placed(1, "table-red"), Placed(2, "reaper-raw"))))
    assert bench.eeprom.contents.confirm == (2, 3)


def test_picks_that_nobody_asked_for_leave_the_screen(bench: Bench) -> None:
    shown = ShowPicks(pick_id="t-1", picks=(PICK,), seconds=10)
    bench.do(1, shown)
    assert "Mango Fresno" in bench.twin.render_screen()
    bench.twin.look(bench.now_ms + 9_999)
    assert bench.twin.shown.picks
    bench.twin.look(bench.now_ms + 10_000)
    assert not bench.twin.shown.picks
    bench.do(2, shown)
    bench.twin.begin_session()
    assert not bench.twin.shown.picks


def test_an_address_leaves_the_screen_for_a_customer_and_in_time(bench: Bench) -> None:
    shown = ShowAddress(url="https://gw-1.local:8443/", seconds=10)
    bench.do(1, shown)
    assert "https://gw-1.local:8443/" in bench.twin.render_screen()
    bench.twin.look(bench.now_ms + 10_000)
    assert bench.twin.shown.address is None
    bench.do(2, shown)
    bench.twin.begin_session()
    assert bench.twin.shown.address is None


def test_commands_of_another_boot_are_not_begun(bench: Bench) -> None:
    command = Command(id=b"\x07" * 16, verb="reboot", boot=bench.boot + 1, expires_uptime_ms=2**40, arguments={})
    assert bench.take(command) is None
    assert not bench.reboots_soon
