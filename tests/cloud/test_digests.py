"""Edge and cloud on the same customer: agreed, differing, lacking, or not to be told yet."""

from __future__ import annotations

import msgspec
import pytest

from cloud import digests
from cloud.digests import END, PATIENCE_MS, VISIBLE_MS, Comparison, Held, Key, Row
from cloud.fleet import Heard
from cloud_sync.published import DigestRow
from tests.cloud.test_fleet import NOW_MS, WELL

ANA, BEA = (f"p1-{letter * 32}" for letter in "ab")


def tell(n: int = 5, digest: str = "d5", subject: str = ANA, at_ms: int = NOW_MS, epoch: int = 1) -> Heard:
    told = msgspec.structs.replace(WELL, digests=(DigestRow(subject, n, digest),), epoch=epoch, confirmed=40)
    return Heard(told, at_ms)


class Cloud:
    """A state that a test sets, and the log that it is of; at its end, unless said otherwise."""

    def __init__(self, n: int = 5, digest: str = "d5") -> None:
        self.state: Held | None = Held(100, 99, n, digest)
        self.ends = 100
        self.records: dict[int, Row | None] = {99: Row("gw-1", 1, 41)}
        self.reachable = True
        self.comparison = Comparison(lambda subject: int(subject == BEA))
        self.asked: list[tuple[int, Key]] = []

    def end(self, _partition: int) -> int:
        return self.ends

    def first(self, _partition: int, offset: int) -> tuple[int, Row | None] | None:
        found = min((each for each in self.records if each >= offset), default=END)
        return (found, self.records.get(found)) if self.reachable else None

    def look(self, after_ms: int = 0) -> list[str]:
        def held(partition: int, key: Key) -> Held | None:
            self.asked.append((partition, key))
            return self.state

        return [outcome for _, outcome in self.comparison.look(held, self, NOW_MS + after_ms)]


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
    assert (difference.key, difference.told.n, difference.cloud_n, difference.since_ms) == (("gw-1", ANA), 5, 5, NOW_MS)
    cloud.comparison.hear(tell(at_ms=NOW_MS + 9))
    assert cloud.look() == ["differs"]
    assert cloud.comparison.differences[Key("gw-1", ANA)].since_ms == NOW_MS, "since it began"
    cloud.state = Held(101, 99, 6, "d6")
    cloud.comparison.hear(tell(6, "d6"))
    assert cloud.look() == ["equal"]
    assert not cloud.comparison.differences


def test_more_in_the_cloud_can_not_be_told_and_clears_nothing() -> None:
    cloud = Cloud(digest="other")
    cloud.comparison.hear(tell())
    cloud.look()
    cloud.state = Held(101, 99, 6, "d6")
    cloud.comparison.hear(tell())
    assert cloud.look() == ["newer"]
    assert cloud.comparison.differences


@pytest.mark.parametrize(
    ("last", "epoch", "outcome"),
    [
        (Row("gw-1", 1, 40), 1, "exceeds"),
        (Row("gw-1", 1, 41), 1, "newer"),
        (Row("gw-2", 1, 1), 1, "newer"),
        (None, 1, "newer"),
        (Row("gw-1", 1, 40), 2, "newer"),
        (Row("gw-1", 2, 40), 2, "newer"),
    ],
)
def test_more_in_the_cloud_than_was_ever_sent_is_told(last: Row | None, epoch: int, outcome: str) -> None:
    """The newest event that is folded was told of, so all were; a gateway that began anew has lost what it sent."""
    cloud = Cloud(n=6, digest="d6")
    cloud.records = {99: last}
    cloud.comparison.hear(tell(epoch=epoch))
    assert cloud.look() == [outcome]
    assert [one.outcome for one in cloud.comparison.differences.values()] == [outcome] * (outcome == "exceeds")


def test_the_newest_event_that_kafka_deleted_or_does_not_give_tells_nothing() -> None:
    cloud = Cloud(n=6, digest="d6")
    cloud.records = {150: Row("gw-1", 1, 1)}
    cloud.comparison.hear(tell())
    assert cloud.look() == ["newer"]
    cloud.reachable = False
    cloud.comparison.hear(tell())
    assert cloud.look() == []
    assert cloud.look(PATIENCE_MS) == []
    assert cloud.look(PATIENCE_MS + 1) == ["not_compared"]


