"""A browser becomes the kiosk of one dispenser, and is that until somebody revokes its token.

Whoever makes it one is signed out of it: customers touch it. Its cookie is a token of scope `kiosk:{dispenser}`, which
opens that dispenser's kiosk and nothing else; People lists it like any other.
"""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.access.tokens import KIOSK
from gateway.web import cookies
from gateway.web.audited import audit
from gateway.web.kiosk.presses import Dispenser
from gateway.web.kiosk.screen import screen_of
from gateway.web.web import TheWeb
from gateway.web.who import Technician, Who, asker

router = APIRouter(prefix="/kiosk/{dispenser}", include_in_schema=False)

GOOD_FOR_S = 400 * 86_400
"""s; no browser keeps a cookie for longer. Each load of the page begins them anew."""


@router.post("/make")
async def make(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician) -> Response:
    """Make the browser that asks the kiosk of a dispenser."""
    screen_of(web.state, dispenser)
    access, scope = web.state.access, KIOSK + dispenser
    secret = await access.tokens.add(f"kiosk of {dispenser}", scope, who.name, None)
    audit(request, f"a browser is the kiosk of {dispenser} now")
    answer = RedirectResponse(f"/kiosk/{dispenser}", 303)
    cookies.put(answer, cookies.KIOSK, secret, GOOD_FOR_S)
    if who.via == "session" and who.session is not None:
        await access.sessions.end(who.session)
        cookies.drop(answer, cookies.SESSION)
    return answer


def is_kiosk(who: Who) -> bool:
    """Whether whoever asks is a kiosk, and no person."""
    return who.scope is not None and who.scope.startswith(KIOSK)


def renew(request: Request, answer: Response) -> None:
    """Let a kiosk's cookie last from now on."""
    secret = request.cookies.get(cookies.KIOSK)
    if secret is not None and is_kiosk(asker(request)):
        cookies.put(answer, cookies.KIOSK, secret, GOOD_FOR_S)
