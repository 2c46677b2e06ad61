"""A command has exactly one effect, whatever line, gateway and dispenser do; its end is known, or told as unknown."""

from __future__ import annotations

import os
import random
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from firmware_bridge.codec import encode_body
from firmware_bridge.framing import encode_frame
from firmware_bridge.messages import Command, PickInfo, Result
from firmware_bridge.verbs import AnyArguments, Calibrate, Identify, Lock, ShowPicks, TestPour
from gateway.clock import Now
from gateway.commands import QUESTIONS, QUEUE, CommandRefused, IdTaken
from gateway.order_queue import GREETED_MS, REST_MS
from gateway.orders import COPY_MS, KEPT_ROWS, LOG_SIZE, Order, insert
from gateway.store import Settings, Store, open_store
from gateway.transaction import Transaction
from tests.gateway.command_desk import NAME, Desk
from tests.hw_sim.test_commands import EFFECTS

T = TypeVar("T")
POUR = TestPour(nozzle=1, volume_ul=20_000)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = open_store(Settings(tmp_path / "store", "gw-1", ballast_bytes=0))
    yield opened
    opened.close()


@pytest.fixture
def desk(tmp_path: Path, store: Store) -> Desk:
    return Desk(tmp_path, store=store)


async def give(desk: Desk, arguments: AnyArguments, for_s: float = 60, number: int | None = None) -> str:
    """Give a command; its id."""
    command_id = None if number is None else bytes([number]) * 16
    order = await desk.commands.enqueue(NAME, arguments, for_s, asked_by="test", command_id=command_id)
    return order.id


# -- the whole way ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", EFFECTS)
async def test_a_command_is_done_and_what_was_measured_is_kept(desk: Desk, verb: str) -> None:
    arguments = EFFECTS[verb][0]
    command_id = await give(desk, arguments, number=1)
    order = await desk.settle(command_id)
    assert (order.state, order.detail) == ("done", "")
    assert desk.counts.begun == {command_id: 1}
    if isinstance(arguments, TestPour):
        assert order.measured is not None
        assert '"pulses":2000,"volume_ul":20000' in order.measured
    if isinstance(arguments, Calibrate):
        assert order.measured == '{"before":100000,"now":98000}'
    assert not desk.commands.open


@pytest.mark.parametrize("seed", range(int(os.environ.get("PICANTE_TRIES", "8"))))
async def test_one_effect_on_a_bad_line_with_kills_and_cuts(tmp_path: Path, store: Store, seed: int) -> None:
    """A random walk: copies and answers are lost, doubled and late, the daemon is killed, the power fails."""
    rng = random.Random(seed)
    desk = Desk(tmp_path, store)
    verbs = [verb for number, verb in enumerate(rng.sample(sorted(EFFECTS), 6)) if verb != "set_key" or number == 0]
    given = [await give(desk, EFFECTS[verb][0], rng.choice([5, 20, 120]), n) for n, verb in enumerate(verbs, start=1)]
    for _ in range(600):
        await _rough_step(desk, rng)
        if all(desk.order(command_id).ended_ms is not None for command_id in given):
            break
    desk.bench.customer, desk.kill_at = False, None
    settled = [await desk.settle(command_id) for command_id in given]
    desk.down.extend(desk.sent)  # every copy that was ever sent comes once more, from some broker's queue
    for _ in range(10):
        await desk.step()
    for order in settled:
        told = f"seed {seed}: {desk.order(order.id)}, which was begun {desk.counts.begun.get(order.id, 0)} times"
        assert desk.order(order.id).state == order.state or order.state == "expired", told
        _check_effects(desk.order(order.id), desk.counts.begun.get(order.id, 0), told)


def _check_effects(order: Order, begun: int, told: str) -> None:
    if order.state == "done":
        assert begun == 1 or (order.verb == "reboot" and begun == 0), told  # a cut of the power is a start, too
    elif order.state in {"refused", "expired", "dropped", "unsupported"}:
        assert begun == 0, told
    else:
        assert order.state in {"interrupted", "failed"}, told
        assert begun <= 1, told


