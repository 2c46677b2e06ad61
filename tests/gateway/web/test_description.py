"""`/openapi.json` tells all that is needed to call each operation, with examples; and no form does what it has not."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import jsonschema_rs
from fastapi.routing import APIRoute

from gateway.web import application
from gateway.web.entry import setup_pages, sign_in
from gateway.web.problems import MEDIA_TYPE
from gateway.web.safe import application as safe_application
from tests.gateway.web.conftest import Inside

NOT_JSON = {"application/octet-stream", "application/zip", "application/x-tar"}
"""Files: none is told of by an example."""


async def test_every_operation_is_told_with_examples_that_fit(inside: Inside) -> None:
    document = await inside.json("/openapi.json")
    assert document["openapi"].startswith("3.1")
    wrong = [
        f"{method.upper()} {path}: {what}"
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        for what in faults(operation, method, document)
    ]
    assert wrong == [], "\n".join(wrong)


def faults(operation: dict[str, Any], method: str, document: dict[str, Any]) -> Iterator[str]:
    """What the description of an operation lacks."""
    yield from (f"no {key}" for key in ("summary", "description", "tags", "operationId") if not operation.get(key))
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "path" and not parameter["schema"].keys() & {"examples", "enum"}:
            yield f"{parameter['name']}: no example"
    yield from _content(operation.get("requestBody", {}).get("content", {}), "body", document)
    answers = operation["responses"]
    refused = {"401", "403", "409", "413", "429"} if method != "get" else {"401", "403"}
    if {"token": []} in operation["security"] and refused - answers.keys():
        yield "what the guard refuses is not told"
    if not any(status.startswith("2") for status in answers):
        yield "no good answer"
    for status, told in answers.items():
        yield from _answer(operation["operationId"], status, told, document)


def _answer(operation: str, status: str, told: dict[str, Any], document: dict[str, Any]) -> Iterator[str]:
    if status == "204":
        return
    content = told.get("content", {})
    if not status.startswith("2") and operation != "readyz_readyz_get":  # its 503 says what is not ready
        name = told.get("$ref", "").rpartition("/")[2]
        content = document["components"]["responses"].get(name, told).get("content", {})
        if content.keys() != {MEDIA_TYPE} or content[MEDIA_TYPE]["example"]["status"] != int(status):
            yield f"{status}: no problem of this status"
            return
    if not content:
        yield f"{status}: no content"
    yield from _content(content, status, document)


def _content(content: dict[str, Any], where: str, document: dict[str, Any]) -> Iterator[str]:
    for media_type, told in content.items():
        if media_type in NOT_JSON:
            continue
        if "example" not in told:
            yield f"{where}: no example of {media_type}"
            continue
        schema = told["schema"] | {"components": document["components"]}
        for error in jsonschema_rs.Draft202012Validator(schema).iter_errors(told["example"]):
            yield f"{where}: its example does not fit: {error.message}"


# -- forms ------------------------------------------------------------------------------------------------------------

API = "/api/v1"
ONE = f"{API}/dispensers/{{dispenser}}"
RUN = f"{ONE}/nozzles/{{nozzle}}/calibration"
FORMS: dict[str, dict[str, str]] = {
    "/sign-out": {f"DELETE {API}/me/sessions/{{session}}": ".end"},
    "/language": {f"PUT {API}/me/language": ".set_language"},
    "/setup": {f"POST {API}/setup": "entry.setup_acts.enter"},
    "/setup/{step}": {
        f"PUT {API}/setup/store": "entry.setup_acts.answer",
        f"PUT {API}/setup/time": "entry.setup_acts.answer",
        f"PUT {API}/setup/technician": "entry.setup_acts.answer",
        f"PUT {API}/setup/kafka": "entry.setup_acts.answer",
        f"POST {API}/setup/kafka/test": "entry.setup_acts.knock",
        f"POST {API}/setup/finish": "entry.setup.Setup.finish",
    },
    "/kiosk/{dispenser}/make": {f"POST {API}/kiosk/{{dispenser}}/token": "kiosk.making.let_be_kiosk"},
    "/kiosk/{dispenser}/visits/{visit}/rating": {
        f"POST {API}/kiosk/{{dispenser}}/visits/{{visit}}/rating": "kiosk.presses.rate"
    },
    "/kiosk/{dispenser}/visits/{visit}/{wish}": {
        f"POST {API}/kiosk/{{dispenser}}/visits/{{visit}}/{{wish}}": "kiosk.presses.wish"
    },
    "/repairs/check": {f"POST {API}/repairs/check": "mending.api.look_at_all"},
    "/repairs/{key}/check": {f"POST {API}/repairs/{{key}}/check": "repairs.checks.check"},
    "/repairs/{key}/fix/{button}": {f"POST {API}/repairs/{{key}}/fix/{{button}}": "mending.fixes.mend"},
    "/repairs/{key}/snooze": {f"POST {API}/repairs/{{key}}/snooze": ".snooze"},
    "/repairs/{key}/wake": {f"DELETE {API}/repairs/{{key}}/snooze": ".wake"},
    "/dispensers/{dispenser}/tell/identify": {f"POST {ONE}/commands": "dispensers.commands.order"},
    "/dispensers/{dispenser}/tell/lock": {f"POST {ONE}/commands": "dispensers.commands.order"},
    "/dispensers/{dispenser}/tell/reboot": {f"POST {ONE}/commands": "dispensers.commands.order"},
    "/dispensers/{dispenser}/tell/flow": {f"POST {ONE}/commands": "dispensers.commands.order"},
    "/dispensers/{dispenser}/label": {f"PUT {ONE}/name": "dispensers.adoption.called"},
    "/dispensers/{dispenser}/rotate-key": {f"POST {ONE}/rotate-key": "dispensers.adoption.rotate_key"},
    "/dispensers/{dispenser}/forget": {f"DELETE {ONE}": "dispensers.adoption.forget"},
    "/dispensers/{dispenser}/adopt": {f"POST {ONE}/adopt": "dispensers.adoption.let_in"},
    "/dispensers/{dispenser}/nozzles": {f"PUT {ONE}/planogram": "dispensers.planograms.place"},
    "/dispensers/{dispenser}/nozzles/{nozzle}/bottle": {
        f"PUT {ONE}/nozzles/{{nozzle}}/bottle": "dispensers.bottles.hang"
    },
    "/dispensers/{dispenser}/nozzles/{nozzle}/calibrate": {
        f"POST {RUN}": "dispensers.calibrating.Bench.begin",
        f"POST {RUN}/order": "dispensers.calibrating.Bench.order",
        f"POST {RUN}/skip": "dispensers.calibrating.Bench.skip_tare",
        f"POST {RUN}/read": "dispensers.calibrating.Bench.read_off",
        f"POST {RUN}/again": "dispensers.calibrating.Bench.pour_again",
        f"POST {RUN}/undo": "dispensers.calibrating.Bench.undo",
        f"DELETE {RUN}": "dispensers.calibrating.Bench.stop",
    },
    "/recall": {
        f"PUT {API}/lots/{{lot}}/recall": "dispensers.recalls.recall_lot",
        f"DELETE {API}/lots/{{lot}}/recall": "dispensers.recalls.lift_recall",
    },
    "/sync/letters/replay": {f"POST {API}/dead-letters/replay": "records.letters.replay_reason"},
    "/sync/letters/{position}/replay": {
        f"POST {API}/dead-letters/{{position}}/replay": "records.letters.replay_letter"
    },
    "/sync/letters/{position}/dismiss": {
        f"POST {API}/dead-letters/{{position}}/dismiss": "records.letters.dismiss_letter"
    },
    "/picks/take-back": {f"POST {API}/model/take-back": "picking.model.take_back_bundle"},
    "/picks/customers/{pseudonym}/consent": {f"PUT {API}/profiles/{{pseudonym}}/consent": "consents.change"},
    "/events/{position}/void": {f"POST {API}/events/{{position}}/void": "dispensers.voids.take_back"},
    "/system/clock": {f"POST {API}/system/clock/vouch": "machine.doing.vouch_for_the_clock"},
    "/system/restart": {f"POST {API}/system/restart": "machine.doing.restart"},
    "/system/bundle": {f"POST {API}/system/bundle": "machine.api.zipped"},
    "/system/backups/make": {f"POST {API}/system/backup": "machine.doing.back_up"},
    "/system/backups/send": {f"PUT {API}/system/restore": "machine.doing.receive"},
    "/system/backups/check": {f"POST {API}/system/restore/check": "machine.doing.check"},
    "/system/backups/order": {f"POST {API}/system/restore/order": "machine.doing.order"},
    "/system/backups/take-back": {f"POST {API}/system/restore/take-back": "machine.doing.take_back"},
    "/system/backups/settle": {f"POST {API}/system/restore/settle": "machine.doing.settle"},
    "/system/backups/drop": {f"DELETE {API}/system/restore": "machine.doing.drop"},
    "/system/wipe": {f"POST {API}/system/wipe": "machine.doing.wipe"},
    "/people/add": {f"POST {API}/people": "entry.acts.add"},
    "/people/role": {f"PUT {API}/people/{{name}}/role": "entry.acts.change_role"},
    "/people/password": {f"PUT {API}/people/{{name}}/password": "entry.acts.reset_password"},
    "/people/remove": {f"DELETE {API}/people/{{name}}": "entry.acts.remove"},
    "/people/tokens/add": {f"POST {API}/tokens": "entry.acts.make_token"},
    "/people/tokens/revoke": {f"DELETE {API}/tokens/{{token}}": "entry.acts.revoke"},
    "/me/sessions/end": {f"DELETE {API}/me/sessions/{{session}}": "entry.acts.end_session"},
    "/me/password": {f"PUT {API}/me/password": "entry.acts.change_own_password"},
}
"""What each form does: by the API's operation that does the same, the function that both call. One that begins with a
dot is a method of what the gateway is made of."""
BROWSERS_OWN = {"/sign-in"}
"""Gives a browser its cookie. A program has a token, and signs in nowhere."""


BACKUPS = "/system/backups"
SAFE_PAGES: dict[str, dict[str, str]] = {
    "GET /": {f"GET {API}/repairs": ".repairs", f"GET {API}/system/log": "safe.gathering.newest"},
    "GET /log.jsonl": {f"GET {API}/system/log": "safe.gathering.scrubber_of"},
    "GET /bundle.zip": {f"POST {API}/system/bundle": "safe.gathering.zipped"},
    f"GET {BACKUPS}": {f"GET {API}/system/restore": "machine.doing.restore_view"},
    "POST /repairs/check": {f"POST {API}/repairs/check": ".look"},
    **{f"POST {path}": FORMS[path] for path in ("/sign-out", "/language")},
    **{f"POST {BACKUPS}/{act}": FORMS[f"{BACKUPS}/{act}"] for act in ("send", "check", "drop", "order")},
}
"""The same of safe mode, for what its pages show, too."""
NO_DEED = {"GET /sign-in", "POST /sign-in", "GET /setup", "GET /kiosk/{dispenser}", "GET /healthz", "GET /readyz"}


def test_what_a_form_does_the_api_does_by_the_same_function() -> None:
    found = routes_of((sign_in, setup_pages, *application.ROUTES, *application.SHOWN))
    operations = {name: route for name, route in found.items() if route.include_in_schema}
    forms = {name.partition(" ")[2]: found[name] for name in found.keys() - operations if not name.startswith("GET ")}
    assert forms.keys() - BROWSERS_OWN == FORMS.keys(), "each form has its operation here"
    see_that_both_come_to_it(FORMS, forms, operations)


def test_safe_mode_has_the_api_s_operations_of_what_its_pages_do() -> None:
    found = routes_of(safe_application.ROUTES)
    operations = {name: route for name, route in found.items() if route.include_in_schema}
    elsewhere = {name for name in found if name.endswith(" /{path}")}
    assert found.keys() - operations - elsewhere - NO_DEED == SAFE_PAGES.keys(), "each has its operation here"
    see_that_both_come_to_it(SAFE_PAGES, found, operations)
    running = routes_of(application.ROUTES)
    for name, route in operations.items():  # one description tells of both
        told = running[name]
        assert (route.response_model, route.status_code) == (told.response_model, told.status_code), name
        assert taken_by(route) == taken_by(told), f"{name}: by whom, and with what"


def taken_by(route: APIRoute) -> dict[str, str]:
    """Who may, and what is sent, as the code has it."""
    parameters = inspect.signature(route.endpoint).parameters.items()
    return {
        name: str(one.annotation) for name, one in parameters if name in {"who", "body", "level", "search", "limit"}
    }


def see_that_both_come_to_it(
    deeds: dict[str, dict[str, str]], pages: dict[str, APIRoute], operations: dict[str, APIRoute]
) -> None:
    """What a page does and its operation are one function."""
    for path, done in deeds.items():
        for operation, act in done.items():
            assert operation in operations, f"{operation} is not in the API"
            assert act in reached(pages[path].endpoint), f"the page {path} does not come to {act}"
            assert act in reached(operations[operation].endpoint), f"{operation} does not come to {act}"


def routes_of(modules: Iterable[ModuleType]) -> dict[str, APIRoute]:
    """Their routes, by method and path."""
    routes = [route for module in modules for route in module.router.routes if isinstance(route, APIRoute)]
    return {f"{method} {route.path_format}": route for route in routes for method in route.methods or ()}


def reached(endpoint: Callable[..., Any]) -> set[str]:
    """The functions of gateway.web that an endpoint comes to, and with a dot, whatever attribute they touch."""
    found: set[str] = set()
    left, seen = [endpoint], set[Callable[..., Any]]()
    while left:
        function = left.pop()
        if function in seen or not function.__module__.startswith("gateway.web"):
            continue
        seen.add(function)
        found.add(f"{function.__module__}.{function.__qualname__}".removeprefix("gateway.web."))
        names = set(_names(function.__code__))
        found |= {f".{name}" for name in names}
        known = function.__globals__
        places = [known, *(vars(value) for name, value in known.items() if name in names and _is_module(value))]
        places += [vars(value) for value in known.values() if _is_class(value)]  # whose methods may be called
        left += [value for place in places for name in names if isinstance(value := place.get(name), FunctionType)]
    return found


def _names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, CodeType):  # a lambda, or a function within
            yield from _names(constant)


def _is_module(value: object) -> bool:
    return isinstance(value, ModuleType) and value.__name__.startswith("gateway.web")


def _is_class(value: object) -> bool:
    return isinstance(value, type) and value.__module__.startswith("gateway.web")
