"""The first boot for programs: the same steps as on the pages. The code gives a key, and the key opens the rest.

What is sent here carries its own secret, in the body or as a bearer, and never a cookie: no page of another site can
have a browser send it.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request
from pydantic import Field

from gateway.web.answers import Answer, example
from gateway.web.entry import setup_acts
from gateway.web.entry.answers import Told
from gateway.web.entry.setup import STEPS, Setup, StepName
from gateway.web.entry.setup_acts import TheSetup
from gateway.web.entry.sign_in import address_of
from gateway.web.problems import Fault, Problem, documented

router = APIRouter(prefix="/api/v1/setup", tags=["setup"])


class Code(Told):
    """What opens a setup: printed on the console, and on the label."""

    code: Annotated[str, Field(max_length=100, examples=["K7QF-3XMD"])]
    """Case, spaces and dashes in it do not matter."""


class StoreAnswer(Told):
    """Which store this is."""

    store: Annotated[str, Field(max_length=200, examples=["mercado-12"])]
    region: Annotated[str, Field(max_length=200, examples=["south"])]
    id: Annotated[str, Field(max_length=200, examples=["gw-north-3"])]
    """The gateway's own name: the source of its events."""


class TimeAnswer(Told):
    """Where it is."""

    timezone: Annotated[str, Field(max_length=100, examples=["Europe/Madrid"])]
    """A name of the IANA's database."""


class TechnicianAnswer(Told):
    """The first owner."""

    name: Annotated[str, Field(max_length=200, examples=["Olga"])]
    password: Annotated[str, Field(max_length=1_000, examples=["three hot words"])]
    """Empty: it stays as it was answered before."""


class Servers(Told):
    """Kafka's addresses."""

    bootstrap: Annotated[str, Field(max_length=1_000, examples=["kafka-1.example:9092,kafka-2.example:9092"])]


class KafkaAnswer(Told):
    """Where events go."""

    bootstrap: Annotated[str | None, Field(max_length=1_000, examples=["kafka-1.example:9092"])] = None
    """Null: nowhere yet."""
    tls: bool = False


class SetupStep(Answer):
    """One question."""

    name: StepName
    answered: bool
    values: Annotated[dict[str, Any], example({"store": "mercado-12", "region": "south", "id": "gw-north-3"})]
    """What was answered, else what is proposed; no password."""
    fixed: Annotated[list[str], example(["id"])]
    """What gateway.toml itself says: that counts, whatever is answered."""


class SetupView(Answer):
    """How far a setup is."""

    next: StepName
    """The step that is to be answered next; all before it may be answered anew. `done`: it may be finished."""
    steps: list[SetupStep]


class Opened(Answer):
    """A setup that was opened."""

    key: Annotated[str, example("q0V5...")]
    """Opens the other paths: `Authorization: Bearer KEY`. Whoever gives the code again has another one."""
    setup: SetupView


class Knocked(Answer):
    """Whether Kafka can be reached."""

    answers: bool
    detail: Annotated[str, example("kafka-1.example:9092 answers")]


class Starting(Answer):
    """The setup is over, and the gateway begins with it: it answers again in some seconds."""

    starting: Literal[True] = True


async def _inside(request: Request, setup: TheSetup) -> Setup:
    """For whoever shows the key; a coroutine, since access.db is read on the loop. Raises Problem."""
    if not setup.access.setup_open:
        raise setup_acts.closed()
    kind, _, key = request.headers.get("authorization", "").partition(" ")
    if kind.lower() != "bearer" or not setup.is_open(key.strip()):
        hint = "POST /api/v1/setup with the code gives a key: Authorization: Bearer KEY"
        raise Problem(401, "code-needed", "this needs the key of this setup", hint=hint)
    return setup


Inside = Annotated[Setup, Depends(_inside)]


@router.post("", status_code=201, responses=documented(401, 409, 422, 429))
async def enter(request: Request, setup: TheSetup, told: Code) -> Opened:
    """Begin a setup by its one-time code, or go on with one that was broken off."""
    return Opened(key=await setup_acts.enter(setup, told.code, address_of(request)), setup=_view(setup))


@router.get("", responses=documented(401, 409))
async def look(setup: Inside) -> SetupView:
    """How far it is."""
    return _view(setup)


@router.put("/store", responses=documented(401, 409, 422))
async def store(setup: Inside, told: StoreAnswer) -> SetupView:
    """Say which store this is."""
    return await _answer(setup, "store", told.model_dump())


@router.put("/time", responses=documented(401, 409, 422))
async def time(setup: Inside, told: TimeAnswer) -> SetupView:
    """Say in which time zone it is."""
    return await _answer(setup, "time", told.model_dump())


@router.put("/technician", responses=documented(401, 409, 422, 429))
async def technician(request: Request, setup: Inside, told: TechnicianAnswer) -> SetupView:
    """Let the first owner in. Whoever was answered before is let in no more."""
    view = await _answer(setup, "technician", told.model_dump())
    owner, words = setup.kept()["technician"]["name"], f"is an owner, as was said from {address_of(request)}"
    await setup.access.audit.note((owner, "setup"), ("PUT", "/api/v1/setup/technician"), {}, words)
    return view


@router.put("/kafka", responses=documented(401, 409, 422))
async def kafka(setup: Inside, told: KafkaAnswer) -> SetupView:
    """Say where events go; nowhere yet is an answer, too."""
    said = {"bootstrap": told.bootstrap or "", "tls": "yes" if told.tls else "no"}
    return await _answer(setup, "kafka", said)


@router.post("/kafka/test", responses=documented(401, 409, 422))
async def test(setup: Inside, told: Servers) -> Knocked:  # noqa: ARG001 -- the key is looked at
    """Try to reach Kafka. Nothing is kept."""
    found, said = await setup_acts.knock(told.bootstrap)
    return Knocked(answers=found, detail=str(said))


@router.post("/finish", status_code=202, responses=documented(401, 409, 503))
async def finish(setup: Inside) -> Starting:
    """Write what was answered, and begin with it. The code opens nothing from here on."""
    _must_be_reached(setup, "done")
    await setup.finish()
    return Starting()


async def _answer(setup: Setup, step: StepName, said: dict[str, str]) -> SetupView:
    _must_be_reached(setup, step)
    if wrong := await setup_acts.answer(setup, step, said):
        faults = tuple(Fault(where=f"body.{name}", what=str(what)) for name, what in wrong.items())
        detail = "; ".join(f"{fault.where}: {fault.what}" for fault in faults)
        raise Problem(422, "not-taken", detail, hint="Mend these, and send it again; nothing was kept", faults=faults)
    return _view(setup)


def _must_be_reached(setup: Setup, step: StepName) -> None:
    if not setup_acts.reached(setup, step):
        raise Problem(409, "not-yet", f"{setup.step()} comes before {step}", hint="Answer one after the other")


def _view(setup: Setup) -> SetupView:
    kept = setup.kept()
    steps = [
        SetupStep(name=name, answered=name in kept, values=setup.shown(name), fixed=sorted(setup.fixed(name)))
        for name in STEPS
        if name != "done"
    ]
    return SetupView(next=setup.step(), steps=steps)
