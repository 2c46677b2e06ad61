"""A log's rows become estimates by hand, and what can't be told is left out."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest

from models.evaluation.estimates import SLATEWISE, SLOTWISE, off_policy
from models.evaluation.report import OffPolicy
from models.evaluation.statistics import Interval
from models.off_policy import Ratios
from tests.models.evaluation.figures import logged_visits

TRUE = Interval(value=0.9, low=0.8, high=1.0)


def _values(told: OffPolicy, ratios: str) -> dict[str, float]:
    return {one.estimator: one.value.value for one in told.estimates if one.ratios == ratios}


def test_rows_become_estimates() -> None:
    told = off_policy("burn", "model", logged_visits(), TRUE)
    assert (told.visits, told.logged, told.true) == (4, 0.75, TRUE)
    # slot 1: two pours in four, twice as likely; slot 2: one in four, half as likely
    assert _values(told, SLOTWISE) == {
        "IPS": 2 / 4 * 2 + 1 / 4 * 0.5,
        "SNIPS": 0.75,
        "DR": 0.9 + 2 * (2 / 4 - 0.5) + 0.5 * (1 / 4 - 0.25),
    }
    assert _values(told, SLATEWISE) == pytest.approx({"IPS": 0.75, "SNIPS": 0.75, "DR": 0.9 + 0.75 - 0.75})
    assert {one.effective_visits for one in told.estimates} == {4}


def test_intervals_are_about_customers_not_visits() -> None:
    """Each visit by somebody else, or all visits four times: the first is more to go by, the second nothing."""
    visits = logged_visits()
    width = {len(told): off_policy("burn", "model", told, TRUE).estimates[0].value for told in (visits, visits * 4)}
    assert width[4].low == pytest.approx(width[16].low, abs=1e-4)


def test_a_slot_of_which_the_log_says_nothing_normalises_nothing() -> None:
    unseen = [replace(visit, ratios=Ratios((2.0, 0.0), 0.0)) for visit in logged_visits()]
    told = off_policy("burn", "model", unseen, TRUE)
    assert set(_values(told, SLOTWISE)) == set(_values(told, SLATEWISE)) == {"IPS", "DR"}
    assert b"null" not in msgspec.json.encode(told)


def test_no_visits_tell_nothing() -> None:
    with pytest.raises(ValueError, match="no visits"):
        off_policy("burn", "model", [], TRUE)
