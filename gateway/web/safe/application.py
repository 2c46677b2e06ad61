"""Safe mode's application, and what answers where not even access.db can be read."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.web.entry import api as entry_api
from gateway.web.entry import sign_in
from gateway.web.entry.bare import Entry
from gateway.web.entry.refused import Refused
from gateway.web.guard import Guard, Hosts
from gateway.web.problems import handle_errors
from gateway.web.safe import api, pages, restore
from gateway.web.safe.safe import Safe
from gateway.web.statics import statics

ROUTES = (sign_in, entry_api, api, restore, pages)
"""The last answers whatever is left."""


def make_safe_applications(safe: Safe, hosts: Hosts) -> tuple[ASGIApp, ASGIApp]:
    """For browsers and programs, and for the console's socket."""
    application = FastAPI(openapi_url=None, docs_url=None, redoc_url=None)
    application.state.safe = safe
    application.state.entry = entry = Entry(safe.access, safe.config)
    application.mount("/static", statics, name="static")
    for module in ROUTES:
        application.include_router(module.router)
    refused = Refused(entry)
    handle_errors(application, refused)
    return Guard(application, safe.access, hosts, as_page=refused), Guard(application, safe.access, console=True)


async def closed(scope: Scope, receive: Receive, send: Send) -> None:
    """Where nobody can be told from anybody else: that something is wrong, and where one finds out what."""
    if scope["type"] == "http":
        said = "This gateway can't run. Give this command on it: picante doctor\n"
        await PlainTextResponse(said, 503, {"retry-after": "10"})(scope, receive, send)
