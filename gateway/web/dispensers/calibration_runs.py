"""A calibration step by step, for programs: each step is what the page's button does. See `calibration_run`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Response
from pydantic import Field

from gateway import calibration_run
from gateway.calibration import spread
from gateway.calibration_run import (
    GOOD,
    LEAST_DENSITY,
    LEAST_DOSE_ML,
    MOST_DENSITY,
    MOST_DOSE_ML,
    USUAL_DENSITY,
    Action,
    Phase,
    Run,
    Unit,
)
from gateway.web import reads
from gateway.web.answers import Answer, example
from gateway.web.dispensers.bottles import NozzleNumber
from gateway.web.dispensers.calibrating import Bench, Deed
from gateway.web.dispensers.commands import PREFIX, CommandView, Dispenser, command_view
from gateway.web.dispensers.told import Model
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb
from gateway.web.who import Technician

router = APIRouter(prefix=f"{PREFIX}/nozzles/{{nozzle}}/calibration", tags=["v1"])

STEP = "pour-1-1-3f2a9c0d"


class Begin(Model):
    """How doses are read off."""

    unit: Annotated[Unit, Field(examples=["g"])] = "ml"
    """Millilitres or US fluid ounces off a cylinder, or grams off a scale."""
    dose_ml: Annotated[int, Field(ge=LEAST_DOSE_ML, le=MOST_DOSE_ML)] = 20
    density: Annotated[float, Field(ge=LEAST_DENSITY, le=MOST_DENSITY)] = USUAL_DENSITY
    """g/ml, by which grams become millilitres."""


class About(Model):
    """Which step is meant."""

    step: Annotated[str, Field(max_length=64, examples=[STEP])]
    """The run's `step.name`. In a run that has gone on since, nothing is done, and the answer tells where it stands."""


class Read(About):
    """What was read off."""

    amount: Annotated[float, Field(gt=0, lt=10_000, examples=[19.5])]
    """In the run's unit."""


class DoseView(Answer):
    """A dose that was read off."""

    number: Annotated[int, example(1)]
    volume_ml: Annotated[float, example(19.5)]
    believed_ml: Annotated[float, example(20.1)]
    """What the meter took it for."""
    pulses: Annotated[int, example(1970)]


class StepView(Answer):
    """What comes next."""

    name: Annotated[str, example(STEP)]
    action: Annotated[Action, example("pour")]
    phase: Annotated[Phase, example("todo")]
    """`todo` or `failed`: it may be ordered; `under_way`; `read`: read it off; `uneven`: pour one again; `over`."""
    number: Annotated[int, example(1)]
    """Of the dose; 0 for a step that has one alone."""
    attempt: Annotated[int, example(1)]
    command: CommandView | None
    """The command of this step, once it was ordered."""


class RunView(Answer):
    """A calibration that is under way."""

    dispenser: Annotated[str, example("hot-bar-1")]
    nozzle: Annotated[int, example(2)]
    by: Annotated[str, example("Tomás")]
    started: datetime
    unit: Annotated[Unit, example("g")]
    density: Annotated[float, example(1.05)]
    dose_ml: Annotated[int, example(20)]
    tared: bool
    """Whether the tare is a step of it; false: it is left out."""
    doses: list[DoseView]
    spread: Annotated[float | None, example(0.012)]
    """Between the doses' factors, as a share of their mean; null before two were read off."""
    pulses_per_ml: Annotated[dict[str, float] | None, example({"before": 97.1, "now": 98.4})]
    """The meter's factor, once it was set."""
    deviation: Annotated[float | None, example(0.004)]
    """By how much the dose that verifies was more than the meter believed, as a share; null before it."""
    good: bool | None
    """Whether that is little enough."""
    step: StepView


class Undone(Answer):
    """A run that was taken back; it is forgotten."""

    command: CommandView
    """What gives the meter its factor of before."""


async def _bench(web: TheWeb, dispenser: Dispenser, nozzle: NozzleNumber) -> Bench:
    """A coroutine, since what it reads is the event loop's. Raises Problem."""
    return Bench.of(web, dispenser, nozzle)


TheBench = Annotated[Bench, Depends(_bench)]


