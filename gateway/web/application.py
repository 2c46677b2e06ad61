"""The web application: routes, guard, errors, static files, put together."""

from __future__ import annotations

import functools
from types import ModuleType

from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from starlette.middleware.gzip import GZipMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from gateway.web import (
    api,
    commands,
    consents,
    health,
    live,
    stream,
)
from gateway.web.description import describe
from gateway.web.dispensers import (
    adoption,
    bottles,
    calibration_runs,
    calibrations,
    recalls,
    sample_stream,
    sensors,
    voids,
)
from gateway.web.dispensers import commands as dispenser_commands
from gateway.web.entry import api as entry_api
from gateway.web.entry import setup_api, setup_pages, sign_in
from gateway.web.entry.bare import Entry
from gateway.web.entry.refused import Refused
from gateway.web.entry.setup import Setup
from gateway.web.feeds import Feeds
from gateway.web.guard import Guard
from gateway.web.kiosk import api as kiosk_api
from gateway.web.kiosk import making as kiosk_making
from gateway.web.kiosk import page as kiosk_page
from gateway.web.language import load_languages
from gateway.web.machine import api as machine_api
from gateway.web.mending import api as repairs
from gateway.web.pages import (
    adopt,
    backups,
    bottle,
    bundle,
    calibrate,
    customers,
    dispenser,
    dispenser_forms,
    dispensers,
    events,
    letters,
    log,
    nozzles,
    people,
    picks,
    readings,
    recall,
    sync,
    system,
    trace,
    void,
)
from gateway.web.pages import repairs as repairs_page
from gateway.web.picking import model as model_api
from gateway.web.picking import too_hot
from gateway.web.problems import handle_errors
from gateway.web.records import events as events_api
from gateway.web.records import ledger as ledger_api
from gateway.web.records import letters as letters_api
from gateway.web.records import rates
from gateway.web.shell import Page
from gateway.web.statics import statics
from gateway.web.status import VERSION
from gateway.web.web import Web

ROUTES = (
    setup_api,
    entry_api,
    health,
    api,
    sensors,
    sample_stream,
    adoption,
    commands,
    consents,
    dispenser_commands,
    calibrations,
    calibration_runs,
    events_api,
    voids,
    bottles,
    recalls,
    ledger_api,
    letters_api,
    rates,
    model_api,
    too_hot,
    repairs,
    machine_api,
    kiosk_api,
    kiosk_making,
    kiosk_page,
    stream,
    live,
)
SHOWN: tuple[ModuleType, ...] = (
    repairs_page,
    dispensers,
    dispenser,
    dispenser_forms,
    adopt,
    readings,
    trace,
    nozzles,
    bottle,
    calibrate,
    recall,
    sync,
    letters,
    picks,
    customers,
    events,
    void,
    system,
    log,
    bundle,
    backups,
    people,
)
"""The modules of pages; whatever `Page` they hold has an event stream."""
DESCRIPTION = (
    "What the gateway of this shop's dispensers knows. "
    "Everything is read with GET, but for commands; errors are problem details (RFC 9457)."
)


def make_applications(web: Web) -> tuple[ASGIApp, ASGIApp]:
    """The application that shows these parts: for browsers and programs, and for the console's socket.

    All is ready then that the first to ask would wait for, and the event loop with them: routes and languages. That
    takes 0.3 s of a PC, once in a process: in a thread.
    """
    load_languages()
    application = FastAPI(
        title="Picante gateway",
        version=VERSION,
        description=DESCRIPTION,
        docs_url=None,  # its scripts come from elsewhere
        redoc_url=None,
    )
    describe(application)
    application.state.web = web
    application.state.feeds = Feeds(pages())
    application.state.entry = entry = Entry(web.access, web.state.config)
    application.state.setup = Setup(web.access, web.state.config, web.restart)
    application.router.routes += make_routes()
    refused = Refused(entry, web)
    handle_errors(application, refused)
    zipped = GZipMiddleware(application, minimum_size=1_000, compresslevel=5)
    return Guard(zipped, web.access, web.hosts, as_page=refused), Guard(zipped, web.access, console=True)


def make_routes() -> tuple[BaseRoute, ...]:
    """All routes, each with the models of what comes in and goes out; what they show, the application holds."""
    return _routes_of((sign_in, setup_pages, *ROUTES, *SHOWN))


@functools.lru_cache(2)
def _routes_of(modules: tuple[ModuleType, ...]) -> tuple[BaseRoute, ...]:
    made = FastAPI(openapi_url=None)
    for module in modules:
        made.include_router(module.router)
    made.mount("/static", statics, name="static")
    for _ in iter_route_contexts(made.routes):
        """It is made when it is looked at."""
    return tuple(made.routes)


def pages() -> dict[str, Page]:
    """Every page that has a stream, by its name."""
    found = [value for module in SHOWN for value in vars(module).values() if isinstance(value, Page)]
    return {page.name: page for page in found}
