"""Dead letters: which there are, and what a technician does about them. Pages and programs call the same functions."""

from __future__ import annotations

import asyncio
import time
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request
from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from firmware_bridge.bodies import EventBody
from gateway import letters, replay
from gateway.letters import Letter, State
from gateway.replay import NotOpen, RefusedAgain
from gateway.web import reads
from gateway.web.answers import PSEUDONYM, SOURCE, Answer, example
from gateway.web.audited import audit
from gateway.web.problems import Fault, Problem, documented
from gateway.web.records.reading import in_thread
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician, Viewer, Who
from heat.errors import StoreError
from heat.identity import SAFE_INTEGER

router = APIRouter(prefix="/api/v1/dead-letters", tags=["v1"])

PAGE_SIZE = 50
AT_ONCE = 200
"""Letters that one request replays."""
WHY_CHARS = 200

Kind = Literal["poured", "rated", "stated", "refilled"]
A_REASON = "^[a-z_]{1,32}$"


class LetterView(Answer):
    """A dead letter: an event that was refused, with what it says."""

    position: Annotated[int, example(1042)]
    """That of the refusal; it names the letter."""
    id: Annotated[str, example("hot-bar-1:5e3a09c1:42")]
    """The event's identity, which a replay keeps."""
    source: Annotated[str, example("hot-bar-1")]
    time: datetime
    clock: Literal["known", "estimated", "unknown"]
    subject: Annotated[str | None, example(PSEUDONYM)]
    reason: Annotated[str, example("unknown_sauce")]
    detail: Annotated[str, example("'sriracha' is not in the catalogue")]
    type: Annotated[Kind | None, example("poured")]
    """What it tells of; null where that can't be read."""
    body: Annotated[dict[str, Any], example({"nozzle": 2, "sauce": "sriracha", "volume_ul": 5200, "duration_ms": 900})]
    """Its fields by name. What no event has is withheld: `…`."""
    state: Annotated[State, example("open")]
    in_kafka: bool
    """Whether it is among Kafka's dead letters by now."""
    ended: datetime | None
    ended_by: Annotated[str | None, example("maria")]
    note: Annotated[str | None, example("the dispenser was being tried out")]
    became: Annotated[int | None, example(2077)]
    """The position of the event that it became."""


class LettersView(Answer):
    """A page of dead letters, newest first."""

    letters: list[LetterView]
    next: Annotated[int | None, example(977)]
    """Give it as `before` for the next page; null at the end."""
    open: Annotated[dict[str, int], example({"unknown_sauce": 3})]
    """All that wait for somebody, by reason."""


class Replay(BaseModel):
    """How a letter is replayed: as it is, or as it is written here."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Kind | None = None
    body: Annotated[dict[str, Any] | None, Field(max_length=16)] = None
    """All of its fields."""


class ReplayAll(BaseModel):
    """Which letters are replayed, as they are."""

    model_config = ConfigDict(extra="forbid")

    reason: Annotated[str, Field(pattern=A_REASON, examples=["unknown_sauce"])]


class Replayed(Answer):
    """What became of letters of one reason."""

    replayed: Annotated[int, example(12)]
    refused: Annotated[int, example(1)]
    """They would be refused again, and stay open."""
    left: Annotated[int, example(0)]
    """Letters of this reason that were not tried: ask again."""


class Dismiss(BaseModel):
    """Why nothing is to be done about a letter."""

    model_config = ConfigDict(extra="forbid")

    why: Annotated[
        str,
        StringConstraints(strip_whitespace=True, min_length=1, max_length=WHY_CHARS),
        Field(examples=["the dispenser was being tried out"]),
    ]


Position = Annotated[int, Path(ge=1, le=SAFE_INTEGER, examples=[1042])]


@router.get("", responses=documented(422))
async def dead_letters(
    web: TheWeb,
    _who: Viewer,
    state: State = "open",
    reason: Annotated[str | None, Query(pattern=A_REASON)] = None,
    source: Annotated[str | None, Query(pattern=SOURCE)] = None,
    before: Annotated[int | None, Query(ge=1, le=SAFE_INTEGER)] = None,
    limit: Annotated[int, Query(ge=1, le=200)] = PAGE_SIZE,
) -> LettersView:
    """Events that were refused, with reason and content; open ones wait for somebody to replay or dismiss them."""
    return await list_letters(web, state, reason, source, before, limit)


@router.post("/replay", responses=documented(422, 503))
async def replay_all(request: Request, web: TheWeb, who: Technician, wanted: ReplayAll) -> Replayed:
    """Replay all open letters of one reason as they are, say once the catalogue has the sauce: 200 at once."""
    audit(request, wanted.reason)
    return await replay_reason(web, who, wanted.reason)


@router.get("/{position}", responses=documented(404, 422))
async def dead_letter(web: TheWeb, _who: Viewer, position: Position) -> LetterView:
    """One dead letter."""
    return await find_letter(web, position)


@router.post("/{position}/replay", responses=documented(404, 409, 422, 503))
async def replay_one(web: TheWeb, who: Technician, position: Position, wanted: Replay) -> LetterView:
    """Let a letter in, as it is or mended. It keeps its identity, and is folded once, here and in the cloud."""
    mended, letter = None, await find_letter(web, position)
    if wanted.body is not None:
        kind = wanted.type or letter.type
        if kind is None:
            raise _unreadable()
        try:
            mended = replay.read(kind, wanted.body)
        except RefusedAgain as error:
            raise refused_again(error) from None
    try:
        return await replay_letter(web, who, position, mended)
    except RefusedAgain as error:
        raise refused_again(error) from None


@router.post("/{position}/dismiss", responses=documented(404, 409, 422, 503))
async def dismiss_one(request: Request, web: TheWeb, who: Technician, position: Position, said: Dismiss) -> LetterView:
    """Let a letter rest. It stays refused, and in Kafka's dead letters."""
    audit(request, said.why)
    return await dismiss_letter(web, who, position, said.why)


