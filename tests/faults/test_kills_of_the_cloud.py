"""The cloud half through kills of its pipeline, its lake's writer, a broker and Redis, in one run, with poison between.

`make faults ARGS=cloud` repeats it with twenty of each, and other seeds.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from tests.cluster import KafkaCluster
from tests.faults.cloud.kills import KILLS_EACH, run
from tests.faults.cloud.outcome import HURTS, Kill, Outcome
from tests.faults.cloud.parts import BESIDE, COMMITTING, FOLDING
from tests.faults.cloud.stream import Stream
from tests.faults.cloud.sweep import summary, table
from tests.faults.cloud.verdict import Difference, Verdict

SEED = 20_262

pytestmark = pytest.mark.timeout(600)  # the first test has the whole run in it


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory, cluster: KafkaCluster) -> Outcome:
    """A cloud that went through it all."""
    return run(tmp_path_factory.mktemp("cloud") / "run", cluster, SEED)


def test_every_place_holds_what_is_true_once(outcome: Outcome) -> None:
    assert outcome.verdict.good, f"seed {SEED}\n{outcome.verdict}"
    places = {"topic", "states", "counts", "profiles topic", "hot store", "dead letters", "lake raw", "lake events"}
    assert set(outcome.verdict.places) == places
    assert outcome.records > 2_000
    assert outcome.refused > 100
    assert outcome.late > 50


def test_the_kills_fell_where_they_hurt(outcome: Outcome) -> None:
    kills = Counter(kill.part for kill in outcome.kills)
    assert kills == {"pipeline": KILLS_EACH, "lake": KILLS_EACH, "kafka": 1, "redis": 2}
    assert outcome.aimed, f"seed {SEED}: {[kill.where for kill in outcome.kills]}"


def test_each_kill_is_logged_with_the_positions(outcome: Outcome) -> None:
    lines = [json.loads(line) for line in outcome.log.read_text().splitlines()]
    # a broker and Redis may die at one moment, and either be written first
    assert Counter(line["part"] for line in lines) == Counter(kill.part for kill in outcome.kills)
    for part in HURTS:
        sums = [sum(line["positions"].values()) for line in lines if line["part"] == part]
        assert sums[0] > 0
        assert sorted(set(sums)) == sums, "it went on after each"


# -- what would show otherwise -----------------------------------------------------------------------------------------


def test_the_stream_has_what_it_promises_and_its_seed_has_it_again() -> None:
    stream, again = Stream(5), Stream(5)
    sent = [*stream.go_on(500), *stream.go_on(1_000, late=True)]
    assert sent == stream.sent == [*again.go_on(500), *again.go_on(1_000, late=True)]
    reasons = Counter(one.reason for one in sent)
    assert {"malformed", "too_old", "wrong_key"} <= set(reasons)
    accepted = [one.event for one in sent if one.event is not None and one.reason is None]
    contents = {event.value for event in accepted}
    identities = {event.identity for event in accepted}
    assert len(accepted) > 1.3 * len(contents), "doubles"
    assert len(contents) > len(identities) + 10, "contradictions"
    assert len(stream.counted()) == len(identities)
    assert len(stream.digests()) > 100


def test_what_lacks_and_what_is_twice_are_told_apart() -> None:
    assert not Difference.between("aab", "aba")
    one = Difference.between("aabc", "abbd")
    assert (one.lost, one.extra) == (("a", "c"), ("b", "d"))
    verdict = Verdict({"lake raw": one, "states": Difference.between("a", "a")})
    assert (verdict.good, verdict.lost, verdict.doubled) == (False, 2, 2)
    assert str(verdict).startswith("lake raw: 2 lost")
    assert not Verdict().good, "a run that looked nowhere has shown nothing"


def test_a_run_whose_kills_fell_beside_has_shown_nothing(tmp_path: Path) -> None:
    def kills(part: str, *where: str) -> list[Kill]:
        return [Kill(part, "2026-11-25T12:00:00.000+00:00", one) for one in where]

    good = Verdict({"states": Difference.between("a", "a")})
    lake = kills("lake", COMMITTING, BESIDE)
    tried = Outcome(1, tmp_path, [*kills("pipeline", FOLDING, BESIDE), *lake], verdict=good)
    beside = Outcome(2, tmp_path, [*kills("pipeline", FOLDING, BESIDE, BESIDE), *lake], verdict=good)
    assert (tried.good, beside.good) == (True, False)
    assert not Outcome(3, tmp_path, lake, verdict=good).good
    assert "too few kills" in summary(beside)
    rows = {line[:36].strip(): line[36:].strip() for line in table([tried, beside]).splitlines()}
    assert (rows["tries"], rows["failed"], rows["kills of pipeline"], rows["lost"]) == ("2", "1", "5", "0")
    assert rows[FOLDING] == "2 (40%)"
