"""The model that ranks: where it came from, how its trial goes, and taking it back."""

from __future__ import annotations

import asyncio
import contextlib
import sqlite3
from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter

from gateway import shelf
from gateway.shelf import InUse
from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.answers import Answer, example
from gateway.web.problems import Problem, documented
from gateway.web.records.reading import in_thread
from gateway.web.web import TheWeb, Web
from gateway.web.who import Technician, Viewer, Who
from heat.errors import ModelError

router = APIRouter(prefix="/api/v1/model", tags=["v1"])


class Released(Answer):
    """The release that the bundle in use came with."""

    number: Annotated[int, example(7)]
    target: Annotated[str, example("region:south")]
    sha256: Annotated[str, example("9f0c2f1be0" + 54 * "0")]
    since: datetime
    signed_by: Annotated[str | None, example("brand-2026")]
    """Whose signature it carries, as this gateway trusts it."""
    on_trial: bool
    """It is gone back from by itself if customers like it less than what was before."""


class ExperimentView(Answer):
    """The experiment that the bundle is part of."""

    name: Annotated[str, example("milder-start")]
    percent: Annotated[float, example(50.0)]
    """Of the customers that it answers."""


class LooksOn(Answer):
    """A bundle that sees what is asked, and answers nobody yet."""

    slates: Annotated[int, example(31)]
    wanted: Annotated[int, example(50)]
    same: Annotated[int, example(28)]
    """Slates that it would have led alike."""


class ReleaseView(Answer):
    """What became of a release that is meant for this gateway."""

    kind: Annotated[Literal["bundle", "catalogue", "words", "configuration"], example("bundle")]
    target: Annotated[str, example("region:south")]
    number: Annotated[int, example(8)]
    state: Annotated[Literal["used", "on_trial", "waiting", "refused"], example("refused")]
    detail: Annotated[str, example("taken back by maria. Used instead: what gateway.toml names")]


class ModelView(Answer):
    """What ranks the sauces."""

    ranker: Annotated[str, example("9f0c2f1be0a4")]
    """`rule`, or the bundle's id."""
    scorer: Annotated[Literal["onnx", "numpy", "rule"], example("onnx")]
    release: Released | None
    """Null where it is what gateway.toml names."""
    before: Annotated[str | None, example("51c0ffee1234")]
    """What answers again if this one is taken back, or answers the others of an experiment."""
    experiment: ExperimentView | None
    looks_on: LooksOn | None
    error: Annotated[str | None, example(None)]
    """Why something less than the configured bundle ranks."""
    releases: list[ReleaseView]


@router.get("")
async def model(web: TheWeb, _who: Viewer) -> ModelView:
    """Which model ranks, who signed it, since when, how its trial goes, and what became of the releases."""
    return await read_model(web)


@router.post("/take-back", status_code=202, responses=documented(409))
async def take_back(web: TheWeb, who: Technician) -> ModelView:
    """Use what was used before, and never this release again: for a model whose picks customers don't like."""
    return await take_back_bundle(web, who)


async def read_model(web: Web) -> ModelView:
    """The model as of now."""
    state = web.state
    rankers = state.recommender.rankers
    experiment, shadow = rankers.experiment, rankers.shadow
    return ModelView(
        ranker=rankers.current.name,
        scorer=rankers.current.scorer,
        release=await in_thread(state, lambda reader: _released(state, reader)),
        before=None if rankers.before is None else rankers.before.name,
        experiment=None
        if experiment is None
        else ExperimentView(name=experiment.name, percent=round(experiment.percent, 2)),
        looks_on=None if shadow is None else LooksOn(slates=shadow.slates, wanted=shadow.wanted, same=shadow.same),
        error=None if state.model_error is None else str(state.model_error),
        releases=[
            ReleaseView(kind=one.kind, target=one.target, number=one.number, state=one.state, detail=one.detail)
            for one in state.releases.report()
        ],
    )


async def take_back_bundle(web: Web, who: Who) -> ModelView:
    """Have the bundle in use taken back, and wait a moment for it. Raises Problem: it is no release."""
    state = web.state
    used = await in_thread(state, lambda reader: shelf.in_use(reader, "bundle"))
    if used is None:
        hint = "The model that gateway.toml names is in use; set another there, or have one released"
        raise Problem(409, "nothing-to-take-back", "no released model is in use", hint=hint)
    done = state.releases.take_back_bundle(used, f"by {who.name}")
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(done.wait(), 2)
    return await read_model(web)


def _released(state: GatewayState, reader: sqlite3.Connection) -> Released | None:
    used = shelf.in_use(reader, "bundle")
    if used is None:
        return None
    return Released(
        number=used.number,
        target=used.target,
        sha256=used.sha256,
        since=reads.moment(used.since_ms),
        signed_by=_signer(state, used),
        on_trial=used.starts is not None,
    )


def _signer(state: GatewayState, used: InUse) -> str | None:
    try:
        return state.releases.trusted(used).signer
    except ModelError:
        return None
