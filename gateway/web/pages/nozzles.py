"""Which sauce is on which nozzle: as it is planned, as the dispenser tells, and a form to plan otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request, Response
from fastapi.responses import RedirectResponse

from gateway.web.api import nozzles_of
from gateway.web.dispensers import planograms
from gateway.web.dispensers.commands import Dispenser
from gateway.web.etags import etag_of
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.pages.dispenser import known
from gateway.web.problems import Problem
from gateway.web.readings import PERIOD_S
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Viewer, Who

router = APIRouter(include_in_schema=False)

MOST_FIELDS = 300
"""Of the form: a nozzle has a number from 0 to 255."""


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:
    dispenser = query["dispenser"]
    told, catalog = planograms.told(web, dispenser), web.state.catalog
    planned = planograms.planned(web, dispenser)
    lots, view = web.state.lots, known(web, dispenser)
    bottles = {number: lots.bottle(dispenser, number) for number in planned}
    return {
        "dispenser": dispenser,
        "title": web.state.plans.of(dispenser).name or dispenser,
        "told": told,
        "planned": planned,
        "chosen": planned,
        "levels": {each.nozzle: each.level_ml for each in nozzles_of(web.state, dispenser)},
        "lost": None if view.online else view.since,
        "period_s": PERIOD_S,
        "bottles": bottles,
        "unfit": {number: lots.unfit(bottle) for number, bottle in bottles.items() if bottle is not None},
        "catalog": catalog,
        "names": {sauce.id: sauce.name for sauce in catalog.values()},
        "sauces": sorted(catalog.values(), key=lambda sauce: sauce.name),
        "etag": etag_of(sorted(planned.items())),
        "serves": who.role >= Role.TECHNICIAN,
        "theirs": {},
        "error": None,
    }


PAGE = Page("nozzles", Text("Nozzles"), _context, (), "nozzle/map.html", menu="dispensers")


@router.get("/dispensers/{dispenser}/nozzles")
async def page(request: Request, web: TheWeb, dispenser: Dispenser, who: Viewer) -> Response:  # noqa: ARG001
    """The nozzles as of now."""
    return await show(request, web, PAGE, {"dispenser": dispenser})


@router.post("/dispensers/{dispenser}/nozzles")
async def place(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician) -> Response:  # noqa: ARG001
    """Have these sauces on these nozzles. Where somebody planned otherwise meanwhile, both are shown."""
    planned = planograms.planned(web, dispenser)
    async with request.form(max_files=0, max_fields=MOST_FIELDS) as form:
        seen = str(form.get("etag", ""))
        typed = {number: str(form.get(f"nozzle-{number}", sauce))[:64] for number, sauce in planned.items()}
    changed = {number: sauce for number, sauce in typed.items() if sauce != planned[number]}
    try:
        if changed:
            await planograms.place(web, dispenser, changed, seen)
    except Problem as problem:
        status = problem.details.status
        theirs = changed if status == 412 else {}
        error = None if status == 412 else heard(problem.details.detail)
        query = {"dispenser": dispenser}
        return await show(request, web, PAGE, query, status=status, chosen=typed, theirs=theirs, error=error)
    return RedirectResponse(f"/dispensers/{dispenser}/nozzles", 303)
