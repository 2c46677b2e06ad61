"""The kiosk's page: the same document with and without JavaScript, and the forms that are pressed on it.

One template draws what is shown; the page holds it at first, and its stream brings it again whenever it has changed. A
customer's language is theirs: `?lang=` of the page and of its stream, until nobody stands there any more.
"""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Header, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway.web.kiosk import presses
from gateway.web.kiosk.live import stream, tag
from gateway.web.kiosk.making import renew
from gateway.web.kiosk.presses import Dispenser, Key, Pour, Wish
from gateway.web.kiosk.screen import Screen, empty, screen_of
from gateway.web.language import LANGUAGES, Language, language
from gateway.web.problems import Problem
from gateway.web.seats import AnySeat
from gateway.web.shell import environment, language_of
from gateway.web.status import VERSION
from gateway.web.stream import EventStream
from gateway.web.web import TheWeb, Web
from gateway.web.who import Role, asker
from heat.events import Verdict

router = APIRouter(prefix="/kiosk/{dispenser}", include_in_schema=False)

NAMES = {"en": "English", "es": "Español", "de": "Deutsch"}
"""What each language calls itself."""


@router.get("")
async def page(request: Request, web: TheWeb, dispenser: Dispenser, lang: str | None = None) -> HTMLResponse:
    """What the customer sees."""
    return _page(request, web, dispenser, lang)


@router.get("/live")
async def live(
    request: Request,
    seat: AnySeat,
    dispenser: Dispenser,
    lang: str | None = None,
    last: str | None = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> EventStream:
    """The same as it changes. `last` is `Last-Event-ID` of a stream that was opened anew."""
    told, own = _languages(request, seat.web, lang)
    return stream(seat, dispenser, lambda screen: _draw(screen, told, own), last_event_id or last)


@router.post("/visits/{visit}/rating")
async def rate(  # noqa: PLR0913, PLR0917 -- a form's parts
    request: Request,
    web: TheWeb,
    dispenser: Dispenser,
    visit: Key,
    verdict: Annotated[Verdict, Form()],
    pour: Pour = None,
    lang: str | None = None,
) -> Response:
    """How hot the last pour was."""
    screen_of(web.state, dispenser)
    try:
        await presses.rate(web, dispenser, visit, verdict, pour)
    except Problem as problem:
        return _page(request, web, dispenser, lang, problem)
    return _back(dispenser, lang)


@router.post("/visits/{visit}/{wish}")
async def press(
    request: Request, web: TheWeb, dispenser: Dispenser, visit: Key, wish: Wish, lang: str | None = None
) -> Response:
    """What else a customer can press."""
    screen_of(web.state, dispenser)
    try:
        await presses.wish(web, dispenser, visit, wish)
    except Problem as problem:
        return _page(request, web, dispenser, lang, problem)
    return _back(dispenser, None if wish == "leave" else lang)


def _back(dispenser: str, lang: str | None) -> Response:
    query = f"?{urlencode({'lang': lang})}" if lang in LANGUAGES else ""
    return RedirectResponse(f"/kiosk/{dispenser}{query}", 303)


def _page(request: Request, web: Web, dispenser: str, lang: str | None, problem: Problem | None = None) -> HTMLResponse:
    screen, who = screen_of(web.state, dispenser), asker(request)
    told, own = _languages(request, web, lang)
    failed = problem is not None
    shown = _draw(screen, told, own, failed=failed)
    html = environment.get_template("kiosk/page.html").render(
        **_values(screen, told, own),
        shown=shown,
        last="" if failed else tag(shown),
        who=None if who.is_kiosk else who,
        may_make=who.role >= Role.TECHNICIAN,
        start=None if screen.visit is None else empty(screen),
        version=VERSION,
        failed=False,
    )
    answer = HTMLResponse(html, 200 if problem is None else problem.details.status)
    renew(request, answer)
    return answer


def _draw(screen: Screen, told: Language, own: str, *, failed: bool = False) -> str:
    return environment.get_template("kiosk/screen.html").render(**_values(screen, told, own), failed=failed)


def _values(screen: Screen, told: Language, own: str) -> dict[str, Any]:
    return {
        "screen": screen,
        "path": f"/kiosk/{screen.dispenser}",
        "query": "" if told.code == own else f"?lang={told.code}",
        "_": told.gettext,
        "say": told.say,
        "lang": told,
        "languages": NAMES,
        "own": own,
    }


def _languages(request: Request, web: Web, lang: str | None) -> tuple[Language, str]:
    """What is spoken now, and the code of what this kiosk speaks to nobody."""
    own = language_of(request, web, asker(request))
    if lang not in LANGUAGES:
        return own, own.code
    return language(lang, web.state.config.gateway.timezone), own.code
