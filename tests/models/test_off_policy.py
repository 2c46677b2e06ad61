"""Off-policy estimates: right on average where the truth is known, and their intervals hold it as often as they say."""

from __future__ import annotations

import csv
import gzip
from functools import cache

import msgspec
import numpy as np
import pytest
from numpy.typing import NDArray

from heat.events import Impression, ShownPick
from heat.reading import Reading
from models import logged
from models.explore import suggest
from models.features import Context, Menu
from models.off_policy import Estimate, Log, doubly_robust, effective_sample, ips, log_of, ratios, snips
from models.ranker import LinearRanker
from tests.shared_data import bandit_logs
from tests.tasting import SAUCES, WEIGHTS, reading, unsure

DRAWS, ROWS, KINDS, ACTIONS, SLOTS = 200, 800, 5, 4, 2
Floats = NDArray[np.float64]


def _policy(chance: np.random.Generator, bold: float) -> Floats:
    """(kinds, slots, actions): the chance of each action."""
    scores = np.exp(bold * chance.normal(size=(KINDS, SLOTS, ACTIONS)))
    return np.asarray(scores / scores.sum(axis=2, keepdims=True))


@cache
def _draws() -> tuple[float, dict[str, list[Estimate]]]:
    """The true value of a policy, and what each estimator says of it, from many logs of another one."""
    chance = np.random.default_rng(11)
    logging, judged = _policy(chance, 0.6), _policy(chance, 0.9)
    pays = chance.uniform(0.05, 0.6, size=(KINDS, SLOTS, ACTIONS))
    guess = np.clip(pays + chance.normal(scale=0.1, size=pays.shape), 0, 1)
    slot = np.arange(SLOTS)
    found: dict[str, list[Estimate]] = {"ips": [], "snips": [], "dr": []}
    for _ in range(DRAWS):
        # customers come about three times each, and are of one kind
        customer = chance.integers(0, ROWS // 3, size=ROWS)
        kind = customer % KINDS
        action = (chance.random((ROWS, SLOTS, 1)) > logging.cumsum(axis=2)[kind]).sum(axis=2)
        at = kind[:, None], slot, action
        log = Log((chance.random((ROWS, SLOTS)) < pays[at]).astype(float), judged[at] / logging[at], customer)
        found["ips"].append(ips(log))
        found["snips"].append(snips(log))
        found["dr"].append(doubly_robust(log, (judged * guess).sum(axis=2)[kind], guess[at]))
    truth = np.mean([(judged[kind] * pays[kind]).sum() for kind in np.arange(ROWS // 3) % KINDS])
    return float(truth), found


@pytest.mark.parametrize("name", ["ips", "snips", "dr"])
def test_estimates_are_right_on_average_and_intervals_hold_the_truth(name: str) -> None:
    truth, found = _draws()
    values = np.array([one.value for one in found[name]])
    assert abs(values.mean() - truth) < 3 * values.std() / DRAWS**0.5 + 0.002
    covered = np.mean([one.low <= truth <= one.high for one in found[name]])
    assert 0.91 <= covered <= 0.985
    # an interval that is no wider than it has to be
    assert np.mean([one.high - one.low for one in found[name]]) == pytest.approx(2 * 1.96 * values.std(), rel=0.2)
    assert all(100 < one.effective < ROWS for one in found[name])


def test_a_model_that_foresees_steadies_and_a_bad_one_costs_no_truth() -> None:
    _, found = _draws()
    assert np.std([one.value for one in found["dr"]]) < 0.9 * np.std([one.value for one in found["ips"]])
    log = Log(np.array([[1.0], [0.0]]), np.ones((2, 1)), np.arange(2))
    assert doubly_robust(log, np.full((2, 1), 9.0), np.full((2, 1), 9.0)).value == 0.5


def test_by_hand() -> None:
    log = Log(np.array([[1.0], [0.0], [1.0], [1.0]]), np.array([[2.0], [1.0], [0.0], [1.0]]), np.arange(4))
    assert ips(log).value == 0.75
    assert snips(log).value == 0.75
    doubled = Log(log.earned, 2 * log.ratio, log.customer)
    assert (ips(doubled).value, snips(doubled).value) == (1.5, 0.75)
    assert effective_sample(log.ratio) == pytest.approx(16 / 6)
    assert effective_sample(np.zeros((3, 1))) == 0
    with pytest.raises(ValueError, match="no impressions"):
        ips(Log(np.zeros((0, 1)), np.zeros((0, 1)), np.zeros(0, dtype=np.int64)))


def test_visits_of_one_customer_are_no_independent_evidence() -> None:
    earned = np.repeat(np.random.default_rng(3).integers(0, 2, size=100), 9).astype(float)[:, None]
    alone, together = (Log(earned, np.ones_like(earned), who) for who in (np.arange(900), np.arange(900) // 9))
    assert ips(together).high - ips(together).low == pytest.approx(3 * (ips(alone).high - ips(alone).low), rel=0.01)


# -- logs of the gateway ------------------------------------------------------------------------------------------

OTHER = LinearRanker("other", [-weight for weight in WEIGHTS], unsure().deviations)
ALL, KNOWN = Menu(SAUCES), reading(9000, sd_mo=400, evidence=12, recent_mo=9000)


def _impressions(count: int, known: Reading = KNOWN) -> list[Impression]:
    result = []
    for seed in range(count):
        chosen = suggest(unsure(), known, ALL, Context(), seed=seed)
        picks = tuple(
            ShownPick(
                slot=slot,
                nozzle=0,
                sauce=pick.sauce.id,
                milli_octaves=pick.sauce.heat.milli_octaves,
                score=pick.score,
                propensity=pick.propensity,
            )
            for slot, pick in enumerate(chosen.picks, 1)
        )
        result.append(
            Impression(
                store="s", region="r", channel="dispenser", consent="none", pick_id=f"{seed:032x}", dispenser="d",
                picks=picks, candidates=ALL.ids, ranker="x", latency_us=1,
                offered=logged.offered(ALL, Context()), known=logged.known(known, ALL, Context()),
                policy=chosen.policy, seed=seed, slate_propensity=chosen.slate_propensity,
            )
        )  # fmt: skip
    return result


def test_the_policy_that_ran_has_ratios_of_one() -> None:
    for impression in _impressions(12):
        found = ratios(impression, unsure(), explore=True)
        assert found is not None
        assert (*found.slots, found.slate) == pytest.approx([1.0] * 4)


def test_of_another_ranker_ratios_average_to_one_and_its_slots_earn_what_they_would() -> None:
    """A pour from slot 1 wherever this sauce stands there: what another policy earns by it is known by its chances."""
    impressions = _impressions(800)
    sauce = suggest(OTHER, KNOWN, ALL, Context()).picks[0].sauce.id
    rows = []
    for impression in impressions:
        found = ratios(impression, OTHER, explore=True)
        assert found is not None
        rows.append(([float(impression.picks[0].sauce == sauce), 0.0, 0.0], found, impression.seed or 0))
    log = log_of(rows)
    assert log.ratio.mean(axis=0) == pytest.approx(1, abs=0.1)
    truth = np.mean(
        [suggest(OTHER, KNOWN, ALL, Context(), seed=-seed).picks[0].sauce.id == sauce for seed in range(1, 400)]
    )
    judged = ips(log)
    assert judged.low <= float(truth) <= judged.high
    assert judged.effective < 0.8 * len(rows)


def test_a_newcomer_s_slot_1_judges_no_policy_that_has_another_sauce_there() -> None:
    for impression in _impressions(12, reading()):
        own, other = (ratios(impression, ranker, explore=True) for ranker in (unsure(), OTHER))
        assert own is not None
        assert other is not None
        assert own.slots == pytest.approx([1.0] * 3)
        assert (other.slots[0], other.slate) == (0, 0)


def test_greedy_is_judged_by_the_slates_that_it_would_have_shown() -> None:
    greedy = [pick.sauce.id for pick in suggest(unsure(), KNOWN, ALL, Context()).picks]
    seen = set()
    for impression in _impressions(60):
        found = ratios(impression, unsure(), explore=False)
        assert found is not None
        same = [pick.sauce == wanted for pick, wanted in zip(impression.picks, greedy, strict=True)]
        assert [slot > 0 for slot in found.slots] == same
        assert (found.slate > 0) == all(same)
        seen.add(all(same))
    assert seen == {True, False}


def test_an_impression_that_kept_no_chances_is_left_out() -> None:
    (impression,) = _impressions(1)
    assert ratios(msgspec.structs.replace(impression, slate_propensity=None), unsure(), explore=True) is None
    assert ratios(msgspec.structs.replace(impression, known=None), unsure(), explore=True) is None


# -- logs of a shop elsewhere -------------------------------------------------------------------------------------


def test_on_its_own_policy_a_real_log_is_judged_as_it_was() -> None:
    """Uniform logs, their chances as they came: every estimator gives the mean of the clicks; a check of no more."""
    with gzip.open(bandit_logs(), "rt", newline="") as file:
        rows = [(float(row["click"]), float(row["propensity_score"])) for row in csv.DictReader(file)]
    clicks, chances = (np.array(column)[:, None] for column in zip(*rows, strict=True))
    log = Log(clicks, (1 / 34) / chances, np.arange(len(rows)))
    for one in (ips(log), snips(log), doubly_robust(log, np.full_like(clicks, 0.01), np.full_like(clicks, 0.01))):
        assert one.value == pytest.approx(clicks.mean(), rel=1e-6)
        assert one.low < clicks.mean() < one.high
        assert one.effective == pytest.approx(len(rows))
