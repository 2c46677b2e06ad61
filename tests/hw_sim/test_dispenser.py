"""The twin in front of which customers stand: tanks, buttons, screen, and what becomes an event."""

from __future__ import annotations

import pytest

from firmware_bridge.bodies import EventBody, PouredBody, RatedBody, RefilledBody, StatedBody
from firmware_bridge.messages import PickInfo, Picks
from heat.catalog import default_catalog
from heat.scale import MAX_MO
from hw_sim.dispenser import CONFIRM_MS, Dispenser
from hw_sim.plant import TANK_UL, Nozzle, Plant
from hw_sim.screen import COLUMNS, Shown, heat_bar

CATALOG = default_catalog()
SCREEN = """
╭────────────────────────────────────────╮
│ PICANTE bar-1      session 1 · dial 40 │
├────────────────────────────────────────┤
│ 1 Table Red                   nozzle 1 │
│   █████············· 2,200 SHU         │
│   you liked citrus                     │
│                                        │
│ 2 Lime & Jalapeño             nozzle 2 │
│   ████▎············· 1,400 SHU         │
│   you liked citrus                     │
│                                        │
│ 3 Garlic Ghost                nozzle 3 │
│   ████████████▍····· 350,000 SHU       │
│   you liked citrus                     │
│                                        │
╰────────────────────────────────────────╯
"""


class Log:
    """Remembers the events."""

    def __init__(self) -> None:
        self.events: list[tuple[int, EventBody, int]] = []
        self.sessions = 0

    def record(self, session: int, body: EventBody, now_ms: int) -> int:
        self.events.append((session, body, now_ms))
        return len(self.events)

    def new_session(self) -> int:
        self.sessions += 1
        return self.sessions


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def twin(log: Log) -> Dispenser:
    nozzles = [Nozzle(1, CATALOG["table-red"]), Nozzle(2, CATALOG["lime-jalapeno"]), Nozzle(3, CATALOG["garlic-ghost"])]
    return Dispenser("bar-1", Plant(nozzles), log.record, log.new_session)


def picks_of(*sauces: str) -> Picks:
    numbers = {"table-red": 1, "lime-jalapeno": 2, "garlic-ghost": 3}
    slots = tuple(
        PickInfo.fitted(numbers[s], s, CATALOG[s].name, CATALOG[s].heat.milli_octaves, "you liked citrus")
        for s in sauces
    )
    return Picks(nonce=bytes(8), pick_id="p7", picks=slots)


def test_a_pour_empties_the_tank_and_is_an_event(twin: Dispenser, log: Log) -> None:
    twin.begin_session()
    assert twin.pour(1, 6_000, 1_000) == 1
    assert twin.tanks[1].level_ul == TANK_UL - 6_000
    body = PouredBody(nozzle=1, sauce="table-red", volume_ul=6_000, duration_ms=twin.pour_ms(1, 6_000))
    assert log.events == [(1, body, 1_000)]


def test_a_tank_gives_no_more_than_it_holds(twin: Dispenser, log: Log) -> None:
    twin.tanks[1].level_ul = 500
    twin.pour(1, 6_000, 0)
    assert twin.pour(1, 6_000, 0) is None
    assert [body.volume_ul for _, body, _ in log.events if isinstance(body, PouredBody)] == [500]


def test_a_pour_that_takes_its_time_is_an_event_when_the_valve_shuts(twin: Dispenser, log: Log) -> None:
    twin.begin_session()
    twin.open_valve(1, 6_000, 1_000)
    assert (log.events, twin.tanks[1].level_ul) == ([], TANK_UL)
    assert twin.close_valve(2_500) == 1
    assert [(body.volume_ul, at) for _, body, at in log.events if isinstance(body, PouredBody)] == [(6_000, 2_500)]
    assert twin.close_valve(2_600) is None


def test_power_lost_in_a_pour_spills_and_tells_nobody(twin: Dispenser, log: Log) -> None:
    twin.begin_session()
    twin.show(picks_of("table-red"))
    twin.open_valve(1, 50_000, 1_000)
    twin.lose_power(1_500)
    assert twin.close_valve(9_000) is None
    assert twin.tanks[1].level_ul == TANK_UL - twin.plant.flow_ul_s(1) / 2
    assert (log.events, twin.session, twin.shown) == ([], 0, Shown())
    assert twin.press("more", 0) is None


def test_a_refill_concerns_no_customer(twin: Dispenser, log: Log) -> None:
    twin.begin_session()
    twin.tanks[3].level_ul = 10
    assert twin.low_tanks() == [3]
    twin.refill(3, 50)
    assert twin.low_tanks() == []
    assert log.events == [(0, RefilledBody(nozzle=3, sauce="garlic-ghost", volume_ul=TANK_UL), 50)]


def test_a_verdict_is_about_what_was_poured_last(twin: Dispenser, log: Log) -> None:
    twin.begin_session()
    assert twin.press("more", 0) is None
    twin.pour(1, 100, 0)
    twin.pour(3, 100, 0)
    twin.press("too_hot", 9)
    assert log.events[-1] == (1, RatedBody(sauce="garlic-ghost", verdict="too_hot"), 9)
    twin.begin_session()
    assert twin.press("more", 0) is None, "another customer's pour"


def test_a_statement_is_an_event_of_the_session(twin: Dispenser, log: Log) -> None:
    twin.begin_session()
    twin.begin_session()
    twin.state_preference(StatedBody(word="hot"), 3)
    assert log.events == [(2, StatedBody(word="hot"), 3)]


