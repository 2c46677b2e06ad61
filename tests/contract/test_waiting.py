"""The polling that every other test leans on: it returns what came, and names what didn't."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from tests.waiting import TooLate, patience_s, wait_until, wait_until_async


def counted() -> Iterator[int]:
    yield from range(10)


def test_it_returns_the_first_truthy_value() -> None:
    looks = counted()
    assert wait_until(lambda: next(looks) >= 3 and "here", 5, "three looks") == "here"


def test_it_names_what_did_not_come() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.2 s: the ACK \(last seen: 0\)"):
        wait_until(lambda: 0, 0.05, "the ACK")


def test_short_deadlines_are_those_of_a_machine_at_rest() -> None:
    assert [patience_s(deadline_s) for deadline_s in (0, 1, 5, 10, 20, 90)] == [0, 4, 20, 20, 20, 90]


async def test_what_is_promised_is_exact() -> None:
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the ACK"):
        wait_until(lambda: 0, 0.05, "the ACK", promised=True)
    with pytest.raises(AssertionError, match=r"not within 0\.05 s: the ACK"):
        await wait_until_async(lambda: 0, 0.05, "the ACK", promised=True)


def test_it_looks_once_though_there_is_no_time() -> None:
    assert wait_until(lambda: True, 0, "what is there already")


async def test_what_is_dear_to_look_at_is_looked_at_less_often() -> None:
    looks = []

    def dear() -> bool:
        looks.append(began_s := time.process_time())
        while time.process_time() < began_s + 0.02:
            pass
        return False

    with pytest.raises(TooLate):
        wait_until(dear, 1.0, "what never comes", promised=True)
    with pytest.raises(TooLate):
        await wait_until_async(dear, 1.0, "what never comes", promised=True)
    assert len(looks) < 20, "at a hundredth of a second there would be sixty"


async def test_it_takes_functions_and_coroutine_functions() -> None:
    looks = counted()

    async def look() -> bool:
        return next(looks) >= 3

    assert await wait_until_async(look, 5, "three looks")
    assert await wait_until_async(lambda: next(looks) >= 7, 5, "four more")


async def test_it_cancels_a_look_that_hangs() -> None:
    with pytest.raises(AssertionError, match="not within 0.2 s: an answer"):
        await wait_until_async(asyncio.Event().wait, 0.05, "an answer")


async def test_it_leaves_the_time_limits_of_others_alone() -> None:
    async def gives_up() -> bool:
        raise TimeoutError("the broker's own")

    with pytest.raises(TimeoutError, match="the broker's own"):
        await wait_until_async(gives_up, 5, "never")
