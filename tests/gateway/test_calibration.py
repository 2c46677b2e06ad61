"""A flow meter's factor from three pours into a cylinder."""

from __future__ import annotations

import pytest

from gateway.calibration import MAX_OFF, MAX_SPREAD, Dose, factor
from heat.errors import DataError


def poured(pulses: int, volume_ml: float) -> Dose:
    """A pour of which the dispenser believes what the cylinder says."""
    return Dose(pulses, volume_ml, volume_ml)


def test_the_factor_is_that_of_all_pours_together() -> None:
    found = factor([poured(2_000, 20.0), poured(2_000, 20.4), poured(1_000, 10.0)])
    assert found.pulses_per_litre == 99_206  # 5,000 pulses in 50.4 ml
    assert found.spread == pytest.approx((100 - 2_000 / 20.4) / ((100 + 100 + 2_000 / 20.4) / 3))


def test_exact_pours_have_no_spread() -> None:
    assert factor([poured(2_060, 20.0)] * 3).pulses_per_litre == 103_000
    assert factor([poured(2_060, 20.0)] * 3).spread == 0


@pytest.mark.parametrize("share", [0.9, 1.1])
def test_pours_that_differ_by_too_much_are_refused(share: float) -> None:
    width = MAX_SPREAD * share
    doses = [
        poured(100_000, 1_000 * (1 - width / 2)),
        poured(100_000, 1_000.0),
        poured(100_000, 1_000 * (1 + width / 2)),
    ]
    if share < 1:
        assert factor(doses).spread < MAX_SPREAD
        return
    with pytest.raises(DataError, match=r"the pours differ by 5.5%, more than 5%: 102.8, 100.0, 97.3 pulses per ml"):
        factor(doses)


@pytest.mark.parametrize(
    ("doses", "words"),
    [
        ([poured(2_000, 20.0)] * 2, "2 test pours are too few"),
        ([poured(2_000, 20.0)] * 2 + [poured(0, 20.0)], "a test pour gave nothing"),
    ],
)
def test_too_few_or_empty_pours_are_refused(doses: list[Dose], words: str) -> None:
    with pytest.raises(DataError, match=words):
        factor(doses)


@pytest.mark.parametrize(
    ("read_ml", "words"),
    [
        (20 * (1 + MAX_OFF) + 0.1, r"pour 2 can't be 26.1 ml: the meter counted 20.0 ml"),
        (20 * (1 - MAX_OFF) - 0.1, r"pour 2 can't be 13.9 ml"),
        (200.0, r"pour 2 can't be 200 ml"),
        (0.5, r"pour 2 is less than 1 ml"),
    ],
)
def test_a_reading_that_can_t_be_is_refused_and_named(read_ml: float, words: str) -> None:
    with pytest.raises(DataError, match=words):
        factor([Dose(2_000, 20.0, 20.0), Dose(2_000, read_ml, 20.0), Dose(2_000, 20.0, 20.0)])


def test_a_meter_that_is_off_by_less_is_set_right() -> None:
    found = factor([Dose(2_000, 20 * (1 + MAX_OFF) - 0.1, 20.0)] * 3)
    assert found.pulses_per_litre == 77_220
