"""Whether a customer wants to be known: what they said, and a place to say it. By pseudonym, never by token."""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import BaseModel, ConfigDict

from gateway import consents
from gateway.consents import Wish
from gateway.dating import stamp
from gateway.transaction import Transaction
from gateway.web.answers import A_CUSTOMER, PSEUDONYM, Answer, example
from gateway.web.problems import Fault, Problem, documented
from gateway.web.web import TheWeb
from heat.errors import StoreError
from heat.events import ConsentChanged
from heat.identity import PSEUDONYM as A_PSEUDONYM

router = APIRouter(prefix="/api/v1/profiles", tags=["v1"])

Customer = Annotated[str, Path(json_schema_extra=A_CUSTOMER, examples=[PSEUDONYM])]


class ConsentView(Answer):
    """What a customer allows. Who said nothing is known by the token."""

    subject: Annotated[str, example(PSEUDONYM)]
    consent: Annotated[Wish, example("none")]


class SetConsent(BaseModel):
    """What a customer says."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    consent: Wish


@router.get("/{pseudonym}/consent", responses=documented(400, 422))
async def look(web: TheWeb, pseudonym: Customer) -> ConsentView:
    """Whether a customer wants to be known."""
    subject = _customer(pseudonym)
    return ConsentView(subject=subject, consent=consents.wish(web.state.reader, subject))


@router.put("/{pseudonym}/consent", responses=documented(400, 422, 503))
async def change(web: TheWeb, pseudonym: Customer, said: SetConsent) -> ConsentView:
    """Opt a customer out (`none`) or in again (`profile`). It is on disk when this answers; again changes nothing.

    With `none` all that was learned of the customer here is forgotten, and nothing is learned from then on: their
    token gets what somebody gets who shows none. The cloud and the region's other gateways hear of it.
    """
    state, subject = web.state, _customer(pseudonym)
    door = state.ingest.door
    data = ConsentChanged(store=door.store, region=door.region, channel="gateway", consent=said.consent)
    when = stamp(state.clock.now(), state.boot, 0, sure=True)

    def work(tx: Transaction) -> bool:
        return consents.set_here(tx, subject, when, data)

    try:
        # on a full disk too: it makes more room than it takes
        await asyncio.wrap_future(state.store.write(work, upkeep=True))
    except StoreError as error:
        raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None
    if said.consent == "none":
        state.recommender.forget(subject)
    state.outbox.wake()
    return ConsentView(subject=subject, consent=said.consent)


def _customer(text: str) -> str:
    if not A_PSEUDONYM.match(text):
        fault = Fault(where="path.pseudonym", what="not a pseudonym")
        hint = "Give a pseudonym (p1-<32 hex digits>), never a token; a session is forgotten at its end anyway"
        raise Problem(400, "not-a-subject", "this is no customer", hint=hint, faults=(fault,))
    return text
