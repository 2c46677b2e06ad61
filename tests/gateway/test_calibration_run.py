"""Where a calibration stands follows from its row and its commands, whatever came of each."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from gateway import calibration_run
from gateway.calibration_run import Run, Shot, Step, command_id, read_off, retried, stands, without_worst
from gateway.orders import Order
from gateway.store import Store
from heat.errors import DataError

RUN = Run("ab" * 16, "Ada", 1_000, tare=None)
FLOWED = (2_000, 20_000)


def order(run: Run, step: Step, state: str, measured: str | None = "{}") -> Order:
    ended = None if state in {"queued", "sent", "running"} else 1
    made = Order(command_id(run, step).hex(), "bar", step.action, b"", "test", 0, 60_000, None, 1, 60_000)
    return replace(made, state=state, measured=measured, ended_ms=ended)  # type: ignore[arg-type]


def at(run: Run, *orders: Order) -> tuple[str, str, int]:
    step = stands(run, {each.id: each for each in orders}.get)
    return step.action, step.phase, step.number


def with_doses(*amounts: float) -> Run:
    run = RUN
    for number, amount in enumerate(amounts, start=1):
        run = read_off(run, Step("pour", "read", number), amount, FLOWED)
    return run


def test_a_run_goes_from_step_to_step() -> None:
    tared = msgspec.structs.replace(RUN, tare=1)
    tare = Step("tare", "todo")
    assert at(tared) == ("tare", "todo", 0)
    assert at(tared, order(tared, tare, "running")) == ("tare", "under_way", 0)
    assert at(tared, order(tared, tare, "done", None)) == ("pour", "todo", 1)
    first = Step("pour", "todo", 1)
    assert at(RUN, order(RUN, first, "sent")) == ("pour", "under_way", 1)
    assert at(RUN, order(RUN, first, "done")) == ("pour", "read", 1)
    assert at(RUN, order(RUN, first, "done", None)) == ("pour", "failed", 1), "nothing was measured"
    assert at(with_doses(20.4)) == ("pour", "todo", 2)
    even = with_doses(20.4, 20.5, 20.6)
    assert at(even) == ("set", "todo", 0)
    setting = order(even, Step("set", "todo"), "done")
    assert at(even, setting) == ("verify", "todo", 0)
    verifying = order(even, Step("verify", "todo"), "done")
    assert at(even, setting, verifying) == ("verify", "read", 0)
    verified = read_off(even, Step("verify", "read"), 20.2, FLOWED)
    assert at(verified, setting) == ("verify", "over", 0)
    assert calibration_run.deviation(verified) == pytest.approx(0.01)


@pytest.mark.parametrize("state", ["refused", "failed", "expired", "interrupted", "unsupported", "dropped", "unknown"])
def test_what_came_to_nothing_is_ordered_anew_by_another_id(state: str) -> None:
    step = Step("pour", "todo", 1)
    failed = order(RUN, step, state, None)
    assert at(RUN, failed) == ("pour", "failed", 1)
    again = retried(RUN, step)
    assert at(again, failed) == ("pour", "todo", 1)
    assert command_id(again, stands(again, {failed.id: failed}.get)).hex() != failed.id


def test_the_same_step_has_the_same_command_and_no_other_has() -> None:
    steps = [Step(action, "todo", number, attempt) for action in ("tare", "pour", "set", "verify")
             for number in range(4) for attempt in (1, 2)]  # fmt: skip
    ids = {command_id(RUN, step) for step in steps} | {command_id(msgspec.structs.replace(RUN, id="x"), steps[0])}
    assert len(ids) == len(steps) + 1
    assert command_id(RUN, steps[0]) == command_id(RUN, Step("tare", "read", 0, 1))


@pytest.mark.parametrize(("amounts", "worst"), [((20.0, 20.2, 22.0), 3), ((18.0, 20.0, 20.2), 1), ((20, 17, 20.4), 2)])
def test_of_doses_that_differ_the_one_furthest_off_is_poured_again(amounts: tuple[float, ...], worst: int) -> None:
    run = with_doses(*amounts)
    assert at(run) == ("set", "uneven", 0)
    again = without_worst(run)
    assert at(again) == ("pour", "todo", worst)
    assert again.shots[worst - 1] == Shot(2)


@pytest.mark.parametrize(("unit", "amount", "ml"), [("ml", 20.0, 20.0), ("oz", 0.7, 20.70145), ("g", 21.0, 20.0)])
def test_units_become_millilitres_and_back(unit: calibration_run.Unit, amount: float, ml: float) -> None:
    run = msgspec.structs.replace(RUN, unit=unit)
    assert run.to_ml(amount) == pytest.approx(ml)
    assert run.from_ml(ml) == pytest.approx(amount)


@pytest.mark.parametrize(("amount", "flowed"), [(0.5, FLOWED), (151.0, FLOWED), (20.0, (0, 0))])
def test_nobody_can_have_read_that(amount: float, flowed: tuple[int, int]) -> None:
    with pytest.raises(DataError):
        read_off(RUN, Step("pour", "read", 1), amount, flowed)


def test_a_dose_that_was_misread_is_told_while_the_cylinder_is_in_hand() -> None:
    with pytest.raises(DataError, match=r"pour 2 can't be 27 ml: the meter counted 20\.0 ml"):
        read_off(with_doses(20.4), Step("pour", "read", 2), 27.0, FLOWED)
    off = read_off(with_doses(20.4, 20.4, 20.4), Step("verify", "read"), 27.0, FLOWED)
    assert calibration_run.deviation(off) == pytest.approx(0.35), "what verifies is shown, whatever it is"


def test_a_run_outlives_a_restart_and_not_a_day(store: Store) -> None:
    run = with_doses(20.4)
    store.write(lambda tx: calibration_run.save(tx, "bar", 1, run)).result(20)
    with store.reader() as reader:
        assert calibration_run.load(reader, "bar", 1, 2_000) == run
        assert calibration_run.load(reader, "bar", 2, 2_000) is None
        assert calibration_run.load(reader, "bar", 1, 1_000 + calibration_run.FOR_MS) is None
    store.write(lambda tx: calibration_run.drop(tx, "bar", 1)).result(20)
    with store.reader() as reader:
        assert calibration_run.load(reader, "bar", 1, 2_000) is None
