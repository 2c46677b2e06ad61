"""Who is shown what, and why: the last slates, what somebody would get, the model, and how often it was too hot."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.web import reads
from gateway.web.api import would_pick
from gateway.web.confirm import must_be_confirmed
from gateway.web.kiosk.words import reason
from gateway.web.language import Text
from gateway.web.picking.model import read_model, take_back_bundle
from gateway.web.picking.too_hot import read_too_hot
from gateway.web.problems import Problem, ProblemDetails
from gateway.web.reads import Row
from gateway.web.records import search
from gateway.web.records.reading import in_thread
from gateway.web.records.search import Filters
from gateway.web.sentences import name_of
from gateway.web.shell import Page, show
from gateway.web.status import pick_times
from gateway.web.views import heat_at
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician, Viewer, Who
from heat.events import Impression, read_data
from heat.identity import PSEUDONYM, SOURCE_NAME

router = APIRouter(prefix="/picks", include_in_schema=False)

SLATES = 6
"""Slates that are shown."""
TAKE_BACK = Text("TAKE BACK")
"""Typed by who can't hold the button."""
RELEASE_STATES: dict[str, Text] = {
    "used": Text("in use"),
    "on_trial": Text("on trial"),
    "waiting": Text("waiting"),
    "refused": Text("refused"),
}
KINDS: dict[str, Text] = {
    "bundle": Text("Model"),
    "catalogue": Text("Catalogue"),
    "words": Text("Heat words"),
    "configuration": Text("Configuration"),
}


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    state = web.state
    dispenser, subject = query.get("dispenser", "").strip()[:64], query.get("subject", "").strip()[:64]
    would, wrong = None, None
    if dispenser:
        try:
            would = _would(web, dispenser, subject)
        except Problem as problem:
            wrong = problem.details
    found = await in_thread(
        state, lambda reader: search.older(reader, Filters(type=Impression.type), None, SLATES).rows
    )
    whys = {(shown.pick_id, pick.sauce): pick.why for shown in state.recommender.recent for pick in shown.picks}
    return {
        "slates": [slate for row in found if (slate := _slate(web, row, whys)) is not None],
        "times": pick_times(state),
        "model": await read_model(web),
        "release_states": RELEASE_STATES,
        "kinds": KINDS,
        "too_hot": await read_too_hot(web),
        "would": would,
        "wrong": wrong,
        "asked": {"dispenser": dispenser, "subject": subject},
        "dispensers": [one.name for one in reads.dispensers(state.reader)],
        "take_back": TAKE_BACK,
        "error": None,
    }


def _would(web: Web, dispenser: str, subject: str) -> dict[str, Any]:
    """What somebody would be shown. Raises Problem."""
    if not SOURCE_NAME.match(dispenser):
        raise Problem(
            404, "no-such-dispenser", "no dispenser of this name was ever here", hint="Choose one of the list"
        )
    view = would_pick(web, dispenser, subject or None)
    return {"view": view, "picks": [{"pick": pick, "why": reason(pick.why)} for pick in view.picks]}


def _slate(web: Web, row: Row, whys: Mapping[tuple[str, str], str]) -> dict[str, Any] | None:
    """An impression as the page tells it."""
    shown = read_data(Impression.type, row.data)
    if not isinstance(shown, Impression):
        return None
    return {
        "position": row.position,
        "time": reads.moment(row.time_ms),
        "dispenser": shown.dispenser,
        "customer": row.subject if row.subject is not None and PSEUDONYM.match(row.subject) else None,
        "ranker": shown.ranker,
        "arm": shown.arm,
        "latency_ms": shown.latency_us / 1000,
        "candidates": len(shown.candidates),
        "picks": [
            {
                "nozzle": pick.nozzle,
                "name": name_of(pick.sauce, web.state.catalog),
                "heat": heat_at(pick.milli_octaves),
                "propensity": pick.propensity,
                "why": reason(whys[shown.pick_id, pick.sauce]) if (shown.pick_id, pick.sauce) in whys else None,
            }
            for pick in shown.picks
        ],
    }


PAGE = Page(
    "picks",
    Text("Picks"),
    _context,
    ("picks/slates", "picks/model", "picks/too_hot"),
    "picks/page.html",
)


@router.get("")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)


@router.post("/take-back")
async def take_back(
    request: Request, web: TheWeb, who: Technician, confirm: Annotated[str, Form(max_length=40)] = ""
) -> Response:
    """Take the model back."""
    error: ProblemDetails
    try:
        must_be_confirmed(confirm, TAKE_BACK)
        await take_back_bundle(web, who)
    except Problem as problem:
        error = problem.details
        return await show(request, web, PAGE, {}, error.status, error=error)
    return RedirectResponse("/picks#picks-model", 303)
