"""Time: stamps, waiting for the day, settling, giving up."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import msgspec
import pytest

from firmware_bridge.bodies import PouredBody
from gateway import housekeeping
from gateway.clock import DAY_MS, HOUR_MS, LEAP_MS, PLAUSIBLE_FROM_MS, STEP_MS, Clock, Now, Trust
from gateway.dating import register_boot, settle
from gateway.outbox import StoreOutbox
from gateway.store import Store
from gateway.transaction import Transaction, read_profile
from heat.events import Event, SequenceGap, Stamp
from heat.identity import EventId, session_subject
from tests.gateway.conftest import DAY, NOON_MS, Counter, HandClock

Query = Callable[[str], list[tuple[Any, ...]]]

POUR = PouredBody(nozzle=1, sauce="table-red", volume_ul=5000, duration_ms=900)
SESSION = session_subject("hot-bar-1", 7, 1)
YEAR_MS = 365 * DAY_MS


def days_of(store: Store, subject: str) -> dict[int, int]:
    profile = store.write(lambda tx: read_profile(tx.connection, subject)).result(20)
    return {key.day: sums.n for key, sums in profile.buckets.items()}


def known(clock: Clock, hand_clock: HandClock) -> Now:
    """The network sets the clock: from now on it is NOON."""
    hand_clock.wall_ms = NOON_MS
    now = clock.now()
    assert now.known
    return now


async def test_without_time_events_count_and_wait(
    counter: Counter, store: Store, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000  # 1970
    counter.send(POUR)
    await counter.settled(1)
    assert counter.acked == [1]
    assert rows("SELECT day, clock FROM events") == [(-boot, "unknown")]
    assert days_of(store, SESSION) == {-boot: 1}
    assert await StoreOutbox(store).read(0, 10) == []


async def test_when_time_becomes_known_sums_move_to_the_right_days(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000
    counter.uptime_ms = 100_000_000
    counter.send(POUR, age_ms=13 * 3_600_000)  # before midnight
    counter.send(POUR, age_ms=60_000)
    await counter.settled(2)
    now = known(clock, hand_clock)
    assert store.write(lambda tx: settle(tx, boot, now)).result(20) == 2
    assert days_of(store, SESSION) == {DAY - 1: 1, DAY: 1}
    times = rows("SELECT time_ms, day, clock FROM events ORDER BY position")
    assert abs(int(str(times[0][0])) - (NOON_MS - 13 * 3_600_000)) < 1000
    assert [row[1:] for row in times] == [(DAY - 1, "estimated"), (DAY, "estimated")]
    assert [row.position for row in await StoreOutbox(store).read(0, 10)] == [1, 2]


async def test_an_earlier_boot_that_never_knew_goes_up_marked(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000
    counter.send(POUR)
    await counter.settled(1)
    now = known(clock, hand_clock)
    store.write(lambda tx: settle(tx, boot + 1, now)).result(20)
    assert rows("SELECT day, clock FROM events") == [(DAY, "unknown")]
    assert days_of(store, SESSION) == {DAY: 1}


async def test_an_idle_gateway_has_no_work_and_a_long_wait_is_given_up(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    with closing(store.reader()) as reader:
        assert housekeeping.due(reader, clock.now(), boot) is None
    hand_clock.wall_ms = 12_345_000
    clock.recall(None, NOON_MS)
    keep_house(store, clock, boot)
    counter.send(POUR, age_ms=100 * HOUR_MS)  # how long ago it was is no waiting
    await counter.settled(1)
    keep_house(store, clock, boot)
    hand_clock.go_on(72 * HOUR_MS - 1)
    keep_house(store, clock, boot)
    assert rows("SELECT day FROM events") == [(-boot,)]
    hand_clock.go_on(1)
    keep_house(store, clock, boot)
    happened_ms = NOON_MS + 5_000_000 - 100 * HOUR_MS  # if this boot began with the newest event
    assert rows("SELECT time_ms, day, clock FROM events") == [(happened_ms, happened_ms // DAY_MS, "unknown")]


def keep_house(store: Store, clock: Clock, boot: int) -> None:
    """One round of it."""
    with closing(store.reader()) as reader:
        work = housekeeping.due(reader, clock.now(), boot, given_up=clock.waits_ms() == 0)
    if work is not None:
        store.write(work).result(20)


@pytest.mark.parametrize("known_ms", [0, NOON_MS])
async def test_two_boots_without_time_wait_and_are_dated_by_no_clock_that_was_not_set(
    counter: Counter, store: Store, hand_clock: HandClock, boot: int, rows: Query, known_ms: int
) -> None:
    hand_clock.wall_ms = 12_345_000
    counter.send(POUR)
    await counter.settled(1)
    second = store.write(lambda tx: register_boot(tx, "boot-b", 20_000)).result(20)
    assert (second.number, second.newest_ms) == (boot + 1, 0)
    hand_clock.wall_ms = hand_clock.boot_ms = 20_000
    clock = Clock("system", hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))
    clock.recall(None, known_ms)
    keep_house(store, clock, second.number)
    hand_clock.go_on(72 * HOUR_MS - 1)
    keep_house(store, clock, second.number)
    assert rows("SELECT day FROM events") == [(-boot,)]
    hand_clock.go_on(1)
    keep_house(store, clock, second.number)
    (found,) = rows("SELECT time_ms, clock FROM events")
    assert found == (max(known_ms, PLAUSIBLE_FROM_MS) + hand_clock.boot_ms, "unknown")


def test_the_wait_is_not_given_up_just_before_a_doubt_ends(clock: Clock, hand_clock: HandClock) -> None:
    clock.recall(None, NOON_MS)
    hand_clock.wall_ms = 12_345_000
    clock.now()
    hand_clock.go_on(24 * HOUR_MS)
    hand_clock.wall_ms = NOON_MS + YEAR_MS
    assert not clock.now().known
    hand_clock.go_on(72 * HOUR_MS - 1)
    assert clock.waits_ms() == 1
    hand_clock.go_on(1)
    assert (clock.now().known, clock.waits_ms()) == (True, None)


def test_a_clock_that_is_set_wrong_for_good_is_given_up(clock: Clock, hand_clock: HandClock) -> None:
    clock.now()
    hand_clock.wall_ms = 12_345_000
    assert clock.waits_ms() == 72 * HOUR_MS
    hand_clock.go_on(72 * HOUR_MS)
    assert clock.waits_ms() == 0
    assert clock.now().wall_ms == NOON_MS + 72 * HOUR_MS


# -- a clock that is set ------------------------------------------------------------------------------------------

JUMPS = [HOUR_MS, -HOUR_MS, YEAR_MS, -YEAR_MS // 4, -YEAR_MS]


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_a_jump_is_doubted_and_the_time_goes_on_from_what_was_believed(
    clock: Clock, hand_clock: HandClock, jump_ms: int
) -> None:
    assert clock.now() == Now(NOON_MS, hand_clock.boot_ms, known=True)
    hand_clock.go_on(10_000)
    hand_clock.wall_ms += jump_ms
    assert clock.now() == Now(NOON_MS + 10_000, hand_clock.boot_ms, known=False)
    assert clock.unix_ms() == 0
    hand_clock.go_on(5_000)
    hand_clock.wall_ms -= jump_ms
    assert clock.now() == Now(NOON_MS + 15_000, hand_clock.boot_ms, known=True)
    assert (clock.doubt, clock.steps) == (None, 1)


@pytest.mark.parametrize("jump_ms", JUMPS)
def test_a_jump_that_stays_is_believed_once_it_has_stood(clock: Clock, hand_clock: HandClock, jump_ms: int) -> None:
    clock.now()
    hand_clock.wall_ms += jump_ms
    held_ms = min(abs(jump_ms), 72 * HOUR_MS)
    assert not clock.now().known
    hand_clock.go_on(held_ms - 1)
    assert not clock.now().known
    hand_clock.go_on(1)
    believed = NOON_MS + jump_ms >= PLAUSIBLE_FROM_MS
    assert clock.now() == Now(NOON_MS + held_ms + jump_ms * believed, hand_clock.boot_ms, known=believed)
    clock.dated_ms = clock.offset_ms
    assert not clock.holds, "what is dated waits no longer"


def test_a_second_jump_begins_the_doubt_anew(clock: Clock, hand_clock: HandClock) -> None:
    clock.now()
    hand_clock.wall_ms += HOUR_MS
    clock.now()
    hand_clock.go_on(HOUR_MS - 1)
    hand_clock.wall_ms += 60_000
    clock.now()
    hand_clock.go_on(60_000)
    assert not clock.now().known
    assert clock.steps == 2


@pytest.mark.parametrize("trust", ["system", "ntp"])
def test_the_network_vouches_for_a_jump_if_its_word_is_the_newer(
    hand_clock: HandClock, tmp_path: Path, trust: Trust
) -> None:
    word = tmp_path / "synchronized"
    clock = Clock(trust, hand_clock, hand_clock.boot_ns, word)
    assert clock.now().known == (trust == "system")
    word.touch()
    assert clock.now().known
    clock.look()
    hand_clock.wall_ms += YEAR_MS
    assert not clock.now().known
    os.utime(word, ns=(0, 1))  # again, by whatever clock
    assert clock.now() == Now(NOON_MS + YEAR_MS, hand_clock.boot_ms, known=True)
    assert clock.steps == 1


def test_slewing_is_followed_without_doubt(clock: Clock, hand_clock: HandClock) -> None:
    for _ in range(100):
        hand_clock.go_on(1_000)
        hand_clock.wall_ms += STEP_MS
        assert clock.now() == Now(hand_clock.wall_ms, hand_clock.boot_ms, known=True)
    assert clock.steps == 0


def test_a_process_that_was_stopped_between_two_readings_sees_no_jump(hand_clock: HandClock) -> None:
    uptimes = iter([1_000, 9_000, 9_001, 9_002])  # ms; the wall clock is read between two of them
    clock = Clock("system", hand_clock, lambda: next(uptimes) * 1_000_000)
    assert clock.now().boot_ms == 9_002


def test_in_a_new_boot_the_newest_event_is_the_measure(hand_clock: HandClock) -> None:
    def starts(newest_ms: int) -> bool:
        clock = Clock("system", hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))
        clock.recall(None, newest_ms)
        return clock.now().known

    assert starts(0)
    assert starts(NOON_MS - LEAP_MS)
    assert not starts(NOON_MS - LEAP_MS - 1_000)
    assert not starts(NOON_MS + 1_000)


@pytest.mark.parametrize("trust", ["system", "ntp"])
@pytest.mark.parametrize("newest_ms", [NOON_MS - 2 * LEAP_MS, NOON_MS + 1_000])
def test_in_a_new_boot_the_network_is_believed_at_once(
    hand_clock: HandClock, tmp_path: Path, trust: Trust, newest_ms: int
) -> None:
    word = tmp_path / "synchronized"
    clock = Clock(trust, hand_clock, hand_clock.boot_ns, word)
    clock.recall(None, newest_ms)
    assert not clock.now().known
    word.touch()
    clock.look()
    assert clock.now() == Now(NOON_MS, hand_clock.boot_ms, known=True)


def test_a_boot_that_starts_with_the_time_of_the_last_one_waits_for_the_network(
    hand_clock: HandClock, tmp_path: Path
) -> None:
    word = tmp_path / "synchronized"
    clock = Clock("ntp", hand_clock, hand_clock.boot_ns, word)
    clock.recall(None, NOON_MS - 60_000)
    assert (clock.now().known, clock.doubt) == (False, None)
    hand_clock.go_on(60_000)
    clock.look()
    assert not clock.now().known
    hand_clock.wall_ms += 14 * HOUR_MS  # the night
    word.touch()
    assert clock.now() == Now(NOON_MS + 60_000 + 14 * HOUR_MS, hand_clock.boot_ms, known=True)


def test_a_jump_across_a_restart_is_one_too(hand_clock: HandClock, tmp_path: Path) -> None:
    word = tmp_path / "synchronized"
    word.touch()
    clock = Clock("ntp", hand_clock, hand_clock.boot_ns, word)
    clock.recall(hand_clock.wall_ms - hand_clock.boot_ms - HOUR_MS, NOON_MS - HOUR_MS)
    assert not clock.now().known
    assert clock.holds
    assert clock.now().wall_ms == NOON_MS - HOUR_MS


async def test_what_waits_here_is_moved_and_what_may_be_in_kafka_is_not(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    def holds() -> bool:
        return clock.holds

    outbox = StoreOutbox(store, holds)

    async def keep_house() -> None:
        await housekeeping.date_anew(clock, store, outbox, boot, sending=True)

    jump_ms = 10 * 60_000
    hand_clock.wall_ms = NOON_MS + 12 * HOUR_MS - jump_ms // 2  # midnight is near
    clock.now()
    await keep_house()  # notes the offset
    for _ in range(3):
        counter.send(POUR)
    await counter.settled(3)
    hand_clock.wall_ms += jump_ms
    counter.send(POUR)
    await counter.settled(4)
    assert holds()
    hand_clock.go_on(jump_ms)
    assert clock.now().known
    await keep_house()
    assert holds(), "the uplink has not said yet what Kafka has"
    assert await outbox.read(1, 10) == []  # it says so: the first
    await keep_house()
    assert not holds()
    assert [row.position for row in await outbox.read(1, 10)] == [2, 3]
    work = housekeeping.due(store.reader(), clock.now(), boot)
    assert work is not None
    store.write(work).result(20)
    assert rows("SELECT day, clock FROM events ORDER BY position") == [
        (DAY, "known"),
        *[(DAY + 1, "estimated")] * 3,
    ]
    assert days_of(store, SESSION) == {DAY: 1, DAY + 1: 3}
    assert rows("SELECT count(DISTINCT time_ms) FROM events WHERE position > 1") == [(1,)]
    again = store.write(lambda tx: register_boot(tx, "boot-a", 0)).result(20)
    assert again.offset_ms == hand_clock.wall_ms - hand_clock.boot_ms


async def test_what_kafka_may_get_again_keeps_its_day(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    outbox = StoreOutbox(store)
    clock.now()
    await housekeeping.date_anew(clock, store, outbox, boot, sending=False)
    counter.send(POUR)
    counter.send(POUR)
    await counter.settled(2)
    await outbox.begin_epoch(0, 0)
    counter.send(POUR)
    await counter.settled(3)
    hand_clock.wall_ms -= 86_400_000
    clock.now()
    hand_clock.go_on(86_400_000)
    assert clock.now().known
    await housekeeping.date_anew(clock, store, outbox, boot, sending=False)
    assert rows("SELECT day FROM events ORDER BY position") == [(DAY,), (DAY,), (DAY - 1,)]


async def test_a_dispenser_that_rebooted_is_dated_by_the_gateways_uptime(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    hand_clock.wall_ms = 12_345_000  # 1970
    counter.ingest.note_hello(counter.hello, "port", None, lambda: None)
    hand_clock.go_on(2 * HOUR_MS)
    counter.boot, counter.uptime_ms = 4, 1_000
    counter.send(POUR, boot=3, age_ms=-HOUR_MS + 1_000)  # an hour after it booted
    await counter.settled(1)
    hand_clock.wall_ms = NOON_MS
    now = clock.now()
    store.write(lambda tx: settle(tx, boot, now)).result(20)
    assert rows("SELECT time_ms, clock FROM events") == [(NOON_MS - HOUR_MS, "estimated")]
    # and in a later boot of the gateway, by the time that is known by now
    await housekeeping.date_anew(clock, store, StoreOutbox(store), boot, sending=False)
    assert rows("SELECT started_ms FROM dispenser_boots WHERE boot = 3") == [(NOON_MS - 2 * HOUR_MS,)]


async def test_in_a_new_boot_what_the_last_one_dated_stays_and_its_offset_is_forgotten(
    counter: Counter, store: Store, clock: Clock, hand_clock: HandClock, boot: int, rows: Query
) -> None:
    clock.now()
    await housekeeping.date_anew(clock, store, StoreOutbox(store), boot, sending=False)
    counter.send(POUR)
    counter.send(POUR, age_ms=HOUR_MS)  # it came late: the newest is not the last
    await counter.settled(2)
    assert store.write(lambda tx: register_boot(tx, "boot-a", 0)).result(20).offset_ms == clock.offset_ms
    before = rows("SELECT time_ms, day, clock FROM events")
    second = store.write(lambda tx: register_boot(tx, "boot-b", 20_000)).result(20)
    assert second.number > boot
    assert (second.offset_ms, second.newest_ms) == (None, NOON_MS)
    hand_clock.boot_ms, hand_clock.wall_ms = 20_000, NOON_MS + 24 * HOUR_MS
    clock = Clock("system", hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))
    clock.recall(second.offset_ms, second.newest_ms)
    clock.dated_ms = 0  # as if this boot had dated some
    assert clock.now().known
    await housekeeping.date_anew(clock, store, StoreOutbox(store), second.number, sending=False)
    assert rows("SELECT time_ms, day, clock FROM events") == before


# -- a clock that is not known yet when the gateway or its machine starts again ---------------------------------------


async def start_again(store: Store, hand_clock: HandClock, boot_id: str, trust: Trust = "system") -> Clock:
    """The clock of a daemon that starts, once it has kept house."""
    found = store.write(lambda tx: register_boot(tx, boot_id, hand_clock.boot_ms)).result(20)
    clock = Clock(trust, hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))
    clock.recall(found.offset_ms, found.newest_ms, found.unknown)
    await keep_clock(clock, store)
    return clock


async def keep_clock(clock: Clock, store: Store) -> None:
    """One round of what is kept of a clock."""
    clock.now()
    await housekeeping.date_anew(clock, store, StoreOutbox(store), 1, sending=False)
    await housekeeping.note_wait(clock, store)


@pytest.mark.parametrize("by_ms", [-60_000, 60_000])
async def test_a_restart_does_not_begin_a_doubt_anew(store: Store, hand_clock: HandClock, by_ms: int) -> None:
    clock = await start_again(store, hand_clock, "boot-a")
    hand_clock.wall_ms += YEAR_MS
    await keep_clock(clock, store)
    for day in range(3):
        hand_clock.go_on(24 * HOUR_MS)
        clock = await start_again(store, hand_clock, "boot-a")
        assert clock.now().known == (day == 2)
        assert clock.waits_ms() == [48 * HOUR_MS, 24 * HOUR_MS, None][day]
    hand_clock.wall_ms -= HOUR_MS
    await keep_clock(clock, store)
    hand_clock.go_on(HOUR_MS // 2)
    hand_clock.wall_ms += by_ms  # set anew while the daemon is away
    clock = await start_again(store, hand_clock, "boot-a")
    assert clock.doubt is not None
    assert clock.doubt.since_ms == hand_clock.boot_ms


@pytest.mark.parametrize("newest_ms", [NOON_MS + YEAR_MS, NOON_MS - YEAR_MS])
async def test_a_machine_that_is_switched_off_each_night_believes_its_clock_in_the_end(
    store: Store, hand_clock: HandClock, newest_ms: int
) -> None:
    when = Stamp(newest_ms, 0, newest_ms // DAY_MS, "known")
    store.write(lambda tx: tx.append(event_at(when))).result(20)
    for night in range(6):
        hand_clock.boot_ms = 20_000
        clock = await start_again(store, hand_clock, f"boot {night}")
        assert not clock.now().known
        for _ in range(14 * 6):
            hand_clock.go_on(10 * 60_000)
            await keep_clock(clock, store)
        assert clock.now().known == (night == 5)  # 72 h of 14 h each
        hand_clock.wall_ms += 10 * HOUR_MS


def event_at(when: Stamp) -> Event:
    shop = {"store": "plaza", "region": "south", "channel": "gateway", "consent": "none"}
    gap = msgspec.convert({**shop, "dispenser": "bar", "generation": 1, "first": 1, "last": 1}, SequenceGap)
    return Event(EventId("bar", 1, 1), None, when, gap)


@pytest.mark.parametrize("by_ms", [-60_000, LEAP_MS + 60_000])
async def test_a_clock_that_was_set_while_the_machine_was_off_is_doubted_anew(
    store: Store, hand_clock: HandClock, by_ms: int
) -> None:
    store.write(lambda tx: tx.append(event_at(Stamp(NOON_MS + YEAR_MS, 0, DAY + 365, "known")))).result(20)
    clock = await start_again(store, hand_clock, "boot-a")
    hand_clock.go_on(24 * HOUR_MS)
    await keep_clock(clock, store)
    hand_clock.boot_ms = 20_000
    hand_clock.wall_ms += by_ms
    clock = await start_again(store, hand_clock, "boot-b")
    assert clock.doubt is not None
    assert clock.doubt.since_ms == 20_000


async def test_a_restart_does_not_begin_the_wait_anew(store: Store, hand_clock: HandClock) -> None:
    hand_clock.wall_ms = 12_345_000
    await start_again(store, hand_clock, "boot-a")
    hand_clock.go_on(71 * HOUR_MS)
    assert (await start_again(store, hand_clock, "boot-a")).waits_ms() == HOUR_MS
    hand_clock.go_on(HOUR_MS)
    assert (await start_again(store, hand_clock, "boot-a")).waits_ms() == 0


async def test_the_wait_is_given_up_though_the_machine_is_switched_off_each_night(
    store: Store, hand_clock: HandClock
) -> None:
    for night in range(6):
        hand_clock.boot_ms, hand_clock.wall_ms = 20_000, 12_345_000
        clock = await start_again(store, hand_clock, f"boot {night}")
        for _ in range(14 * 6):
            hand_clock.go_on(10 * 60_000)
            await keep_clock(clock, store)
        assert (clock.waits_ms() == 0) == (night == 5)
    hand_clock.boot_ms = 20_000
    clock = await start_again(store, hand_clock, "the next")
    assert clock.waits_ms() == HOUR_MS, "the network may be there today"
    hand_clock.wall_ms = NOON_MS
    await keep_clock(clock, store)
    assert store.write(lambda tx: register_boot(tx, "the next", 30_000)).result(20).unknown is None


async def test_an_unknown_time_is_noted_every_ten_minutes_at_most(
    store: Store, hand_clock: HandClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = await start_again(store, hand_clock, "boot-a")
    written, write = [], store.write

    def count(work: Callable[[Transaction], Any], *, upkeep: bool = False) -> Any:
        written.append(clock.now().boot_ms)
        return write(work, upkeep=upkeep)

    monkeypatch.setattr(store, "write", count)
    hand_clock.wall_ms += HOUR_MS
    began_ms = hand_clock.boot_ms
    for _ in range(40 * 60):
        await keep_clock(clock, store)
        hand_clock.go_on(1_000)
    assert written == [began_ms + minutes * 60_000 for minutes in (0, 10, 20, 30)]
    hand_clock.wall_ms -= HOUR_MS
    for _ in range(10):
        await keep_clock(clock, store)
    assert len(written) == 5


def test_somebody_at_the_gateway_vouches_for_a_clock_that_is_doubted(hand_clock: HandClock) -> None:
    clock = Clock("system", hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))
    assert clock.now().known
    hand_clock.wall_ms += HOUR_MS
    assert not clock.now().known
    assert clock.vouch()
    assert clock.doubt is None
    assert clock.now() == Now(NOON_MS + HOUR_MS, hand_clock.boot_ms, known=True)
    hand_clock.wall_ms += HOUR_MS
    assert not clock.now().known, "it was said of that setting, and of no other"


def test_somebody_vouches_where_no_network_is(hand_clock: HandClock) -> None:
    clock = Clock("ntp", hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))
    assert not clock.now().known
    assert clock.vouch()
    clock.look()
    hand_clock.go_on(60_000)
    assert clock.now().known


def test_nobody_can_vouch_for_a_clock_that_was_never_set(hand_clock: HandClock) -> None:
    hand_clock.wall_ms = 12_345_000
    clock = Clock("system", hand_clock, hand_clock.boot_ns, Path("/nobody/says/so"))
    assert not clock.vouch()