async def _rough_step(desk: Desk, rng: random.Random) -> None:
    desk.pass_time(rng.choice([100, 500, 1_000]))
    desk.bench.customer = rng.random() < 0.1
    if rng.random() < 0.15:
        desk.kill_at = rng.randint(1, 6)
    if rng.random() < 0.15:
        desk.bench.eeprom.cut_next_write(rng.randint(0, 4096))
    if rng.random() < 0.05:
        desk.power_cut()
    if rng.random() < 0.05:
        desk.online = not desk.online
        desk.greet()
    await desk.look()
    for _ in range(len(desk.down)):
        _carry(rng, desk.down, desk.take)
    for _ in range(len(desk.up)):
        _carry(rng, desk.up, lambda result: desk.commands.resulted(NAME, result))
    desk.dispenser_turn()
    await desk.look()


def _carry(rng: random.Random, queue: deque[T], deliver: Callable[[T], None]) -> None:
    """The fate of a message: lost, late and out of order, doubled, or as it should be."""
    message, chance = queue.popleft(), rng.random()
    if 0.3 <= chance < 0.5:
        queue.append(message)
    elif chance >= 0.5:
        deliver(message)
        if chance < 0.6:
            deliver(message)


@pytest.mark.parametrize("kill_at", range(1, 8))
async def test_the_daemon_is_killed_before_and_after_each_of_its_writes(desk: Desk, kill_at: int) -> None:
    command_id = await give(desk, POUR)
    desk.kill_at = kill_at
    order = await desk.settle(command_id)
    assert order.state == "done"
    assert desk.counts.begun == {command_id: 1}
    assert desk.bench.left_ml() == pytest.approx(730)


@pytest.mark.parametrize("lost", range(4))
async def test_answers_are_lost_at_each_step(desk: Desk, lost: int) -> None:
    """The first copies, and what is said in answer, go nowhere."""
    command_id = await give(desk, POUR)
    for turn in range(24):
        desk.pass_time(500)
        await desk.look()
        while desk.down:
            copy = desk.down.popleft()
            if turn >= 2 * lost:
                desk.take(copy)
        desk.dispenser_turn()
        if turn < 16:
            desk.up.clear()
    assert desk.counts.begun == {command_id: 1}
    assert desk.order(command_id).ended_ms is None
    order = await desk.settle(command_id)
    assert order.state == "done"
    assert desk.counts.begun == {command_id: 1}


async def test_both_sides_start_anew_while_it_pours(desk: Desk) -> None:
    command_id = await give(desk, POUR)
    await desk.step()
    assert desk.order(command_id).state == "running"
    desk.restart_gateway()
    desk.pass_time(1_000)
    desk.power_cut()
    order = await desk.settle(command_id)
    assert (order.state, desk.counts.begun) == ("interrupted", {command_id: 1})
    assert "power" in order.detail


# -- time -------------------------------------------------------------------------------------------------------------


async def test_it_waits_for_a_dispenser_that_is_away(desk: Desk) -> None:
    desk.online = False
    command_id = await give(desk, Lock(locked=True), 600)
    for _ in range(20):
        await desk.step()
    assert (desk.order(command_id).state, desk.sent) == ("queued", [])
    desk.restart_gateway()
    desk.online = True
    desk.greet()
    assert (await desk.settle(command_id)).state == "done"


async def test_what_nobody_came_for_is_dropped_with_a_word(desk: Desk) -> None:
    desk.online = False
    command_id = await give(desk, POUR, 5)
    order = await desk.settle(command_id)
    assert (order.state, order.detail) == (
        "dropped",
        "its time was over before it could be sent: the dispenser was away",
    )
    desk.online = True
    desk.greet()
    await desk.step()
    assert desk.sent == []


