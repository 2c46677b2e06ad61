"""Errors as problem details (RFC 9457): what is wrong, where, and what to do. No answer repeats what was sent."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.routing import Match

from heat.errors import DataError

MEDIA_TYPE = "application/problem+json"


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: str
    what: str


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 writes it, with a hint and the places of the faults."""

    type: str
    title: str
    status: int
    detail: str
    hint: str
    errors: list[Fault] = []


class Problem(Exception):
    """Raise it in an endpoint. `code` ends the problem's type."""

    def __init__(self, status: int, code: str, detail: str, *, hint: str = "", faults: tuple[Fault, ...] = ()) -> None:
        super().__init__(detail)
        self.details = ProblemDetails(
            type=f"urn:picante:problem:{code}",
            title=code.replace("-", " ").capitalize(),
            status=status,
            detail=detail,
            hint=hint,
            errors=list(faults),
        )

    def response(self) -> JSONResponse:
        """The answer that tells of it."""
        return JSONResponse(self.details.model_dump(), self.details.status, media_type=MEDIA_TYPE)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with problems of these statuses."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        status: {"description": "Problem", "model": ProblemDetails, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def handle_errors(application: FastAPI) -> None:
    """Answer every error with problem details."""
    application.add_exception_handler(Problem, _problem)
    application.add_exception_handler(DataError, _bad_text)
    application.add_exception_handler(RequestValidationError, _invalid)
    application.add_exception_handler(HTTPException, _http)
    application.add_exception_handler(sqlite3.Error, _unreadable)
    application.add_exception_handler(Exception, _bug)


async def _problem(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, Problem)
    return error.response()


async def _bad_text(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, DataError)
    return Problem(400, "bad-request", str(error.args[0]), hint=error.hint).response()


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = tuple(
        Fault(where=".".join(str(part) for part in fault["loc"]), what=fault["msg"]) for fault in error.errors()
    )
    detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults)
    hint = "Mend these parameters; /openapi.json says what each may be"
    return Problem(422, "invalid-parameters", detail, hint=hint, faults=faults).response()


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = _methods(request)
        takes = " or a ".join(allowed)
        answer = Problem(405, "wrong-method", f"this takes a {takes}", hint=f"Send a {takes}").response()
        answer.headers["allow"] = ", ".join(allowed)
        return answer
    if error.status_code == 404:
        hint = "The page is at /, the API's description at /openapi.json"
        return Problem(404, "no-such-path", "there is nothing at this path", hint=hint).response()
    return Problem(error.status_code, "http-error", error.detail).response()


def _methods(request: Request) -> list[str]:
    """What may be asked of this path."""
    found: set[str] = set()
    for route in _flat(request.app.router.routes):
        if route.matches(request.scope)[0] is not Match.NONE:
            found |= getattr(route, "methods", None) or {"GET"}
    return sorted(found - {"HEAD"})


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    for route in routes:
        included = getattr(route, "original_router", None)
        if included is None:
            yield route
        else:
            yield from _flat(included.routes)


async def _unreadable(_request: Request, error: Exception) -> JSONResponse:
    detail = f"the database can't be read: {error}"
    return Problem(503, "store-unreadable", detail, hint="See /healthz and the daemon's log").response()


async def _bug(_request: Request, error: Exception) -> JSONResponse:
    detail = f"{type(error).__name__} in the gateway's web part"
    return Problem(500, "internal-error", detail, hint="The log has its traceback; please report it").response()
