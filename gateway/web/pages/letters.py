"""Dead letters: a list of them; and one, with what it says, to be mended and replayed, or dismissed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from gateway import replay
from gateway.letters import State
from gateway.replay import RefusedAgain, Wrong
from gateway.web.audited import audit
from gateway.web.language import Text
from gateway.web.problems import Problem
from gateway.web.records.letters import (
    WHY_CHARS,
    LetterView,
    dismiss_letter,
    find_letter,
    list_letters,
    replay_letter,
    replay_reason,
)
from gateway.web.sentences import REASONS
from gateway.web.shell import Page, show
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician, Viewer, Who
from heat.identity import SAFE_INTEGER, SOURCE_NAME

router = APIRouter(prefix="/sync/letters", include_in_schema=False)

Position = Annotated[int, Path(ge=1, le=SAFE_INTEGER)]
STATES: dict[State, Text] = {"open": Text("Open"), "replayed": Text("Replayed"), "dismissed": Text("Dismissed")}
KINDS: dict[str, Text] = {
    "poured": Text("a pour"),
    "rated": Text("a rating"),
    "stated": Text("a wish"),
    "refilled": Text("a refill"),
}
Input = Literal["number", "text", "sauce", "verdict", "tick"]


@dataclass(frozen=True, slots=True)
class Field:
    """A field of an event as a form has it."""

    label: Text
    input: Input
    unit: str = ""


FIELDS: dict[str, Field] = {
    "nozzle": Field(Text("Nozzle"), "number"),
    "sauce": Field(Text("Sauce"), "sauce"),
    "volume_ul": Field(Text("Volume"), "number", "µl"),
    "duration_ms": Field(Text("Duration"), "number", "ms"),
    "pick_id": Field(Text("The picks that showed it"), "text"),
    "confirmed": Field(Text("The customer confirmed it"), "tick"),
    "verdict": Field(Text("Verdict"), "verdict"),
    "shu": Field(Text("Heat"), "number", "SHU"),
    "word": Field(Text("Category"), "text"),
    "dial": Field(Text("Dial, 0 to 100"), "number"),
    "text": Field(Text("Own words"), "text"),
}
VERDICTS: dict[str, Text] = {
    "too_hot": Text("too hot"),
    "just_right": Text("just right"),
    "more": Text("more"),
}


# -- the list -------------------------------------------------------------------------------------------------------


async def _list(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    state: State = next((each for each in get_args(State) if each == query.get("state")), "open")
    reason = query.get("reason") if query.get("reason") in REASONS else None
    source = query.get("source", "") if SOURCE_NAME.match(query.get("source", "")) else None
    before = query.get("before", "")
    view = await list_letters(
        web, state, reason, source, int(before) if before.isdecimal() and len(before) < 16 else None
    )
    kept = {"state": state, "reason": reason, "source": source}
    older = {**kept, "before": str(view.next)} if view.next is not None else None
    return {
        "view": view,
        "wanted": kept,
        "states": STATES,
        "reasons": REASONS,
        "kinds": KINDS,
        "older": None if older is None else "?" + urlencode({k: v for k, v in older.items() if v}),
        "replayed": _counts(query, "replayed"),
        "refused": _counts(query, "refused"),
        "left": _counts(query, "left"),
    }


def _counts(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    return int(text) if text.isdecimal() and len(text) < 9 else None


LIST = Page("letters", Text("Dead letters"), _list, ("letters/list",), "letters/page.html", menu="sync")


@router.get("")
async def page(request: Request, web: TheWeb, who: Viewer) -> HTMLResponse:  # noqa: ARG001
    """The list."""
    return await show(request, web, LIST)


@router.post("/replay")
async def replay_all(
    request: Request, web: TheWeb, who: Technician, reason: Annotated[str, Form(pattern="^[a-z_]{1,32}$")]
) -> RedirectResponse:
    """Replay all of a reason; the list tells what became of them."""
    audit(request, reason)
    done = await replay_reason(web, who, reason)
    told = urlencode({"reason": reason, "replayed": done.replayed, "refused": done.refused, "left": done.left})
    return RedirectResponse(f"/sync/letters?{told}", 303)


# -- one ------------------------------------------------------------------------------------------------------------


async def _one(web: Web, who: Who, query: Mapping[str, str]) -> Mapping[str, Any]:  # noqa: ARG001
    letter = await find_letter(web, int(query["position"]))
    kind = query.get("type") if query.get("type") in KINDS else letter.type
    return {
        "letter": letter,
        "reasons": REASONS,
        "states": STATES,
        "kinds": KINDS,
        "kind": kind,
        "fields": {} if kind is None else {name: FIELDS[name] for name in _names(kind)},
        "typed": _typed(letter),
        "sauces": [(sauce.id, sauce.name) for sauce in web.state.ingest.door.catalog.values()],
        "verdicts": VERDICTS,
        "wrong": {},
        "why": "",
        "why_chars": WHY_CHARS,
    }


ONE = Page("letter", Text("Dead letter"), _one, ("letters/said",), "letters/one.html", about=("position",), menu="sync")
"""Its forms are no part: what is typed stays, and so does what is wrong with it."""


@router.get("/{position}")
async def one(request: Request, web: TheWeb, who: Viewer, position: Position) -> HTMLResponse:  # noqa: ARG001
    """One letter, and its forms."""
    return await show(request, web, ONE, {**request.query_params, "position": str(position)})


@router.post("/{position}/replay")
async def replay_one(request: Request, web: TheWeb, who: Technician, position: Position) -> Response:
    """Replay a letter as the form has it; what the door has against it is told beside the fields."""
    form = {name: value for name, value in (await request.form()).items() if isinstance(value, str)}
    kind = form.get("type", "")
    try:
        if kind not in KINDS:
            raise RefusedAgain("unknown_type", (Wrong(None, "say what it tells of"),))
        body = _body(kind, form)
        await replay_letter(web, who, position, replay.read(kind, body))
    except RefusedAgain as error:
        query = {"position": str(position), "type": kind}
        wrong = {fault.field or "": fault.what for fault in error.wrong}
        return await show(request, web, ONE, query, 422, typed=form, wrong=wrong)
    except Problem as problem:
        if problem.details.status != 409:  # somebody has dealt with it: the page says who
            raise
    return RedirectResponse(f"/sync/letters/{position}", 303)


@router.post("/{position}/dismiss")
async def dismiss_one(
    request: Request, web: TheWeb, who: Technician, position: Position, why: Annotated[str, Form()] = ""
) -> Response:
    """Let a letter rest."""
    if not 0 < len(why.strip()) <= WHY_CHARS:
        wrong = {"why": Text("Say why, in {n} letters at most", n=WHY_CHARS)}
        return await show(request, web, ONE, {"position": str(position)}, 422, wrong=wrong, why=why)
    audit(request, why.strip())
    try:
        await dismiss_letter(web, who, position, why)
    except Problem as problem:
        if problem.details.status != 409:
            raise
    return RedirectResponse(f"/sync/letters/{position}", 303)


def _names(kind: str) -> tuple[str, ...]:
    return replay.KINDS[kind].__struct_fields__


def _typed(letter: LetterView) -> dict[str, str]:
    """The letter's fields as a form has them."""
    return {
        name: ("yes" if value is True else "" if value in {None, replay.WITHHELD} or value is False else str(value))
        for name, value in letter.body.items()
    }


def _body(kind: str, form: Mapping[str, str]) -> dict[str, Any]:
    """The fields of a form, as an event has them; what is left empty is left out."""
    body: dict[str, Any] = {}
    for name in _names(kind):
        text = form.get(name, "").strip()
        if not text:
            continue
        if FIELDS[name].input == "tick":
            body[name] = True
        elif FIELDS[name].input == "number":
            body[name] = int(text) if _whole(text) else text
        else:
            body[name] = text
    return body


def _whole(text: str) -> bool:
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdecimal() and len(digits) <= 15