async def test_what_was_sent_is_asked_after_when_its_time_is_over(desk: Desk) -> None:
    command_id = await give(desk, POUR, 5)
    desk.pass_time(100)
    await desk.look()
    desk.take(desk.down.popleft())  # and the cable is pulled
    desk.online = False
    desk.restart_gateway()
    for _ in range(20):
        desk.pass_time(1_000)
        desk.dispenser_turn()
        await desk.look()
    order = desk.order(command_id)
    assert (order.state, order.ended_ms) == ("unknown", None)
    assert "has not said what became of it" in order.detail
    assert [each.id for each in desk.commands.unanswered()] == [command_id]
    desk.restart_gateway()
    desk.up.clear()
    desk.online = True
    desk.greet()
    order = await desk.settle(command_id)
    assert order.state == "done", "it had been done, five seconds after it was given"
    assert desk.counts.begun == {command_id: 1}


async def test_what_was_lost_on_the_way_has_expired(desk: Desk) -> None:
    command_id = await give(desk, POUR, 5)
    desk.pass_time(100)
    await desk.look()
    desk.down.clear()
    desk.online = False
    for _ in range(10):
        await desk.step(1_000)
    assert desk.order(command_id).state == "unknown"
    desk.power_cut()
    desk.online = True
    desk.greet()
    assert (await desk.settle(command_id)).state == "expired"
    assert desk.counts.begun == {}


async def test_one_that_never_answers_is_let_be_and_its_late_word_still_counts(desk: Desk) -> None:
    first, second = await give(desk, POUR, 5), await give(desk, Identify(seconds=1), 6 * QUESTIONS)
    for _ in range(QUESTIONS + 10):
        desk.pass_time(1_000)
        await desk.look()
        desk.down.clear()
        if desk.order(first).ended_ms is not None:
            break
    order = desk.order(first)
    assert (order.state, desk.commands.unhappy[NAME].id) == ("unknown", first)
    assert f"asked {QUESTIONS} times" in order.detail
    assert (await desk.settle(second)).state == "done"
    desk.commands.resulted(NAME, Result(command=bytes.fromhex(first), outcome="done"))
    await desk.look()
    assert desk.order(first).state == "done"
    desk.commands.resulted(NAME, Result(command=bytes.fromhex(second), outcome="failed"))
    await desk.look()
    assert desk.order(second).state == "done", "what it said before stands"


async def test_a_copy_is_good_for_a_minute_though_the_command_is_for_an_hour(desk: Desk) -> None:
    await give(desk, Lock(locked=True), 3_600)
    await desk.look()
    [copy] = desk.sent
    assert copy.expires_uptime_ms == desk.uptime_ms + COPY_MS


async def test_a_dispenser_s_clock_that_is_ahead_is_looked_at_again(desk: Desk) -> None:
    desk.bench.now_ms += 2 * COPY_MS  # after a month on one link
    command_id = await give(desk, Lock(locked=True), 3_600)
    order = await desk.settle(command_id)
    assert (order.state, desk.invited) == ("done", 1)


async def test_after_an_hour_on_one_link_a_dispenser_is_asked_for_its_uptime_first(desk: Desk) -> None:
    """Reckoned from last month's HELLO, a slow clock's would be too high, and copies good for too long."""
    desk.pass_time(GREETED_MS + 1)
    desk.bench.now_ms -= COPY_MS
    command_id = await give(desk, Lock(locked=True), 3_600)
    await desk.look()
    assert (desk.invited, desk.sent) == (1, [])
    await desk.settle(command_id)
    [copy] = desk.sent
    assert copy.expires_uptime_ms <= desk.uptime_ms + COPY_MS


