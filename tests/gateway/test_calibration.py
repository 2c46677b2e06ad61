"""A flow meter's factor from three pours into a cylinder."""

from __future__ import annotations

import pytest

from gateway.calibration import MAX_SPREAD, Dose, factor
from heat.errors import DataError


def test_the_factor_is_that_of_all_pours_together() -> None:
    found = factor([Dose(2_000, 20.0), Dose(2_000, 20.4), Dose(1_000, 10.0)])
    assert found.pulses_per_litre == 99_206  # 5,000 pulses in 50.4 ml
    assert found.spread == pytest.approx((100 - 2_000 / 20.4) / ((100 + 100 + 2_000 / 20.4) / 3))


def test_exact_pours_have_no_spread() -> None:
    assert factor([Dose(2_060, 20.0)] * 3).pulses_per_litre == 103_000
    assert factor([Dose(2_060, 20.0)] * 3).spread == 0


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_pours_that_differ_by_too_much_are_refused(share: float) -> None:
    width = MAX_SPREAD * share
    doses = [Dose(100_000, 1_000 * (1 - width / 2)), Dose(100_000, 1_000.0), Dose(100_000, 1_000 * (1 + width / 2))]
    if share < 1:
        assert factor(doses).spread < MAX_SPREAD
        return
    with pytest.raises(DataError, match=r"the pours differ by 5.5%, more than 5%: 102.8, 100.0, 97.3 pulses per ml"):
        factor(doses)


@pytest.mark.parametrize(
    ("doses", "words"),
    [
        ([Dose(2_000, 20.0)] * 2, "2 test pours are too few"),
        ([Dose(2_000, 20.0)] * 2 + [Dose(0, 20.0)], "a test pour gave nothing"),
    ],
)
def test_too_few_or_empty_pours_are_refused(doses: list[Dose], words: str) -> None:
    with pytest.raises(DataError, match=words):
        factor(doses)