def test_only_a_shown_sauce_carries_the_picks_id(twin: Dispenser, log: Log) -> None:
    twin.begin_session()
    twin.show(picks_of("lime-jalapeno"))
    twin.pour(2, 100, 0)
    twin.press("more", 0)
    twin.pour(1, 100, 0)
    twin.press("more", 0)
    assert [getattr(body, "pick_id", None) for _, body, _ in log.events] == ["p7", "p7", None, None]
    twin.begin_session()
    twin.pour(2, 100, 0)
    assert getattr(log.events[-1][1], "pick_id", None) is None


def test_hello_tells_of_the_nozzles(twin: Dispenser) -> None:
    twin.pour(1, 50_000, 0)
    assert [tuple(getattr(n, f) for f in n.__struct_fields__) for n in twin.nozzles()] == [
        (1, "table-red", 700),
        (2, "lime-jalapeno", 750),
        (3, "garlic-ghost", 750),
    ]


def test_the_screen_shows_three_picks(twin: Dispenser) -> None:
    twin.begin_session()
    twin.turn_dial(40)
    twin.show(picks_of("table-red", "lime-jalapeno", "garlic-ghost"))
    assert twin.render_screen() == SCREEN.strip()


def test_without_picks_the_customer_chooses(twin: Dispenser) -> None:
    twin.begin_session()
    twin.show(picks_of("table-red"))
    twin.show_own_choice()
    screen = twin.render_screen()
    assert "choose your own sauce" in screen
    assert "3 Garlic Ghost" in screen
    assert {len(line) for line in screen.splitlines()} == {COLUMNS}


def test_long_names_stay_inside_the_screen(twin: Dispenser) -> None:
    twin.show(Picks(nonce=bytes(8), pick_id="p", picks=(PickInfo(200, "s" * 32, "N" * 32, MAX_MO, "W" * 48),)))
    assert {len(line) for line in twin.render_screen().splitlines()} == {COLUMNS}


def test_a_hotter_sauce_has_a_longer_bar() -> None:
    filled = [heat_bar(mo).replace("·", "").rstrip() for mo in range(2_500, MAX_MO, 500)]
    assert [len(bar) for bar in filled] == sorted(len(bar) for bar in filled)
    assert heat_bar(0) == "·" * 18
    assert heat_bar(MAX_MO) == "█" * 18


ASKS = """
╭────────────────────────────────────────╮
│ PICANTE bar-1                session 1 │
├────────────────────────────────────────┤
│                                        │
│       Garlic Ghost is very hot.        │
│    Press nozzle 3 again to pour it.    │
│                                        │
╰────────────────────────────────────────╯
"""


@pytest.fixture
def careful(log: Log) -> Dispenser:
    """One of whose nozzles the third must be confirmed."""
    nozzles = [Nozzle(1, CATALOG["table-red"]), Nozzle(3, CATALOG["garlic-ghost"])]
    twin = Dispenser("bar-1", Plant(nozzles), log.record, log.new_session, confirm=lambda: (3,))
    twin.begin_session()
    return twin


def test_the_second_press_pours_what_must_be_confirmed(careful: Dispenser, log: Log) -> None:
    assert careful.pour(3, 3_000, 1_000) is None
    assert careful.render_screen() == ASKS.strip()
    assert careful.pour(3, 3_000, 1_000 + CONFIRM_MS - 1) == 1
    assert careful.pour(1, 3_000, 20_000) == 2
    told = [(body.nozzle, body.confirmed) for _, body, _ in log.events if isinstance(body, PouredBody)]
    assert told == [(3, True), (1, False)]


@pytest.mark.parametrize("what", ["too late", "another nozzle", "another customer", "power"])
def test_a_press_that_was_not_meant_is_no_confirmation(careful: Dispenser, log: Log, what: str) -> None:
    careful.pour(3, 3_000, 1_000)
    now_ms = 1_000 + CONFIRM_MS if what == "too late" else 2_000
    if what == "another nozzle":
        careful.pour(1, 3_000, now_ms)
    elif what == "another customer":
        careful.begin_session()
    elif what == "power":
        careful.lose_power(now_ms)
    careful.look(now_ms)
    assert "again" not in careful.render_screen()
    assert careful.pour(3, 3_000, now_ms) is None
    assert all(body.nozzle == 1 for _, body, _ in log.events if isinstance(body, PouredBody))


def test_a_press_at_another_nozzle_asks_anew(log: Log) -> None:
    nozzles = [Nozzle(1, CATALOG["reaper-raw"]), Nozzle(3, CATALOG["garlic-ghost"])]
    twin = Dispenser("bar-1", Plant(nozzles), log.record, log.new_session, confirm=lambda: (1, 3))
    assert twin.pour(3, 3_000, 1_000) is None
    assert twin.pour(1, 3_000, 2_000) is None
    assert twin.asks_at(2_000) == 1
    assert twin.pour(3, 3_000, 3_000) is None
    assert log.events == []


def test_a_slow_pour_is_confirmed_as_well(careful: Dispenser, log: Log) -> None:
    careful.open_valve(3, 3_000, 1_000)
    assert not careful.pouring
    assert careful.close_valve(2_000) is None
    careful.open_valve(3, 3_000, 3_000)
    assert careful.close_valve(4_000) == 1
