"""The web of a gateway that has no name yet: setup, signing in, and nothing else."""

from __future__ import annotations

from fastapi import FastAPI
from fastapi.responses import JSONResponse
from starlette.types import ASGIApp

from gateway.web.entry import setup_api, setup_pages, sign_in
from gateway.web.entry.bare import Entry
from gateway.web.entry.refused import Refused
from gateway.web.entry.setup import Setup
from gateway.web.guard import Guard, Hosts
from gateway.web.problems import handle_errors
from gateway.web.statics import statics


def make_alone(entry: Entry, setup: Setup, hosts: Hosts) -> tuple[ASGIApp, ASGIApp]:
    """The application: for browsers, and for the console's socket."""
    application = FastAPI(title="Picante gateway", docs_url=None, redoc_url=None, openapi_url=None)
    application.state.entry = entry
    application.state.setup = setup

    @application.get("/healthz")
    async def healthz() -> JSONResponse:
        return JSONResponse({"status": "ok"})

    @application.get("/readyz")
    async def readyz() -> JSONResponse:
        part = {"name": "setup", "state": "failing", "needed": True, "detail": "This gateway is not set up"}
        return JSONResponse({"ready": False, "parts": [part]}, 503)

    for module in (sign_in, setup_pages, setup_api):
        application.include_router(module.router)
    application.mount("/static", statics, name="static")
    refused = Refused(entry)
    handle_errors(application, refused)
    return Guard(application, entry.access, hosts, as_page=refused), Guard(application, entry.access, console=True)
