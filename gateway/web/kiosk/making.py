"""A browser becomes the kiosk of one dispenser, and is that until somebody revokes its token.

Whoever makes it one is signed out of it: customers touch it. Its cookie is a token of scope `kiosk:{dispenser}`, which
opens that dispenser's kiosk and nothing else; People lists it like any other.
"""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from gateway.access.tokens import KIOSK
from gateway.web import cookies
from gateway.web.answers import Answer, example
from gateway.web.audited import audit
from gateway.web.kiosk.presses import Dispenser
from gateway.web.kiosk.screen import screen_of
from gateway.web.once import holds_secret
from gateway.web.problems import documented
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician, Who, asker

router = APIRouter()

GOOD_FOR_S = 400 * 86_400
"""s; no browser keeps a cookie for longer. Each load of the page begins them anew."""


class KioskToken(Answer):
    """What opens one dispenser's kiosk, and nothing else. It is never shown again."""

    token: Annotated[str, example("picante_2bD7...")]


@router.post("/api/v1/kiosk/{dispenser}/token", status_code=201, tags=["v1"], responses=documented(400, 404, 422))
async def make_token(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician) -> KioskToken:
    """Make a token with which a program, or a browser of yours, is the kiosk of a dispenser until it is revoked."""
    holds_secret(request)
    return KioskToken(token=await let_be_kiosk(request, web, dispenser, who))


@router.post("/kiosk/{dispenser}/make", include_in_schema=False)
async def make(request: Request, web: TheWeb, dispenser: Dispenser, who: Technician) -> Response:
    """Make the browser that asks the kiosk of a dispenser."""
    access, secret = web.state.access, await let_be_kiosk(request, web, dispenser, who)
    answer = RedirectResponse(f"/kiosk/{dispenser}", 303)
    cookies.put(answer, cookies.KIOSK, secret, GOOD_FOR_S)
    if who.via == "session" and who.session is not None:
        await access.sessions.end(who.session)
        cookies.drop(answer, cookies.SESSION)
    return answer


async def let_be_kiosk(request: Request, web: Web, dispenser: str, who: Who) -> str:
    """The secret of a token of a dispenser's kiosk. Raises DataError, Problem."""
    screen_of(web.state, dispenser)
    secret = await web.state.access.tokens.add(f"kiosk of {dispenser}", KIOSK + dispenser, who.name, None)
    audit(request, f"another browser or program is the kiosk of {dispenser} now")
    return secret


def renew(request: Request, answer: Response) -> None:
    """Let a kiosk's cookie last from now on."""
    secret = request.cookies.get(cookies.KIOSK)
    if secret is not None and asker(request).is_kiosk:
        cookies.put(answer, cookies.KIOSK, secret, GOOD_FOR_S)
