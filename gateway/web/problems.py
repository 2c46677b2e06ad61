"""Errors as problem details (RFC 9457): what is wrong, where, and what to do. No answer repeats what was sent.

Whoever looks with a browser gets a page instead (`entry.refused`): a form's answer is not to be JSON.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator
from typing import Annotated, Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, Field
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.types import Scope

from heat.errors import DataError, StoreError

MEDIA_TYPE = "application/problem+json"
PROGRAMS = ("/api/", "/metrics", "/openapi.json", "/live", "/static/")
"""Whoever asks here reads no page."""


class Fault(BaseModel):
    """One thing that is wrong with a request."""

    where: Annotated[str, Field(examples=["query.limit"])]
    what: Annotated[str, Field(examples=["Input should be less than or equal to 1000"])]


class ProblemDetails(BaseModel):
    """An error, as RFC 9457 writes it, with a hint and the places of the faults."""

    type: Annotated[str, Field(examples=["urn:picante:problem:no-such-dispenser"])]
    title: Annotated[str, Field(examples=["No such dispenser"])]
    status: Annotated[int, Field(examples=[404])]
    detail: Annotated[str, Field(examples=["there is no dispenser of this name"])]
    hint: Annotated[str, Field(examples=["/api/v1/dispensers lists those that there are"])]
    errors: list[Fault] = []


class Problem(Exception):
    """Raise it in an endpoint. `code` ends the problem's type; `wait_s`: s until it may be asked again."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        hint: str = "",
        faults: tuple[Fault, ...] = (),
        wait_s: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.wait_s = wait_s
        self.details = ProblemDetails(
            type=f"urn:picante:problem:{code}",
            title=code.replace("-", " ").capitalize(),
            status=status,
            detail=detail,
            hint=hint,
            errors=list(faults),
        )

    @property
    def headers(self) -> dict[str, str]:
        """What an answer that tells of it carries."""
        return {} if self.wait_s is None else {"retry-after": str(self.wait_s)}

    def response(self) -> JSONResponse:
        """The answer that tells of it."""
        return JSONResponse(self.details.model_dump(), self.details.status, self.headers, MEDIA_TYPE)


AsPage = Callable[[Scope, Problem], Response]
"""Draws a problem as a page."""


def answered(scope: Scope, problem: Problem, as_page: AsPage | None) -> Response:
    """What tells of a problem: a page for a browser that goes somewhere, else JSON."""
    headers = Headers(scope=scope)
    browses = "text/html" in headers.get("accept", "") and "authorization" not in headers
    if as_page is None or not browses or scope["path"].startswith(PROGRAMS):
        return problem.response()
    return as_page(scope, problem)


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The `responses` of a route that may answer with problems of these statuses."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemDetails"}}
    return {
        status: {"description": "Problem", "model": ProblemDetails, "content": {MEDIA_TYPE: schema}}
        for status in statuses
    }


def handle_errors(application: FastAPI, as_page: AsPage | None = None) -> None:
    """Answer every error with problem details, or with a page of them."""

    def handle(kind: type[Exception], problem_of: Callable[[Request, Any], Problem]) -> None:
        async def answer(request: Request, error: Exception) -> Response:
            problem = problem_of(request, error)
            told = answered(request.scope, problem, as_page)
            if isinstance(error, HTTPException) and error.status_code == 405:
                told.headers["allow"] = ", ".join(_methods(request))
            return told

        application.add_exception_handler(kind, answer)

    handle(Problem, lambda _request, problem: problem)
    handle(DataError, _bad_text)
    handle(RequestValidationError, _invalid)
    handle(HTTPException, _http)
    handle(sqlite3.Error, _unreadable)
    handle(StoreError, _not_stored)
    handle(Exception, _bug)


def _bad_text(_request: Request, error: DataError) -> Problem:
    return Problem(400, "bad-request", str(error.args[0]), hint=error.hint)


def _invalid(_request: Request, error: RequestValidationError) -> Problem:
    faults = tuple(
        Fault(where=".".join(str(part) for part in fault["loc"]), what=fault["msg"]) for fault in error.errors()
    )
    detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults)
    hint = "Mend these parameters; /openapi.json says what each may be"
    return Problem(422, "invalid-parameters", detail, hint=hint, faults=faults)


def _http(request: Request, error: HTTPException) -> Problem:
    if error.status_code == 405:
        takes = " or a ".join(_methods(request))
        return Problem(405, "wrong-method", f"this takes a {takes}", hint=f"Send a {takes}")
    if error.status_code == 404:
        hint = "The page is at /, the API's description at /openapi.json"
        return Problem(404, "no-such-path", "there is nothing at this path", hint=hint)
    if error.status_code == 400:
        hint = "Send JSON, in UTF-8; /openapi.json says what belongs in it"
        return Problem(400, "unreadable-body", "the body can't be read", hint=hint)
    return Problem(error.status_code, "http-error", error.detail)


def _unreadable(_request: Request, error: sqlite3.Error) -> Problem:
    detail = f"the database can't be read: {error}"
    return Problem(503, "store-unreadable", detail, hint="See /healthz and the daemon's log")


def _not_stored(_request: Request, error: StoreError) -> Problem:
    return Problem(503, "not-stored", str(error.args[0]), hint=error.hint)


def _bug(_request: Request, error: Exception) -> Problem:
    detail = f"{type(error).__name__} in the gateway's web part"
    return Problem(500, "internal-error", detail, hint="The log has its traceback; please report it")


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
