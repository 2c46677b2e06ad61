"""Edge and cloud on the same customer: agreed, differing, lacking, or not to be told yet."""

from __future__ import annotations

import msgspec
import pytest

from cloud import digests
from cloud.digests import PATIENCE_MS, VISIBLE_MS, Comparison, Held, Key
from cloud.fleet import Heard
from cloud_sync.published import DigestRow
from tests.cloud.test_fleet import NOW_MS, WELL

ANA, BEA = (f"p1-{letter * 32}" for letter in "ab")


def tell(n: int = 5, digest: str = "d5", subject: str = ANA, at_ms: int = NOW_MS) -> Heard:
    return Heard(msgspec.structs.replace(WELL, digests=(DigestRow(subject, n, digest),)), at_ms)


class Cloud:
    """A state that a test sets; at its end, unless said otherwise."""

    def __init__(self, n: int = 5, digest: str = "d5") -> None:
        self.state: Held | None = Held(100, n, digest)
        self.ended = True
        self.comparison = Comparison(lambda subject: int(subject == BEA))
        self.asked: list[tuple[int, Key]] = []

    def look(self, after_ms: int = 0) -> list[str]:
        def held(partition: int, key: Key) -> Held | None:
            self.asked.append((partition, key))
            return self.state

        found = self.comparison.look(held, lambda _partition, _position: self.ended, NOW_MS + after_ms)
        return [outcome for _, outcome in found]


def test_the_same_is_equal_and_is_compared_once() -> None:
    cloud = Cloud()
    cloud.comparison.hear(tell(subject=BEA))
    assert cloud.look() == ["equal"]
    assert cloud.look() == []
    assert cloud.asked == [(1, Key("gw-1", BEA))]
    assert not cloud.comparison.differences


def test_as_many_with_other_sums_differ_until_they_agree() -> None:
    cloud = Cloud(digest="other")
    cloud.comparison.hear(tell())
    assert cloud.look() == ["differs"]
    [difference] = cloud.comparison.differences.values()
    assert (difference.key, difference.edge_n, difference.cloud_n, difference.since_ms) == (("gw-1", ANA), 5, 5, NOW_MS)
    cloud.comparison.hear(tell(at_ms=NOW_MS + 9))
    assert cloud.look() == ["differs"]
    assert cloud.comparison.differences[Key("gw-1", ANA)].since_ms == NOW_MS, "since it began"
    cloud.state = Held(101, 6, "d6")
    cloud.comparison.hear(tell(6, "d6"))
    assert cloud.look() == ["equal"]
    assert not cloud.comparison.differences


def test_more_in_the_cloud_can_not_be_told_and_clears_nothing() -> None:
    cloud = Cloud(digest="other")
    cloud.comparison.hear(tell())
    cloud.look()
    cloud.state = Held(101, 6, "d6")
    cloud.comparison.hear(tell())
    assert cloud.look() == ["newer"]
    assert cloud.comparison.differences


def test_fewer_lack_only_once_nothing_can_be_on_its_way() -> None:
    cloud = Cloud(n=4, digest="d4")
    cloud.comparison.hear(tell())
    assert cloud.look(VISIBLE_MS - 1) == [], "an open transaction may hide it"
    cloud.ended = False
    assert cloud.look(VISIBLE_MS) == [], "the state has still to read"
    cloud.ended = True
    assert cloud.look(VISIBLE_MS) == ["lacks"]
    [difference] = cloud.comparison.differences.values()
    assert (difference.outcome, difference.edge_n, difference.cloud_n) == ("lacks", 5, 4)


def test_a_state_of_another_process_is_waited_for_and_then_left_alone() -> None:
    cloud = Cloud()
    cloud.comparison.hear(tell())
    cloud.state, there = None, cloud.state
    assert cloud.look(PATIENCE_MS) == []
    assert cloud.look(PATIENCE_MS + 1) == []
    cloud.state = there
    assert cloud.look() == [], "it was dropped"


def test_what_waits_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MOST", 3)
    cloud = Cloud(digest="other")
    for number in range(5):
        cloud.comparison.hear(tell(subject=f"p1-{number:032x}"))
    assert cloud.look() == ["differs"] * 3
    assert [key.subject[-1] for key in cloud.comparison.differences] == ["2", "3", "4"]
