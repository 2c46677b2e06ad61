"""What `/openapi.json` says beyond its routes: how one shows who asks, and what the guard may answer to anybody."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from gateway.web import cookies
from gateway.web.guard import BY_KEY, OPEN
from gateway.web.problems import documented

SCHEMES = {
    "token": {
        "type": "http",
        "scheme": "bearer",
        "description": "Of the page People, or `picante tokens add`.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": cookies.SESSION,
        "description": "Of who has signed in.",
    },
}
KEY = {
    "setup": {
        "type": "http",
        "scheme": "bearer",
        "description": "The key that `POST /api/v1/setup` gives for the one-time code.",
    },
}
"""Opens a setup alone."""
_METHODS = ("get", "put", "post", "delete", "patch")


def describe(application: FastAPI) -> None:
    """Have the application's description say so, once somebody asks for it."""
    plain = application.openapi

    def described() -> dict[str, Any]:
        if application.openapi_schema is None:
            _complete(plain())
        document: dict[str, Any] = plain()
        return document

    application.openapi = described  # type: ignore[method-assign]


def _complete(document: dict[str, Any]) -> None:
    refused = documented(403)[403]
    components = document.setdefault("components", {})
    components["securitySchemes"] = SCHEMES | KEY
    components["responses"] = {"Refused": {"description": "Problem", "content": refused["content"]}}
    for path, operations in document["paths"].items():
        for method in _METHODS:
            if (operation := operations.get(method)) is None:
                continue
            is_open = OPEN.match(path) is not None
            gives_key = (path, method) == ("/api/v1/setup", "post")
            names = KEY if BY_KEY.match(path) is not None and not gives_key else {} if is_open else SCHEMES
            operation["security"] = [{name: []} for name in names]
            answers = operation["responses"]
            refusals = [] if is_open else [401, 403]
            refusals += [409, 413, 429] if method != "get" else []
            for status in refusals:
                answers.setdefault(str(status), {"$ref": "#/components/responses/Refused"})