# -- what pages do, too ---------------------------------------------------------------------------------------------


async def list_letters(
    web: Web, state: State, reason: str | None, source: str | None, before: int | None, limit: int = PAGE_SIZE
) -> LettersView:
    """A page of letters."""

    def read(reader: Any) -> LettersView:
        found = letters.listed(reader, state, limit + 1, before, reason, source)
        confirmed = reads.backlog(reader).confirmed
        more = len(found) > limit
        return LettersView(
            letters=[_view(letter, confirmed) for letter in found[:limit]],
            next=found[limit - 1].position if more else None,
            open=letters.counts(reader),
        )

    return await in_thread(web.state, read)


async def find_letter(web: Web, position: int) -> LetterView:
    """One letter. Raises Problem: there is none."""

    def read(reader: Any) -> LetterView | None:
        letter = letters.find(reader, position)
        return None if letter is None else _view(letter, reads.backlog(reader).confirmed)

    view = await in_thread(web.state, read)
    if view is None:
        raise _no_letter()
    return view


async def replay_letter(web: Web, who: Who, position: int, mended: EventBody | None) -> LetterView:
    """Let a letter in.

    Raises:
        RefusedAgain: the door does not let it in.
        Problem: there is none, it is not open, or the store can't take it.
    """
    door = web.state.ingest.door
    await _write(web, lambda tx: replay.replay(tx, door, position, mended, who.name, _now_ms()))
    web.state.outbox.wake()
    return await find_letter(web, position)


async def replay_reason(web: Web, who: Who, reason: str) -> Replayed:
    """Replay the open letters of one reason, oldest first. Raises Problem."""
    door = web.state.ingest.door

    def oldest(reader: Any) -> tuple[list[int], int]:
        found = [each.position for each in letters.oldest(reader, reason, AT_ONCE)]
        return found, letters.counts(reader).get(reason, 0)

    positions, count = await in_thread(web.state, oldest)
    done = 0
    for position in positions:
        try:
            await _write(web, lambda tx, at=position: replay.replay(tx, door, at, None, who.name, _now_ms()))
        except RefusedAgain:
            continue
        except Problem as problem:
            if problem.details.status in {404, 409}:  # somebody else did
                continue
            raise
        done += 1
    web.state.outbox.wake()
    return Replayed(replayed=done, refused=len(positions) - done, left=max(count - len(positions), 0))


async def dismiss_letter(web: Web, who: Who, position: int, why: str) -> LetterView:
    """Let a letter rest. Raises Problem."""
    await _write(web, lambda tx: replay.dismiss(tx, position, why.strip(), who.name, _now_ms()))
    return await find_letter(web, position)


async def _write(web: Web, work: Any) -> None:
    try:
        await asyncio.wrap_future(web.state.store.write(work))
    except NotOpen as error:
        if error.letter is None:
            raise _no_letter() from None
        hint = "Look at it again: GET it, or open its page"
        raise Problem(409, f"already-{error.letter.state}", str(error.args[0]), hint=hint) from None
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None


def refused_again(error: RefusedAgain) -> Problem:
    """The problem that says what the door has against it."""
    faults = tuple(
        Fault(where=f"body.body.{wrong.field}" if wrong.field else "body.body", what=wrong.what)
        for wrong in error.wrong
    )
    hint = error.hint or "Mend these fields, and replay it again"
    return Problem(422, "refused-again", f"{error.reason}: {error.args[0]}", hint=hint, faults=faults)


def _unreadable() -> Problem:
    fault = Fault(where="body.type", what="is needed: what the letter tells of can't be read")
    hint = "Give a type: poured, rated, stated or refilled"
    return Problem(422, "refused-again", "what it tells of can't be read", hint=hint, faults=(fault,))


def _no_letter() -> Problem:
    hint = "GET /api/v1/dead-letters lists them; of very many the oldest are gone"
    return Problem(404, "no-such-letter", "there is no such dead letter", hint=hint)


def _view(letter: Letter, confirmed: int) -> LetterView:
    content = replay.content(letter)
    return LetterView(
        position=letter.position,
        id=str(letter.id),
        source=letter.id.source,
        time=reads.moment(letter.when.time_ms),
        clock=letter.when.clock,
        subject=letter.subject,
        reason=letter.reason,
        detail=letter.detail,
        type=content.kind,  # type: ignore[arg-type]
        body=content.body,
        state=letter.state,
        in_kafka=letter.position <= confirmed,
        ended=None if letter.ended_ms is None else reads.moment(letter.ended_ms),
        ended_by=letter.ended_by,
        note=letter.note,
        became=letter.became,
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
