"""Whether the gateway lives, whether it is ready, and its figures for Prometheus."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from gateway.web.answers import Answer, example
from gateway.web.examples import as_text
from gateway.web.problems import Problem, documented
from gateway.web.web import TheWeb, Web

router = APIRouter(tags=["health"])


class Healthy(Answer):
    """The process and its store are fine."""

    status: Literal["ok"] = "ok"


class PartState(Answer):
    """How one part of the daemon is."""

    name: Annotated[str, example("store")]
    state: Annotated[Literal["ok", "failing", "stopped"], example("ok")]
    needed: bool
    """Whether the gateway is ready only with it. Serial ports, MQTT and Kafka may be away."""
    detail: str | None = None


class Readiness(Answer):
    """Whether the gateway takes events and answers customers."""

    ready: bool
    parts: list[PartState]


@router.get("/healthz", responses=documented(503))
async def healthz(web: TheWeb) -> Healthy:
    """Whether the process and its store are fine: restart the gateway where this fails."""
    broken = web.state.store.broken
    if broken is not None:
        raise Problem(503, "store-broken", str(broken.args[0]), hint=broken.hint)
    return Healthy()


@router.get("/readyz", response_model=Readiness, responses={503: {"description": "Not ready", "model": Readiness}})
async def readyz(web: TheWeb) -> JSONResponse:
    """Whether the gateway takes events and answers customers. What may be away (Kafka, links) is told, and no more."""
    parts = [*_needed(web), *_others(web)]
    ready = all(part.state == "ok" for part in parts if part.needed)
    return JSONResponse(Readiness(ready=ready, parts=parts).model_dump(), 200 if ready else 503)


def _needed(web: Web) -> list[PartState]:
    state = web.state
    broken, model_error = state.store.broken, state.model_error
    if broken is None and state.store.full is not None:
        full = f"The {state.store.full.of} is used up"
        store = PartState(name="store", state="failing", needed=True, detail=full)
    else:
        detail = str(broken) if broken else None
        store = PartState(name="store", state="stopped" if broken else "ok", needed=True, detail=detail)
    return [
        store,
        PartState(name="ranker", state="ok", needed=True, detail=str(model_error) if model_error else None),
        PartState(
            name="web", state="stopped" if web.closing.is_set() or state.stopping.is_set() else "ok", needed=True
        ),
    ]


def _others(web: Web) -> list[PartState]:
    parts = []
    for part in web.state.supervisor.parts.values():
        if part.state == "stopped":
            parts.append(PartState(name=part.name, state="stopped", needed=False, detail=part.error))
        elif part.state == "waiting" and web.watch.failing(part.name):
            parts.append(PartState(name=part.name, state="failing", needed=False, detail=part.error))
        else:
            parts.append(PartState(name=part.name, state="ok", needed=False))
    return parts


FIGURES = as_text("text/plain", "# TYPE picante_clock_known gauge\npicante_clock_known 1.0\n")


@router.get("/metrics", response_class=Response, responses={200: FIGURES})
async def metrics(web: TheWeb) -> Response:
    """Figures for Prometheus."""
    await web.board.fresh()
    return Response(generate_latest(web.registry), media_type=CONTENT_TYPE_LATEST)
