"""A flow meter is calibrated, step by step, on a phone: each step is kept, and the page shows where the run stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse

from gateway.calibration import MAX_SPREAD, spread
from gateway.calibration_run import (
    GOOD,
    LEAST_DENSITY,
    LEAST_DOSE_ML,
    MOST_DENSITY,
    MOST_DOSE_ML,
    USUAL_DENSITY,
    Unit,
    deviation,
    told,
)
from gateway.web.confirm import confirmed
from gateway.web.dispensers import planograms
from gateway.web.dispensers.bottles import NozzleNumber
from gateway.web.dispensers.calibrating import Bench, Deed
from gateway.web.dispensers.commands import Dispenser, command_view
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Viewer, Who
from heat.errors import DataError

router = APIRouter(include_in_schema=False)

AT = "/dispensers/{dispenser}/nozzles/{nozzle}/calibrate"
Do = Literal["begin"] | Deed
WORDS: dict[str, Text] = {"tare": Text("tare"), "pour": Text("pour"), "set": Text("set"), "verify": Text("pour")}
UNDO = Text("undo")
"""Typed where no button can be held."""
UNITS: dict[Unit, tuple[Text, str, str]] = {
    "ml": (Text("Millilitres, off a cylinder"), "milliliter", "ml"),
    "oz": (Text("Fluid ounces, off a cylinder"), "fluid-ounce", "fl oz"),
    "g": (Text("Grams, off a scale"), "gram", "g"),
}
"""What is read off: how it is called, its unit by CLDR's name, and as it stands behind a field."""


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
    dispenser, nozzle = query["dispenser"], int(query["nozzle"])
    bench = Bench.of(web, dispenser, nozzle)
    run = bench.run()
    step = None if run is None else bench.stands(run)
    sauce = planograms.told(web, dispenser)[nozzle]
    known = web.state.catalog.get(sauce)
    return {
        "dispenser": dispenser,
        "title": web.state.plans.of(dispenser).name or dispenser,
        "nozzle": nozzle,
        "sauce": known.name if known else sauce,
        "at": AT.format(dispenser=dispenser, nozzle=nozzle),
        "online": web.state.dispensers.reach(dispenser) is not None,
        "run": run,
        "step": step,
        "step_name": None if run is None or step is None else told(run, step),
        "command": None if step is None or step.order is None else command_view(web.state, step.order),
        "factor": None if run is None else bench.factor(run),
        "spread": None if run is None or len(run.doses) < 2 else spread(run.doses),
        "most_spread": MAX_SPREAD,
        "deviation": None if run is None else deviation(run),
        "good": GOOD,
        "units": UNITS,
        "unit": UNITS[run.unit] if run is not None else UNITS["ml"],
        "begun": {"unit": "ml", "dose_ml": "20", "density": str(USUAL_DENSITY)},
        "amount": "",
        "words": WORDS,
        "undo_word": UNDO,
        "serves": who.role >= Role.TECHNICIAN,
        "errors": {},
    }


PAGE = Page(
    "calibrate",
    Text("Calibrate"),
    _context,
    ("calibrate/step",),
    "calibrate/page.html",
    about=("dispenser", "nozzle"),
    menu="dispensers",
)


@router.get(AT)
async def page(request: Request, web: TheWeb, dispenser: Dispenser, nozzle: NozzleNumber, who: Viewer) -> Response:  # noqa: ARG001
    """Where the run stands."""
    return await show(request, web, PAGE, {"dispenser": dispenser, "nozzle": str(nozzle)})


@router.post(AT)
async def act(  # noqa: PLR0913, PLR0917 -- a form's parts
    request: Request,
    web: TheWeb,
    dispenser: Dispenser,
    nozzle: NozzleNumber,
    who: Technician,
    do: Annotated[Do, Form()],
    step: Annotated[str, Form(max_length=64)] = "",
    confirm: Annotated[str, Form(max_length=64)] = "",
    unit: Annotated[str, Form(max_length=8)] = "ml",
    dose_ml: Annotated[str, Form(max_length=16)] = "20",
    density: Annotated[str, Form(max_length=16)] = str(USUAL_DENSITY),
    amount: Annotated[str, Form(max_length=16)] = "",
) -> Response:
    """One step: begin, order, skip, read, again, undo or stop."""
    bench = Bench.of(web, dispenser, nozzle)
    query = {"dispenser": dispenser, "nozzle": str(nozzle)}
    begun = {"unit": unit, "dose_ml": dose_ml, "density": density}

    async def refused(errors: Mapping[str, Text | str], status: int = 422) -> Response:
        return await show(request, web, PAGE, query, status=status, errors=errors, begun=begun, amount=amount)

    word = UNDO if do == "undo" else WORDS.get(step.partition("-")[0], WORDS["pour"])
    if do in {"order", "undo"} and not confirmed(confirm, word):
        return await refused({"confirm": Text("Hold the button for a second, or type the word")})
    try:
        if do == "begin":
            chosen, errors = _begun(begun)
            if chosen is None:
                return await refused(errors)
            await bench.begin(bench.new_run(who.name, *chosen))
        else:
            read = _number(amount)
            if do == "read" and read is None and bench.is_of(step):
                return await refused({"amount": Text("A number, like 19.5")})
            await bench.act(request, do, step, read or 0.0)
    except DataError as error:
        where = "amount" if do == "read" else "all"
        return await refused({where: heard(str(error.args[0]), error.hint)})
    except Problem as problem:
        details = problem.details
        text = heard(details.detail, details.hint)
        return await refused({"all": text}, details.status)
    return RedirectResponse(AT.format(dispenser=dispenser, nozzle=nozzle), 303)


def _begun(begun: Mapping[str, str]) -> tuple[tuple[Unit, int, float] | None, dict[str, Text]]:
    """Unit, ml of a dose and density, as they were typed; else what is wrong with them."""
    errors: dict[str, Text] = {}
    unit = next((each for each in UNITS if each == begun["unit"]), None)
    if unit is None:
        errors["unit"] = Text("Choose one")
    dose, density = _number(begun["dose_ml"]), _number(begun["density"])
    if dose is None or not LEAST_DOSE_ML <= round(dose) <= MOST_DOSE_ML:
        errors["dose_ml"] = Text("Between {least} and {most}", least=LEAST_DOSE_ML, most=MOST_DOSE_ML)
    if density is None or not LEAST_DENSITY <= density <= MOST_DENSITY:
        errors["density"] = Text("Between {least} and {most}", least=LEAST_DENSITY, most=MOST_DENSITY)
    if unit is None or dose is None or density is None or errors:
        return None, errors
    return (unit, round(dose), density), {}


def _number(text: str) -> float | None:
    """A number as it is typed, with a point or a comma."""
    try:
        number = float(text.strip().replace(",", "."))
    except ValueError:
        return None
    return number if 0 < number < 10_000 else None
