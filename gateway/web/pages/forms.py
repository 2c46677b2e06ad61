"""What the forms of a dispenser's pages share: their fields, and what is said of those that can't be taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import Form, Request
from pydantic import ValidationError

from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.problems import Fault, Problem
from gateway.web.shell import language_of
from gateway.web.web import Web
from gateway.web.who import asker

Words = Annotated[str, Form(max_length=300)]

WRONG: dict[str, Text] = {
    "volume_ml": Text("A number of millilitres, at most 100"),
    "seconds": Text("A number of seconds, at most 30"),
    "nozzle": Text("One of its nozzles"),
    "name": Text("A short name that no other dispenser has"),
    "key": Text("64 hex digits"),
    "typed": Text("That is not its id"),
}
"""What is said beside a field."""
CODES = {"not-a-key": "key", "bad-request": "name"}
"""Which field a problem is about that does not say so."""


def wrong(
    request: Request, web: Web, error: Problem | ValidationError, typed: Mapping[str, str]
) -> tuple[Problem, dict[str, Any]]:
    """What a page shows of a form that was not taken: the errors beside the fields, and what was typed."""
    problem = error if isinstance(error, Problem) else _invalid(error)
    details = problem.details
    lang = language_of(request, web, asker(request))
    fields = {fault.where.rpartition(".")[2]: fault.what for fault in details.errors}
    if (field := CODES.get(details.type.rpartition(":")[2])) is not None:
        fields.setdefault(field, details.detail)
    errors = {name: lang.say(WRONG.get(name) or heard(what)) for name, what in fields.items()}
    failed = lang.say(heard(details.detail, details.hint)) + "."
    return problem, {"errors": errors, "typed": dict(typed), "failed": failed}


def _invalid(error: ValidationError) -> Problem:
    faults = tuple(Fault(where=str(each["loc"][-1]), what=each["msg"]) for each in error.errors(include_input=False))
    return Problem(422, "invalid-parameters", "Some of this can't be taken", faults=faults)
