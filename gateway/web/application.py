"""The web application: routes, guard, errors, static files, put together."""

from __future__ import annotations

from pathlib import Path

from fastapi import FastAPI
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp

from gateway.web import (
    adoption,
    api,
    calibrations,
    commands,
    consents,
    dispenser_commands,
    health,
    page,
    sensors,
    stream,
)
from gateway.web.guard import Guard
from gateway.web.kiosk import api as kiosk_api
from gateway.web.kiosk import page as kiosk_page
from gateway.web.pages import dispensers, events, letters, people, picks, sync, system
from gateway.web.problems import handle_errors
from gateway.web.records import ledger as ledger_api
from gateway.web.records import letters as letters_api
from gateway.web.records import rates
from gateway.web.status import VERSION
from gateway.web.web import Web

STATIC = Path(__file__).parent / "static"
DESCRIPTION = (
    "What the gateway of this shop's dispensers knows. "
    "Everything is read with GET, but for commands; errors are problem details (RFC 9457)."
)


def make_application(web: Web) -> ASGIApp:
    """The application that shows these parts."""
    application = FastAPI(
        title="Picante gateway",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # its scripts come from elsewhere
        redoc_url=None,
    )
    application.state.web = web
    for module in (health, api, sensors, adoption, commands, consents, dispenser_commands, calibrations, stream, page):
        application.include_router(module.router)
    for module in (kiosk_api, kiosk_page):
        application.include_router(module.router)
    for record in (ledger_api, letters_api, rates):
        application.include_router(record.router)
    for shown in (dispensers, sync, letters, picks, events, system, people):
        application.include_router(shown.router)
    application.mount("/static", StaticFiles(directory=STATIC), name="static")
    handle_errors(application)
    return Guard(application)
