"""A calibration step by step: tare, three known doses, the factor, one dose more that verifies it. Pure, but for SQL.

A run is a row that holds what people chose and read off. The id of each step's command follows from the run, the step
and the attempt: a kill, a cut or a second tap gives the same command again, which has one effect. So where a run stands
follows from its row and its commands, on whatever phone it is looked at.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from gateway.calibration import MAX_ML, MAX_SPREAD, MIN_ML, POURS, Dose, check, spread
from gateway.orders import Order
from gateway.transaction import Transaction
from heat.errors import DataError

Unit = Literal["ml", "oz", "g"]
ML_PER_OZ = 29.5735
"""Of a fluid ounce of the United States, as cylinders have it."""
USUAL_DENSITY = 1.05
"""g/ml: sauces are water with salt, sugar and pulp. What a scale shows is taken for a volume by it."""
LEAST_DENSITY, MOST_DENSITY = 0.7, 1.6
LEAST_DOSE_ML, MOST_DOSE_ML = 5, 60
FOR_MS = 24 * 60 * 60 * 1000
"""ms after which a run is begun anew: a meter's day is another day."""
GOOD = MAX_SPREAD
"""Share by which the dose that verifies may differ."""

Action = Literal["tare", "pour", "set", "verify"]
Phase = Literal["todo", "under_way", "failed", "read", "uneven", "over"]
"""To be ordered; ordered; it came to nothing; what it gave is to be read off; the doses differ too much; done."""


class Shot(msgspec.Struct, frozen=True):
    """One dose. What the meter counted is kept with what was read off."""

    attempt: int = 1
    ml: float | None = None
    pulses: int = 0
    believed_ml: float = 0.0

    @property
    def dose(self) -> Dose | None:
        """It, once it was read off."""
        return None if self.ml is None else Dose(self.pulses, self.ml, self.believed_ml)


class Run(msgspec.Struct, frozen=True):
    """See the module."""

    id: str
    by: str
    started_ms: int
    unit: Unit = "ml"
    density: Annotated[float, Meta(ge=LEAST_DENSITY, le=MOST_DENSITY)] = USUAL_DENSITY
    dose_ml: Annotated[int, Meta(ge=LEAST_DOSE_ML, le=MOST_DOSE_ML)] = 20
    tare: int | None = 1
    """The attempt; None: left out."""
    shots: tuple[Shot, ...] = (Shot(),) * POURS
    set: int = 1
    verify: Shot = Shot()

    @property
    def doses(self) -> list[Dose]:
        """Those that were read off."""
        return [dose for shot in self.shots if (dose := shot.dose) is not None]

    def to_ml(self, amount: float) -> float:
        """What was read off, in ml."""
        return amount * ML_PER_OZ if self.unit == "oz" else amount / self.density if self.unit == "g" else amount

    def from_ml(self, ml: float) -> float:
        """Millilitres in the unit that is read."""
        return ml / ML_PER_OZ if self.unit == "oz" else ml * self.density if self.unit == "g" else ml


@dataclass(frozen=True, slots=True)
class Step:
    """Where a run stands."""

    action: Action
    phase: Phase
    number: int = 0
    """Of the dose, from 1 on."""
    attempt: int = 1
    order: Order | None = None

    @property
    def name(self) -> str:
        """What tells this step and attempt from all others."""
        return f"{self.action}-{self.number}-{self.attempt}"


def command_id(run: Run, step: Step) -> bytes:
    """16 bytes: the command of this step, however often it is given."""
    return hashlib.sha256(f"picante calibration {run.id} {step.name}".encode()).digest()[:16]


def undo_id(run: Run) -> bytes:
    """16 bytes: the command that takes back what this run has set."""
    return hashlib.sha256(f"picante calibration {run.id} undo".encode()).digest()[:16]


def told(run: Run, step: Step) -> str:
    """How a form names the step that it is about: on a page of a run before it is about nothing any more."""
    return f"{step.name}-{mark(run)}"


def mark(run: Run) -> str:
    """What tells a run from those before."""
    return run.id[:8]


