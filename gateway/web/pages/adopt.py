"""Letting a dispenser in that waits: which one it is, what to call it, and its key where it has one already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from pydantic import ValidationError
from starlette.responses import RedirectResponse, Response

from gateway.web.audited import audit
from gateway.web.dispensers.adoption import Adopt, let_in
from gateway.web.dispensers.commands import Dispenser
from gateway.web.language import Text
from gateway.web.pages.dispenser import known
from gateway.web.pages.forms import Words, wrong
from gateway.web.problems import Problem
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, Technician, Who

router = APIRouter(include_in_schema=False)


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    view = known(web, query["dispenser"])
    stranger = web.state.dispensers.strangers.get(view.name)
    return {
        "one": view,
        "keyless": stranger is not None and stranger.takes_a_key,
        "errors": {},
        "typed": {},
        "failed": None,
    }


PAGE = Page(
    "adopt",
    Text("Adopt a dispenser"),
    _context,
    ("adopt/state",),
    "adopt/page.html",
    Role.TECHNICIAN,
    about=("dispenser",),
    menu="dispensers",
)


@router.get("/dispensers/{dispenser}/adopt")
async def page(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician) -> Response:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE, {"dispenser": dispenser})


@router.post("/dispensers/{dispenser}/adopt")
async def adopt(
    request: Request, web: TheWeb, dispenser: Dispenser, who: Technician, name: Words = "", key: Words = ""
) -> Response:
    """Let it in; it opens its link within ten seconds, which its page shows."""
    try:
        asked = {name: given for name, given in (("name", name.strip()), ("key", key.strip())) if given}
        await let_in(web, dispenser, Adopt.model_validate(asked))
    except (Problem, ValidationError) as error:
        problem, more = wrong(request, web, error, {"name": name})
        return await show(request, web, PAGE, {"dispenser": dispenser}, problem.details.status, **more)
    audit(request, f"called {name.strip() or dispenser}, by {who.name}")
    return RedirectResponse(f"/dispensers/{dispenser}", 303)
