"""The bottle on a nozzle: which one hangs there, and a form for whoever changes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from pydantic import ValidationError

from gateway.web.dispensers import planograms
from gateway.web.dispensers.bottles import MAX_ML, NewBottle, NozzleNumber, bottles_of, check_nozzle, etag, hang
from gateway.web.dispensers.commands import Dispenser
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Viewer, Who

router = APIRouter(include_in_schema=False)

USUAL_ML = 750


@dataclass
class Typed:
    """The form, as it was typed."""

    sauce: Annotated[str, Form(max_length=64)] = ""
    lot: Annotated[str, Form(max_length=200)] = ""
    best_before: Annotated[str, Form(max_length=64)] = ""
    volume_ml: Annotated[str, Form(max_length=64)] = str(USUAL_ML)
    etag: Annotated[str, Form(max_length=200)] = ""


_ERRORS: dict[str, tuple[str, Text]] = {
    "bad-sauce": ("sauce", Text("Choose a sauce of the catalogue")),
    "bad-lot": ("lot", Text("Copy it from the label: letters and digits, 32 at most")),
    "bad-best-before": ("best_before", Text("Look at the date again")),
    "bottle-expired": ("best_before", Text("This date has passed: take another bottle")),
    "bottle-recalled": ("lot", Text("This lot was recalled: set the bottle aside, and take another one")),
}
"""By the code of a problem: at which field, and what is wrong."""


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
    dispenser, nozzle = query["dispenser"], int(query["nozzle"])
    check_nozzle(web, dispenser, nozzle)
    wanted = planograms.planned(web, dispenser)[nozzle]
    catalog = web.state.catalog
    return {
        "dispenser": dispenser,
        "title": web.state.plans.of(dispenser).name or dispenser,
        "nozzle": nozzle,
        "bottles": await bottles_of(web, dispenser, nozzle),
        "names": {sauce.id: sauce.name for sauce in catalog.values()},
        "sauces": [(sauce.id, sauce.name) for sauce in sorted(catalog.values(), key=lambda one: one.name)],
        "etag": etag(web, dispenser, nozzle),
        "typed": Typed(sauce=wanted),
        "errors": {},
        "meanwhile": False,
        "serves": who.role >= Role.TECHNICIAN,
    }


PAGE = Page("bottle", Text("Bottle"), _context, (), "nozzle/bottle.html", menu="dispensers")


@router.get("/dispensers/{dispenser}/nozzles/{nozzle}/bottle")
async def page(request: Request, web: TheWeb, dispenser: Dispenser, nozzle: NozzleNumber, who: Viewer) -> Response:  # noqa: ARG001
    """What hangs there, and the form."""
    return await show(request, web, PAGE, {"dispenser": dispenser, "nozzle": str(nozzle)})


@router.post("/dispensers/{dispenser}/nozzles/{nozzle}/bottle")
async def change(  # noqa: PLR0913, PLR0917 -- a form's parts
    request: Request,
    web: TheWeb,
    dispenser: Dispenser,
    nozzle: NozzleNumber,
    who: Technician,
    sauce: Annotated[str, Form(max_length=64)] = "",
    lot: Annotated[str, Form(max_length=200)] = "",
    best_before: Annotated[str, Form(max_length=64)] = "",
    volume_ml: Annotated[str, Form(max_length=64)] = "",
    seen: Annotated[str, Form(alias="etag", max_length=200)] = "",
) -> Response:
    """A bottle was put on the nozzle."""
    typed = Typed(sauce, lot, best_before, volume_ml)
    new, errors = _read(typed)
    status = 422
    if new is not None:
        try:
            await hang(request, web, (dispenser, nozzle), new, who.name, seen)
        except Problem as problem:
            code, status = problem.details.type.rpartition(":")[2], problem.details.status
            if status == 404:
                raise
            where, what = _ERRORS.get(code, ("all", heard(problem.details.detail)))
            errors = {where: what} if status != 412 else {}
        else:
            return RedirectResponse(f"/dispensers/{dispenser}/nozzles", 303)
    query = {"dispenser": dispenser, "nozzle": str(nozzle)}
    return await show(request, web, PAGE, query, status=status, typed=typed, errors=errors, meanwhile=status == 412)


def _read(typed: Typed) -> tuple[NewBottle | None, dict[str, Text | str]]:
    errors: dict[str, Text | str] = {}
    day: date | None = None
    if typed.best_before.strip():
        try:
            day = date.fromisoformat(typed.best_before.strip())
        except ValueError:
            errors["best_before"] = Text("Write it as 2027-06-30")
    if not typed.lot.strip():
        errors["lot"] = Text("Copy it from the label")
    if not typed.volume_ml.strip().isdecimal() or not 1 <= int(typed.volume_ml) <= MAX_ML:
        errors["volume_ml"] = Text("Between {least} and {most}", least=1, most=MAX_ML)
    if errors:
        return None, errors
    try:
        return NewBottle(sauce=typed.sauce, lot=typed.lot, best_before=day, volume_ml=int(typed.volume_ml)), {}
    except ValidationError as error:
        return None, {str(fault["loc"][0]): Text("This can't be") for fault in error.errors()}