async def test_who_waits_for_the_pace_is_told_for_how_long_and_dropped_with_that_word(desk: Desk) -> None:
    given = [await give(desk, Identify(seconds=1), 40) for _ in range(LOG_SIZE + 1)]
    for _ in range(30):
        await desk.step(100)
    last = [desk.order(each) for each in given[-2:]]
    for order in last:
        first_ms = desk.order(given[0]).ended_boot_ms
        assert first_ms is not None
        left_s = (first_ms + REST_MS - desk.clock.now().boot_ms) / 1000
        assert left_s <= desk.commands.rest_s(order) <= left_s + 3
    desk.pass_time(REST_MS - 20_000)
    assert 0 < desk.commands.rest_s(last[0]) < 20
    await desk.look()
    for order in last:
        word = "its time was over before it could be sent: 15 commands in 65 s are the most"
        assert (desk.order(order.id).state, desk.order(order.id).detail) == ("dropped", word)
    assert desk.commands.rest_s(last[0]) == 0, "it waits no more"


async def test_fifteen_others_at_most_while_copies_of_one_are_good(desk: Desk) -> None:
    """The dispenser remembers sixteen: none is forgotten that could be carried out again."""
    given = [await give(desk, Identify(seconds=1), 600) for _ in range(LOG_SIZE + 4)]
    for _ in range(30):
        await desk.step(100)
    assert [desk.order(each).state for each in given] == ["done"] * (LOG_SIZE - 1) + ["queued"] * 5
    desk.restart_gateway()
    await desk.step(100)
    assert desk.order(given[-1]).state == "queued", "a new daemon remembers, too"
    oldest = [copy for copy in desk.sent if copy.id.hex() == given[0]]
    for copy in oldest:
        desk.take(copy)
    assert desk.counts.begun[given[0]] == 1
    desk.pass_time(REST_MS)
    assert (await desk.settle(given[-1])).state == "done"
    for copy in oldest:
        desk.take(copy)
    assert desk.counts.begun[given[0]] == 1, "it is forgotten by now, and its copies have expired"


NOW = Now(wall_ms=2_000_000_000_000, boot_ms=50_000, known=True)
ORDER = Order(
    id="ab" * 16,
    dispenser=NAME,
    verb="lock",
    arguments=b"\x80",
    asked_by="test",
    created_ms=NOW.wall_ms - 10_000,
    lifetime_ms=60_000,
    expires_ms=NOW.wall_ms + 50_000,
    expires_boot=3,
    expires_boot_ms=90_000,
)


def test_what_is_left_of_its_time() -> None:
    assert ORDER.left_ms(NOW, 3) == 40_000, "by the uptime, which nobody can set"
    assert ORDER.left_ms(NOW, 4) == 10_000, "after a boot by the wall, and no more than since that boot"
    assert ORDER.left_ms(replace(NOW, wall_ms=NOW.wall_ms + 45_000), 4) == 5_000
    assert ORDER.left_ms(replace(NOW, known=False), 4) is None, "that remains to be seen"
    assert ORDER.left_ms(replace(NOW, known=False, boot_ms=60_000), 4) == 0, "so much has passed in any case"
    assert replace(ORDER, expires_ms=None).left_ms(NOW, 4) == 0, "it was given when nobody knew the time"


async def test_the_machine_starts_anew_without_a_clock(desk: Desk) -> None:
    desk.online = False
    command_id = await give(desk, Lock(locked=True), 60)
    desk.boot = 2
    desk.clock = desk.new_clock(known=False)
    desk.restart_gateway()
    desk.online = True
    desk.greet()
    await desk.step()
    assert (desk.order(command_id).state, desk.sent) == ("queued", []), "how long it was off, nobody knows"
    assert (await desk.settle(command_id)).state == "dropped"


# -- bounds, and what is refused --------------------------------------------------------------------------------------


async def test_a_dispenser_of_version_1_has_no_commands(desk: Desk) -> None:
    desk.version = 1
    order = await desk.settle(await give(desk, Identify(seconds=1)))
    assert order.state == "unsupported"
    assert "update its firmware" in order.detail
    assert desk.sent == []