def test_fewer_lack_only_once_nothing_can_be_on_its_way() -> None:
    cloud = Cloud(n=4, digest="d4")
    cloud.comparison.hear(tell())
    assert cloud.look(VISIBLE_MS - 1) == [], "an open transaction may hide it"
    cloud.records[100], cloud.ends = None, 101
    assert cloud.look(VISIBLE_MS) == [], "the state has still to read"
    cloud.reachable = False
    assert cloud.look(VISIBLE_MS) == [], "nobody knows"
    cloud.reachable = True
    del cloud.records[100]
    assert cloud.look(VISIBLE_MS) == ["lacks"], "a mark of a transaction is nothing to read"
    [difference] = cloud.comparison.differences.values()
    assert (difference.outcome, difference.told.n, difference.cloud_n) == ("lacks", 5, 4)


def test_a_loss_is_told_while_its_partition_has_traffic() -> None:
    """What counts is where the log ended a minute after the heartbeat, not where it ends now."""
    cloud = Cloud(n=4, digest="d4")
    cloud.comparison.hear(tell())
    cloud.ends = 120
    cloud.records |= dict.fromkeys(range(100, 5_000))
    assert cloud.look(VISIBLE_MS) == []
    cloud.ends, cloud.state = 2_000, Held(119, 99, 4, "d4")
    assert cloud.look(VISIBLE_MS + 2_000) == [], "one is still to come"
    cloud.state = Held(120, 99, 4, "d4")
    assert cloud.look(VISIBLE_MS + 4_000) == ["lacks"]


def test_what_another_one_had_found_is_kept_and_compared_again() -> None:
    before = Cloud(digest="other")
    before.comparison.hear(tell())
    before.comparison.hear(tell(subject=BEA))
    before.look()
    after = Cloud(n=6, digest="d6")
    after.comparison.go_on(before.comparison.differences.values())
    after.comparison.hear(tell(3, "d3", at_ms=NOW_MS - 1))
    assert after.look() == ["newer", "newer"]
    assert after.comparison.differences == before.comparison.differences
    after.state = Held(100, 99, 5, "d5")
    after.comparison.go_on(before.comparison.differences.values())
    after.comparison.hear(tell(3, "d3", at_ms=NOW_MS - 1))
    assert after.look() == ["equal", "equal"], "an older digest does not count"
    assert not after.comparison.differences


def test_what_differs_in_a_partition_that_is_lost_is_its_new_owners() -> None:
    cloud = Cloud(digest="other")
    cloud.comparison.hear(tell())
    cloud.comparison.hear(tell(subject=BEA))
    cloud.look()
    cloud.comparison.lose({1})
    assert list(cloud.comparison.differences) == [Key("gw-1", ANA)]


def test_a_state_of_another_process_is_waited_for_and_then_left_alone() -> None:
    cloud = Cloud()
    cloud.comparison.hear(tell())
    cloud.state, there = None, cloud.state
    assert cloud.look(PATIENCE_MS) == []
    assert cloud.comparison.waiting(NOW_MS + VISIBLE_MS - 1) == 0, "it may be on its way"
    assert cloud.comparison.waiting(NOW_MS + VISIBLE_MS) == 1
    assert cloud.look(2 * PATIENCE_MS) == []
    assert cloud.look(2 * PATIENCE_MS + 1) == ["not_compared"], "since it was looked at first"
    cloud.state = there
    assert cloud.look() == [], "it was dropped"


def test_what_waits_is_bounded_and_the_oldest_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digests, "MOST", 3)
    cloud = Cloud(digest="other")
    for number in range(5):
        cloud.comparison.hear(tell(subject=f"p1-{number:032x}"))
    assert cloud.look() == ["differs"] * 3
    assert [key.subject[-1] for key in cloud.comparison.differences] == ["2", "3", "4"]
