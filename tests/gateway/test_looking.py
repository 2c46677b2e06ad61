"""Somebody looks at sensors: they see what comes, the dispenser is asked to read often, and a slow eye misses some."""

from __future__ import annotations

from firmware_bridge.messages import Series
from gateway.looking import LOOK_EVERY_S, LOOK_S, QUEUED, Came, Looking


class Line:
    """An open link that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def look(self, seconds: int) -> None:
        self.asked.append(seconds)


def came(at_ms: int) -> Came:
    return Came(at_ms, 100, (Series(2, 1, (700,)),))


async def test_who_looks_sees_what_comes_from_there() -> None:
    looking = Looking(lambda _dispenser: None)
    with looking.at("bar-1") as eye, looking.at("bar-2") as other:
        looking.came("bar-1", came(5))
        assert await eye.next(1) == came(5)
        assert await other.next(0.01) is None
    looking.came("bar-1", came(6))
    assert await eye.next(0.01) is None, "it does not look any more"


async def test_a_slow_eye_loses_the_oldest_and_knows() -> None:
    looking = Looking(lambda _dispenser: None)
    with looking.at("bar-1") as eye:
        for at_ms in range(QUEUED + 3):
            looking.came("bar-1", came(at_ms))
        assert eye.missed == 3
        assert await eye.next(1) == came(3)


def test_a_dispenser_is_asked_now_and_then_for_as_long_as_somebody_looks() -> None:
    line, now_s = Line(), [0.0]
    looking = Looking({"bar-1": line}.get, lambda: now_s[0])
    looking.ask("bar-9")  # nobody is there
    for _ in range(100):
        looking.ask("bar-1")
        now_s[0] += LOOK_EVERY_S / 10
    assert line.asked == [LOOK_S] * 10
    assert LOOK_S > 3 * LOOK_EVERY_S, "one that is lost is no gap"
    with looking.at("bar-1"):
        pass
    looking.ask("bar-1")
    assert len(line.asked) == 11, "who looks again waits for nothing"
