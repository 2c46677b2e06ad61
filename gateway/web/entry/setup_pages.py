"""The pages of the first boot: the code, then one question a page, each of which may be gone back to."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import available_timezones

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import RedirectResponse, Response

from gateway.web import cookies
from gateway.web.entry import setup_acts
from gateway.web.entry.bare import TheEntry, draw, language_here
from gateway.web.entry.setup import STEPS, Setup
from gateway.web.entry.setup_acts import TheSetup
from gateway.web.entry.sign_in import address_of, begin_session
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.problems import Problem

router = APIRouter(include_in_schema=False)

TITLES = {
    "code": Text("Set up this gateway"),
    "store": Text("Which store is this?"),
    "time": Text("Where is it?"),
    "technician": Text("Who are you?"),
    "kafka": Text("Where do events go?"),
    "done": Text("Ready to start"),
}
LABELS = {
    "store": Text("Store"),
    "time": Text("Time zone"),
    "technician": Text("You"),
    "kafka": Text("Kafka"),
    "done": Text("Start"),
}
Field = Annotated[str, Form()]


def _inside(request: Request, setup: TheSetup) -> Setup:
    """For whoever gave the code in this browser."""
    cookie = cookies.read(request.headers.get("cookie")).get(cookies.SETUP, "")
    if not cookie or not setup.is_open(cookie):
        raise _Outside
    return setup


Inside = Annotated[Setup, Depends(_inside)]


class _Outside(Problem):
    def __init__(self) -> None:
        super().__init__(403, "code-needed", "this needs the setup code", hint="Open /setup and enter it")


@router.get("/setup")
async def begin(request: Request, entry: TheEntry, setup: TheSetup) -> Response:
    """Where the code is asked for; who gave it goes on where they stopped."""
    if not setup.access.setup_open:
        return RedirectResponse("/", 303)
    cookie = cookies.read(request.headers.get("cookie")).get(cookies.SETUP, "")
    if cookie and setup.is_open(cookie):
        return RedirectResponse(f"/setup/{setup.step()}", 303)
    return draw(request, entry, "entry/code.html", TITLES["code"], error="")


@router.post("/setup")
async def enter(request: Request, entry: TheEntry, setup: TheSetup, code: Field = "") -> Response:
    """Let a browser in that has the code."""
    try:
        key = await setup_acts.enter(setup, code, address_of(request))
    except Problem as problem:
        status, wait_s = problem.details.status, problem.wait_s
        if status == 409:
            return RedirectResponse("/", 303)
        error = Text("This is not the code")
        if wait_s is not None:
            error = Text("Wait {n} second, then try again", "Wait {n} seconds, then try again", n=wait_s)
        return draw(request, entry, "entry/code.html", TITLES["code"], status, error=error)
    answer = RedirectResponse(f"/setup/{setup.step()}", 303)
    cookies.put(answer, cookies.SETUP, key, 86_400)
    return answer


@router.get("/setup/{step}")
async def ask(request: Request, entry: TheEntry, setup: TheSetup, step: str) -> Response:
    """One question. Those before it may be looked at again, those after it not yet."""
    try:
        _inside(request, setup)
    except _Outside:
        return RedirectResponse("/setup", 303)
    if not setup_acts.reached(setup, step):
        return RedirectResponse(f"/setup/{setup.step()}", 303)
    return _page(request, entry, setup, step)


@router.post("/setup/{step}")
async def answer(request: Request, entry: TheEntry, setup: TheSetup, step: str) -> Response:
    """Keep an answer, and go on; or say what is wrong with it."""
    try:
        _inside(request, setup)
    except _Outside:
        return RedirectResponse("/setup", 303)
    if not setup_acts.reached(setup, step):
        return RedirectResponse("/setup", 303)
    said = {name: str(value) for name, value in (await request.form()).items()}
    if step == "done":
        return await _finish(request, entry, setup)
    if said.get("do") == "test":
        _, found = await setup_acts.knock(said.get("bootstrap", ""))
        return _page(request, entry, setup, step, values=said, found=found)
    try:
        wrong = await setup_acts.answer(setup, step, {} if said.get("do") == "skip" else said)
    except Problem:
        wrong = {"password": Text("Too many at once: press again")}
    if wrong:
        return _page(request, entry, setup, step, 422, values=said, wrong=wrong)
    onward = RedirectResponse(f"/setup/{STEPS[STEPS.index(step) + 1]}", 303)
    if step == "technician":
        await begin_session(setup.access, request, onward, setup.kept()["technician"]["name"])
    return onward


async def _finish(request: Request, entry: TheEntry, setup: Setup) -> Response:
    """The last step: the page waits for the daemon, which starts anew."""
    answer = draw(request, entry, "entry/starting.html", Text("It starts"), refresh=True)
    cookies.drop(answer, cookies.SETUP)
    await setup.finish()
    return answer


def _page(request: Request, entry: TheEntry, setup: Setup, step: str, status: int = 200, **more: object) -> Response:
    shown = {"wrong": {}, "found": None} | more
    told = language_here(request, entry)
    shown["wrong"] = {key: told.say(heard(what)) for key, what in shown["wrong"].items()}  # type: ignore[attr-defined]
    values = setup.shown(step) | (shown.pop("values", None) or {})  # type: ignore[operator]
    return draw(
        request,
        entry,
        f"entry/{step}.html",
        TITLES[step],
        status,
        step=step,
        steps=[(each, LABELS[each]) for each in STEPS],
        reached=STEPS.index(setup.step()),
        values=values,
        fixed=setup.fixed(step),
        kept=setup.kept(),
        zones=sorted(available_timezones()) if step == "time" else (),
        **shown,
    )
