"""A customer by pseudonym: what they are believed to like, and whether they want to be known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway import consents
from gateway.web import views
from gateway.web.answers import ProfileView
from gateway.web.confirm import must_be_confirmed
from gateway.web.consents import SetConsent, change
from gateway.web.kiosk.words import flavour
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.sentences import name_of
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician, Viewer, Who
from heat.identity import PSEUDONYM
from heat.scale import MAX_MO

router = APIRouter(prefix="/picks/customers", include_in_schema=False)

FORGET = Text("FORGET")
"""Typed by who can't hold the button."""
Pseudonym = Annotated[str, Path(max_length=64)]
VERDICTS: dict[str, Text] = {
    "too_hot": Text("too hot"),
    "just_right": Text("just right"),
    "more": Text("more"),
}


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    subject = query["pseudonym"]
    if not PSEUDONYM.match(subject):
        hint = "Give a pseudonym (p1-<32 hex digits>), never a token"
        raise Problem(404, "not-a-subject", "this is no customer", hint=hint)
    profile = views.profile_view(web.state, subject)
    return {
        "subject": subject,
        "profile": profile,
        "line": None if profile is None else _line(profile),
        "windows": [] if profile is None else profile.windows,
        "latest": None
        if profile is None or profile.latest is None
        else name_of(profile.latest.sauce, web.state.catalog),
        "verdicts": VERDICTS,
        "flavour": flavour,
        "consent": consents.wish(web.state.reader, subject),
        "forget": FORGET,
        "error": None,
    }


def _line(profile: ProfileView) -> dict[str, str]:
    """Where the customer's heat lies on a line of 100: mean, spread, and what hurts."""
    mean, sd, most = profile.state.mean.milli_octaves, profile.state.sd_milli_octaves, profile.state.tolerance
    low, high = max(mean - sd, 0), min(mean + sd, MAX_MO)
    at = {"mean": mean, "low": low, "most": most.milli_octaves}
    places = {name: f"{100 * value / MAX_MO:.1f}" for name, value in at.items()}
    return {**places, "width": f"{100 * (high - low) / MAX_MO:.1f}"}


PAGE = Page(
    "customer",
    Text("Customer"),
    _context,
    ("customers/profile",),
    "customers/page.html",
    about=("pseudonym",),
    menu="picks",
)


@router.get("")
async def look_for(pseudonym: str = "") -> RedirectResponse:
    """To the page of a pseudonym that was typed."""
    subject = pseudonym.strip()
    return RedirectResponse(f"/picks/customers/{subject}" if PSEUDONYM.match(subject) else "/picks#customer", 303)


@router.get("/{pseudonym}")
async def page(request: Request, web: TheWeb, who: Viewer, pseudonym: Pseudonym) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE, {"pseudonym": pseudonym})


@router.post("/{pseudonym}/consent")
async def consent(
    request: Request,
    web: TheWeb,
    who: Technician,  # noqa: ARG001
    pseudonym: Pseudonym,
    confirm: Annotated[str, Form(max_length=40)] = "",
    wish: Annotated[str, Form(max_length=10)] = "none",
) -> Response:
    """Forget a customer, or let them be known again."""
    try:
        if wish != "profile":
            must_be_confirmed(confirm, FORGET)
        await change(web, pseudonym, SetConsent(consent="profile" if wish == "profile" else "none"))
    except Problem as problem:
        details = problem.details
        return await show(request, web, PAGE, {"pseudonym": pseudonym}, details.status, error=details)
    return RedirectResponse(f"/picks/customers/{pseudonym}", 303)