async def test_the_same_id_is_the_same_command(desk: Desk) -> None:
    first = await give(desk, Identify(seconds=1), number=7)
    assert await give(desk, Identify(seconds=1), number=7) == first
    with pytest.raises(IdTaken):
        await give(desk, Identify(seconds=2), number=7)
    await desk.settle(first)
    assert await give(desk, Identify(seconds=1), number=7) == first
    await desk.step()
    assert desk.counts.begun == {first: 1}


async def test_a_dispenser_that_is_forgotten_takes_its_queue_along(desk: Desk) -> None:
    sent, queued = await give(desk, POUR, 600), await give(desk, Lock(locked=True), 600)
    await desk.look()
    desk.online = False
    await desk.commands.drop(NAME)
    await desk.look()
    assert [desk.order(each).state for each in (sent, queued)] == ["unknown", "dropped"]
    assert desk.order(queued).detail == "the dispenser was forgotten here"
    assert (desk.commands.open, desk.commands.unhappy) == ({}, {}), "nobody is to be warned of it any more"


async def test_one_copy_that_was_late_ends_nothing(desk: Desk) -> None:
    """The link breaks after it: another copy may still be on its way."""
    command_id = await give(desk, POUR, 600)
    await desk.look()
    desk.online = False
    desk.commands.resulted(NAME, Result(command=bytes.fromhex(command_id), outcome="expired"))
    await desk.look()
    assert desk.order(command_id).state == "sent"
    desk.online = True
    desk.greet()
    assert (await desk.settle(command_id)).state == "done"


async def test_what_runs_for_longer_than_its_time_is_not_unknown(desk: Desk) -> None:
    command_id = await give(desk, TestPour(nozzle=1, volume_ul=100_000), 2)
    for _ in range(10):
        await desk.step(1_000)
        assert desk.order(command_id).state == "running"
    assert (await desk.settle(command_id)).state == "done"


async def test_a_queue_has_an_end(desk: Desk) -> None:
    desk.online = False
    for _ in range(QUEUE):
        await give(desk, Identify(seconds=1))
    with pytest.raises(CommandRefused, match=f"{QUEUE} commands wait"):
        await give(desk, Identify(seconds=1))
    with pytest.raises(CommandRefused, match="good for 1 s to"):
        await give(desk, Identify(seconds=1), 0)


async def test_what_no_frame_holds_is_refused(desk: Desk) -> None:
    long = PickInfo(1, "s" * 32, "n" * 32, 7_000, "w" * 48)
    await give(desk, ShowPicks(pick_id="p" * 32, picks=(long,) * 6, seconds=60))
    await desk.look()
    assert len(encode_frame(2, Command.number, encode_body(desk.sent[0]))) < 1_100
    with pytest.raises(CommandRefused, match="bytes"):
        await give(desk, ShowPicks(pick_id="p" * 32, picks=(long,) * 9, seconds=60))


async def test_old_ones_are_forgotten(desk: Desk) -> None:
    command_id = await give(desk, Identify(seconds=1))
    order = await desk.settle(command_id)
    copies = [replace(order, id=f"{number:032x}") for number in range(KEPT_ROWS)]

    def fill(tx: Transaction) -> None:
        for copy in copies:
            insert(tx, copy)

    desk.store.write(fill).result()
    desk.pass_time(REST_MS)
    await desk.settle(await give(desk, Identify(seconds=1)))
    with pytest.raises(AssertionError):
        desk.order(command_id)


async def test_a_copy_tells_the_arguments_that_were_given(desk: Desk) -> None:
    await give(desk, Calibrate(nozzle=2, pulses_per_litre=98_500), number=3)
    await desk.look()
    [copy] = desk.sent
    assert (copy.id, copy.verb, copy.arguments) == (b"\x03" * 16, "calibrate", {1: 2, 2: 98_500})
