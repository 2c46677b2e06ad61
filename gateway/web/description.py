"""What `/openapi.json` says beyond its routes: how one shows who asks, and what the guard may answer to anybody."""

from __future__ import annotations

import contextlib
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI

from gateway.web import cookies, examples
from gateway.web.guard import BY_KEY, OPEN
from gateway.web.problems import MEDIA_TYPE, documented

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
    components = document["components"]
    components["securitySchemes"] = SCHEMES | KEY
    responses: dict[str, Any] = {}
    components["responses"] = responses
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
            refusals += [400] if "requestBody" in operation else []  # it can't be read at all
            for status in refusals:
                answers.setdefault(str(status), documented(status)[status])
            for status, answer in answers.items():
                if MEDIA_TYPE in answer.get("content", {}):
                    responses.setdefault(f"Problem{status}", _problem(int(status)))
                    answers[status] = {"$ref": f"#/components/responses/Problem{status}"}
            for told in (operation.get("requestBody", {}), *answers.values()):
                if (content := told.get("content", {}).get("application/json")) is not None:
                    with contextlib.suppress(KeyError):  # a test sees that each has one
                        content.setdefault("example", examples.composed(content["schema"], document))


def _problem(status: int) -> dict[str, Any]:
    content = documented(status)[status]["content"][MEDIA_TYPE]
    what = HTTPStatus(status).phrase
    return {"description": what, "content": {MEDIA_TYPE: content | {"example": examples.error(status)}}}
