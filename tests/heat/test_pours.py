"""What was poured counts less with its age, as a profile does."""

from __future__ import annotations

from heat.pours import decayed


def test_a_pour_counts_half_after_thirty_days() -> None:
    counts = [("a", 1000, 1), ("a", 1030, 2), ("b", 970, 4)]
    assert decayed(counts, 1030) == {"a": 2.5, "b": 1.0}


def test_what_is_too_old_is_not_there() -> None:
    assert decayed([("a", 1, 1_000_000)], 30_000) == {}


def test_days_that_are_not_known_yet_count_whole() -> None:
    assert decayed([("a", -3, 2), ("b", 1031, 1)], 1030) == {"a": 2.0, "b": 1.0}