def stands(run: Run, find: Callable[[str], Order | None]) -> Step:
    """Which step comes, and how far it is; `find` gives an order by its id."""

    def at(action: Action, attempt: int, number: int = 0) -> Step:
        step = Step(action, "todo", number, attempt)
        order = find(command_id(run, step).hex())
        if order is None:
            return step
        if order.ended_ms is None:
            return Step(action, "under_way", number, attempt, order)
        if order.state != "done" or (order.measured is None and action != "tare"):
            return Step(action, "failed", number, attempt, order)
        return Step(action, "read" if action in {"pour", "verify"} else "over", number, attempt, order)

    if run.tare is not None and (step := at("tare", run.tare)).phase != "over":
        return step
    for number, shot in enumerate(run.shots, start=1):
        if shot.ml is None:
            return at("pour", shot.attempt, number)
    if spread(run.doses) > MAX_SPREAD:
        return Step("set", "uneven")
    if (step := at("set", run.set)).phase != "over":
        return step
    return at("verify", run.verify.attempt) if run.verify.ml is None else Step("verify", "over")


def retried(run: Run, step: Step) -> Run:
    """The run in which a step that came to nothing is ordered once more."""
    if step.action == "tare":
        return msgspec.structs.replace(run, tare=step.attempt + 1)
    if step.action == "set":
        return msgspec.structs.replace(run, set=step.attempt + 1)
    return _with_shot(run, step, Shot(step.attempt + 1))


def read_off(run: Run, step: Step, amount: float, flowed: tuple[int, int]) -> Run:
    """The run in which a dose was read off; `flowed` is what the meter counted: pulses, and µl as it believed.

    Raises:
        DataError: nobody can have read that.
    """
    ml = run.to_ml(amount)
    if not MIN_ML <= ml <= MAX_ML:
        raise DataError(f"{ml:.1f} ml can't be", hint=f"Between {MIN_ML:g} and {MAX_ML:g} ml. Look at the unit again")
    pulses, volume_ul = flowed
    if pulses <= 0:
        raise DataError("the meter counted nothing", hint="See whether the bottle is empty, or the nozzle blocked")
    shot = Shot(step.attempt, ml, pulses, volume_ul / 1000)
    if step.action == "pour" and shot.dose is not None:
        check(step.number, shot.dose)  # now: later nobody has the cylinder in hand
    return _with_shot(run, step, shot)


def without_worst(run: Run) -> Run:
    """The run in which the dose that lies furthest from the others is poured again."""
    factors = [dose.pulses_per_ml for dose in run.doses]
    middle = sorted(factors)[len(factors) // 2]
    worst = max(range(len(factors)), key=lambda at: abs(factors[at] - middle))
    shots = list(run.shots)
    shots[worst] = Shot(shots[worst].attempt + 1)
    return msgspec.structs.replace(run, shots=tuple(shots))


def deviation(run: Run) -> float | None:
    """By how much the dose that verifies was more than the meter believed, as a share; None before it."""
    shot = run.verify
    return None if shot.ml is None or not shot.believed_ml else shot.ml / shot.believed_ml - 1


def _with_shot(run: Run, step: Step, shot: Shot) -> Run:
    if step.action == "verify":
        return msgspec.structs.replace(run, verify=shot)
    shots = list(run.shots)
    shots[step.number - 1] = shot
    return msgspec.structs.replace(run, shots=tuple(shots))


# -- rows -------------------------------------------------------------------------------------------------------------


def load(connection: sqlite3.Connection, dispenser: str, nozzle: int, now_ms: int) -> Run | None:
    """The run of a nozzle; None where there is none, or it is too old to go on with."""
    row = connection.execute(
        "SELECT CAST(run AS TEXT) FROM calibration_runs WHERE dispenser = ? AND nozzle = ?", (dispenser, nozzle)
    ).fetchone()
    if row is None:
        return None
    try:
        run = msgspec.json.decode(row[0], type=Run)
    except msgspec.DecodeError:  # of a later version, or damaged
        return None
    return run if 0 <= now_ms - run.started_ms < FOR_MS else None


def save(tx: Transaction, dispenser: str, nozzle: int, run: Run) -> None:
    """Keep a run; one a nozzle."""
    text = msgspec.json.encode(run).decode()
    tx.connection.execute("INSERT OR REPLACE INTO calibration_runs VALUES (?, ?, ?)", (dispenser, nozzle, text))


def drop(tx: Transaction, dispenser: str, nozzle: int) -> None:
    """Forget a nozzle's run."""
    tx.connection.execute("DELETE FROM calibration_runs WHERE dispenser = ? AND nozzle = ?", (dispenser, nozzle))