@router.get("", responses=documented(404, 422))
async def look(bench: TheBench) -> RunView:
    """Where the run of a nozzle stands. It is forgotten a day after it was begun."""
    return _view(bench)


@router.post("", status_code=201, responses=documented(404, 422, 503))
async def begin(who: Technician, bench: TheBench, told: Begin) -> RunView:
    """Begin a run: tare, three doses, the factor, a dose that verifies it. One that is under way goes on as it is."""
    await bench.begin(bench.new_run(who.name, told.unit, told.dose_ml, told.density))
    return _view(bench)


@router.post("/order", status_code=202, responses=documented(400, 404, 409, 422, 503))
async def order(request: Request, who: Technician, bench: TheBench, about: About) -> RunView:  # noqa: ARG001 -- its role
    """Give the command of a step: tare, pour a dose, set the factor. One that failed is given anew."""
    return await _act(request, bench, "order", about.step)


@router.post("/skip", responses=documented(404, 409, 422, 503))
async def skip(request: Request, who: Technician, bench: TheBench, about: About) -> RunView:  # noqa: ARG001 -- its role
    """Leave the tare out: this nozzle has no scale, or it does not matter."""
    return await _act(request, bench, "skip", about.step)


@router.post("/read", responses=documented(400, 404, 409, 422, 503))
async def read(request: Request, who: Technician, bench: TheBench, told: Read) -> RunView:  # noqa: ARG001 -- its role
    """Say what was read off after a dose, also after the one that verifies."""
    return await _act(request, bench, "read", told.step, told.amount)


@router.post("/again", responses=documented(404, 409, 422, 503))
async def again(request: Request, who: Technician, bench: TheBench, about: About) -> RunView:  # noqa: ARG001 -- its role
    """Of doses that differ too much, leave out the one furthest from the others: it is poured again."""
    return await _act(request, bench, "again", about.step)


@router.post("/undo", status_code=202, responses=documented(404, 409, 422, 503))
async def undo(request: Request, who: Technician, bench: TheBench, about: About) -> Undone:  # noqa: ARG001 -- its role
    """Give the meter the factor that it had before the run, and forget the run."""
    _run(bench, about.step)
    view = await bench.undo(request)
    assert view is not None, "a run is under way"
    return Undone(command=view)


@router.delete("", status_code=204, responses=documented(404, 422, 503))
async def stop(who: Technician, bench: TheBench) -> Response:  # noqa: ARG001 -- its role
    """Forget the run. What was set stays set."""
    await bench.stop()
    return Response(status_code=204)


async def _act(request: Request, bench: Bench, deed: Deed, step: str, amount: float = 0.0) -> RunView:
    _run(bench, step)
    await bench.act(request, deed, step, amount)
    return _view(bench)


def _run(bench: Bench, step: str | None = None) -> Run:
    """The run that stands, and that a step is of. Raises Problem."""
    run = bench.run()
    if run is None:
        hint = "POST to this path begins one"
        raise Problem(404, "no-calibration", f"no calibration of nozzle {bench.nozzle} is under way", hint=hint)
    if step is not None and not bench.is_of(step):
        raise Problem(409, "another-run", "the step is of a calibration before", hint="GET tells where this one stands")
    return run


def _view(bench: Bench) -> RunView:
    run = _run(bench)
    step, deviation = bench.stands(run), calibration_run.deviation(run)
    return RunView(
        dispenser=bench.dispenser,
        nozzle=bench.nozzle,
        by=run.by,
        started=reads.moment(run.started_ms),
        unit=run.unit,
        density=run.density,
        dose_ml=run.dose_ml,
        tared=run.tare is not None,
        doses=[
            DoseView(number=number, volume_ml=shot.ml, believed_ml=shot.believed_ml, pulses=shot.pulses)
            for number, shot in enumerate(run.shots, start=1)
            if shot.ml is not None
        ],
        spread=spread(run.doses) if len(run.doses) > 1 else None,
        pulses_per_ml=bench.factor(run),
        deviation=deviation,
        good=None if deviation is None else abs(deviation) <= GOOD,
        step=StepView(
            name=calibration_run.told(run, step),
            action=step.action,
            phase=step.phase,
            number=step.number,
            attempt=step.attempt,
            command=None if step.order is None else command_view(bench.web.state, step.order),
        ),
    )
