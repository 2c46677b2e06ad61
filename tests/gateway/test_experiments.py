"""Two rankers in one gateway: who is shown whose picks, what the impression says of it, and whom a rating is about."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import numpy as np
import pytest

from firmware_bridge.bodies import PouredBody, RatedBody
from firmware_bridge.messages import Picks
from gateway.ingest import Ingest
from gateway.picks import Recommender
from gateway.shadow import Shadow
from heat.events import Impression
from heat.identity import pseudonym, session_subject
from models.experiment import Experiment
from models.features import Matrix
from models.ranker import LinearRanker
from tests.gateway.conftest import KEY, Counter, Screen, ask
from tests.gateway.test_picks import impressions
from tests.tasting import WEIGHTS

Query = Callable[[str], list[tuple[Any, ...]]]
EXPERIMENT = Experiment("warmer-1", 50)
OLD, NEW = LinearRanker("old", WEIGHTS), LinearRanker("new", [-weight for weight in WEIGHTS])


async def shown_to(recommender: Recommender, counter: Counter, nonce: int, token: str | None) -> Picks:
    screen = Screen()
    question = ask(nonce, session=nonce, token=token)
    recommender.answer(screen, counter.hello, question, 0)  # type: ignore[arg-type]
    return screen.shown[0]


async def test_each_customer_is_answered_by_the_ranker_of_their_arm(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    recommender.rankers.use(NEW, OLD, EXPERIMENT)
    tokens = [f"loyalty-{number}" for number in range(12)]
    for visit in (0, 100):
        for number, token in enumerate(tokens):
            await shown_to(recommender, counter, visit + number + 1, token)
    stored = [msgspec.convert(data, Impression) for data in await impressions(rows, 24)]
    arms = [EXPERIMENT.arm(pseudonym(token, KEY, 1)) for token in tokens]
    assert {"control", "challenger"} == set(arms)
    assert [one.arm for one in stored] == arms * 2, "the same customer, the same arm"
    assert [one.ranker for one in stored] == ["new" if arm == "challenger" else "old" for arm in arms] * 2
    assert {one.experiment for one in stored} == {"warmer-1"}


async def test_a_customer_without_a_token_is_in_the_sessions_arm(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    recommender.rankers.use(NEW, OLD, EXPERIMENT)
    for nonce in range(1, 9):
        await shown_to(recommender, counter, nonce, None)
    stored = [msgspec.convert(data, Impression) for data in await impressions(rows, 8)]
    hello = counter.hello
    sessions = [session_subject(hello.dispenser, hello.generation, nonce) for nonce in range(1, 9)]
    assert [one.arm for one in stored] == [EXPERIMENT.arm(session) for session in sessions]


async def test_without_an_experiment_an_impression_tells_of_none(
    recommender: Recommender, counter: Counter, rows: Query
) -> None:
    recommender.rankers.use(NEW, OLD)
    await shown_to(recommender, counter, 1, "loyalty-1")
    (stored,) = await impressions(rows, 1)
    assert (stored["ranker"], stored["experiment"], stored["arm"]) == ("new", None, None)


class Broken(LinearRanker):
    """One that fails at each slate."""

    def scores(self, features: Matrix) -> Matrix:
        """Raise."""
        raise RuntimeError("no such operator")


class Nonsense(LinearRanker):
    """One that says of a sauce what no event could tell."""

    def scores(self, features: Matrix) -> Matrix:
        """Ones, but for one that is no number."""
        return np.where(np.arange(len(features)) == 1, np.nan, 1).astype(np.float32)


@pytest.mark.parametrize(
    "ranker", [Broken("broken", WEIGHTS), Nonsense("broken", WEIGHTS)], ids=["raises", "no number"]
)
async def test_while_the_ranker_in_use_fails_what_another_showed_is_stored_and_looked_at(
    recommender: Recommender, counter: Counter, rows: Query, ranker: LinearRanker
) -> None:
    recommender.rankers.use(ranker, OLD)
    recommender.rankers.shadow = shadow = Shadow(OLD, wanted=3)
    picks = await shown_to(recommender, counter, 1, None)
    assert len(picks.picks) == 3
    (stored,) = await impressions(rows, 1)
    assert (stored["ranker"], recommender.rankers.errors) == ("old", {"broken": 1})
    assert (shadow.slates, shadow.same) == (1, 1)


async def test_a_verdict_counts_for_the_ranker_that_showed_the_pick(
    recommender: Recommender, counter: Counter, rows: Query, ingest: Ingest
) -> None:
    ingest._on_rating = recommender.rankers.note_rating
    recommender.rankers.use(NEW)
    picks = await shown_to(recommender, counter, 1, None)
    sauce, pick_id = picks.picks[0].sauce, picks.pick_id
    counter.send(PouredBody(nozzle=1, sauce=sauce, volume_ul=4000, duration_ms=800, pick_id=pick_id))
    counter.send(RatedBody(sauce=sauce, verdict="too_hot", pick_id=pick_id))
    counter.send(RatedBody(sauce=sauce, verdict="just_right", pick_id="another"))
    await counter.settled(3)
    assert rows("SELECT * FROM ranked") == [("new", 1, 1)]
