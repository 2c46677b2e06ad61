"""The web application: routes, guard, errors, static files, put together."""

from __future__ import annotations

from fastapi import FastAPI

from gateway.web import health
from gateway.web.web import Web


def make_application(web: Web) -> FastAPI:
    """The application that shows these parts."""
    application = FastAPI(title="Picante gateway", docs_url=None, redoc_url=None)
    application.state.web = web
    application.include_router(health.router)
    return application
