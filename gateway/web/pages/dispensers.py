"""The dispensers: a page of them at a time, and a search."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from gateway.web.language import Text
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Viewer, Who

router = APIRouter(include_in_schema=False)


async def _context(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    return {}


PAGE = Page("dispensers", Text("Dispensers"), _context, (), "dispensers/page.html")


@router.get("/dispensers")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The page as of now."""
    return await show(request, web, PAGE)
