"""The API: what the gateway knows, as JSON. Nothing here changes anything.

Customers are asked after by pseudonym or session, never by token: paths end in logs and histories.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Response

from firmware_bridge.messages import NozzleInfo
from gateway.state import GatewayState
from gateway.web import fleet, reads, views
from gateway.web.answers import A_SUBJECT, PSEUDONYM, SOURCE, PicksView, ProfileView, SyncView
from gateway.web.dispenser_answers import Dispensers
from gateway.web.glance import Status
from gateway.web.problems import Fault, Problem, documented
from gateway.web.web import TheWeb, Web
from heat.errors import DataError
from heat.identity import check_subject
from models.features import Context

router = APIRouter(prefix="/api/v1", tags=["v1"])


@router.get("/status", response_model=Status)
async def status(web: TheWeb) -> Response:
    """Everything that the page shows, at most 0.4 s old."""
    # FastAPI would take apart what is already checked: 50 ms of the event loop where there are 200 dispensers
    return Response((await web.status()).model_dump_json(), media_type="application/json")


@router.get("/dispensers", responses=documented(422))
async def dispensers(
    web: TheWeb,
    search: Annotated[str, Query(max_length=100, description="Words in its id, its name or its sauces")] = "",
    state: Annotated[fleet.State | None, Query(description="Those in this state alone")] = None,
    order: Annotated[Literal["name", "urgent"], Query(description="urgent: who needs somebody comes first")] = "name",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=1_000, description="Dispensers on a page")] = 1_000,
) -> Dispensers:
    """Dispensers that opened a link, wait or were adopted: where they are, what is on their nozzles and screens."""
    found = await fleet.look_for(
        web.state, web.watch, search=search, only=state, page=page, size=limit, urgent_first=order == "urgent"
    )
    return Dispensers(dispensers=found.dispensers, total=found.total, page=found.page, pages=found.pages)


@router.get("/profiles/{pseudonym}", responses=documented(400, 404, 422))
async def profile(
    web: TheWeb, pseudonym: Annotated[str, Path(json_schema_extra=A_SUBJECT, examples=[PSEUDONYM])]
) -> ProfileView:
    """The heat profile of a customer, or of a session that nobody has claimed yet."""
    view = views.profile_view(web.state, _subject(pseudonym, "path.pseudonym"))
    if view is None:
        hint = "Nobody of this pseudonym poured or said anything here; a session's profile ends with the session"
        raise Problem(404, "no-profile", "there is no profile of this subject", hint=hint)
    return view


@router.get("/picks", responses=documented(400, 404, 422))
async def picks(
    web: TheWeb,
    dispenser: Annotated[str, Query(pattern=SOURCE, examples=["hot-bar-1"])],
    subject: Annotated[
        str | None,
        Query(json_schema_extra=A_SUBJECT, description="A pseudonym or session; without it, somebody new"),
    ] = None,
) -> PicksView:
    """What a customer would be shown now at a dispenser, and why. No impression comes of it."""
    return would_pick(web, dispenser, subject)


def would_pick(web: Web, dispenser: str, subject: str | None) -> PicksView:
    """What somebody would be shown. Raises Problem: there is no such dispenser, or it is no subject."""
    state = web.state
    subjects = [] if subject is None else [reads.owner(state.reader, _subject(subject, "query.subject"))]
    nozzles = state.lots.fit(dispenser, nozzles_of(state, dispenser))
    slate = state.recommender.slate(nozzles, subjects, Context())
    return views.picks_view(state, dispenser, subject, slate)


@router.get("/sync")
async def sync(web: TheWeb) -> SyncView:
    """The way to Kafka: what waits, what went, what is wrong."""
    return views.sync_view(web.state, web.watch)


def _subject(text: str, where: str) -> str:
    try:
        return check_subject(text)
    except DataError as error:
        fault = Fault(where=where, what=str(error.args[0]))
        raise Problem(400, "not-a-subject", "this is no subject", hint=error.hint, faults=(fault,)) from None


def nozzles_of(state: GatewayState, dispenser: str) -> tuple[NozzleInfo, ...]:
    """What is on a dispenser's nozzles, and left in them; none, if it is adopted, and has not come yet.

    Raises a Problem for one that waits to be adopted, or that nobody knows.
    """
    known, stranger = state.dispensers.known.get(dispenser), state.dispensers.strangers.get(dispenser)
    adopted = state.dispensers.keyring.is_adopted(dispenser)
    if stranger is not None and not adopted:
        why, do = state.adoption.advice(stranger)
        raise Problem(404, "not-adopted", f"{dispenser} waits to be adopted: {why}", hint=do)
    if known is not None:
        return state.ingest.bottles.now(known.hello).nozzles
    for stored in reads.dispensers(state.reader):
        if stored.name == dispenser:
            return tuple(NozzleInfo(*nozzle) for nozzle in stored.nozzles)
    if adopted:
        return () if stranger is None else stranger.hello.nozzles
    hint = "/api/v1/dispensers lists those that opened a link, or wait to be adopted"
    raise Problem(404, "no-such-dispenser", "no dispenser of this name was ever here", hint=hint)
