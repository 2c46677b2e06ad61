"""The page: one HTML document, whole without JavaScript; `/live` sends its parts again as they change."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from gateway.web.web import TheWeb

router = APIRouter(include_in_schema=False)


@router.get("/", response_class=HTMLResponse)
async def page(web: TheWeb) -> HTMLResponse:
    """The page as of now."""
    return HTMLResponse(web.drawn().page())
