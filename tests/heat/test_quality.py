"""What is impossible, and what is merely odd."""

from __future__ import annotations

import pytest

from heat.quality import dose_percent, pour_flags, refuse_volume


@pytest.mark.parametrize("volume_ul", [0, -1, 2_000_001, -(2**31)])
def test_impossible_volumes_are_refused(volume_ul: int) -> None:
    refusal = refuse_volume(volume_ul)
    assert refusal is not None
    assert refusal.reason == "impossible_volume"
    assert str(volume_ul) in refusal.detail


@pytest.mark.parametrize("volume_ul", [1, 2_000_000])
def test_possible_volumes_are_not(volume_ul: int) -> None:
    assert refuse_volume(volume_ul) is None


@pytest.mark.parametrize(
    ("volume_ul", "duration_ms", "flags"),
    [
        (60_000, 50, ()),
        (60_001, 50, ("large_pour",)),
        (3000, 49, ("short_pour",)),
        (60_001, 0, ("large_pour", "short_pour")),
    ],
)
def test_odd_pours_are_flagged(volume_ul: int, duration_ms: int, flags: tuple[str, ...]) -> None:
    assert pour_flags(volume_ul, duration_ms) == flags


@pytest.mark.parametrize(("since_ms", "percent"), [(None, 100), (0, 50), (899_999, 50), (900_000, 100)])
def test_an_earlier_dose_blunts_a_rating(since_ms: int | None, percent: int) -> None:
    assert dose_percent(since_ms) == percent
