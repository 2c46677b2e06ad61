"""The wall clock under a running gateway: it starts in 1970, jumps an hour and a year both ways, and comes right again.

The gateway is a process whose wall clock is libfaketime's; its uptime is the machine's, and so are the clocks of its
dispenser and of Kafka. True time is `TRUE_DAY`, a little after midnight, so that an hour back is another day.
`PICANTE_TRIES` says how many jumps there are.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.envelope import Received
from hw_sim.control import call
from hw_sim.journal import read_journal
from tests.cloud_sync.kafka_reading import ids, read_events
from tests.flow import truth
from tests.flow.verdict import NOTHING_WRONG, generated, judge
from tests.flow.world import PSEUDONYM_KEY, Kafka, Mqtt, World, world
from tests.reference import profiles
from tests.waiting import wait_until

TRIES = int(os.environ.get("PICANTE_TRIES", "10"))
pytestmark = pytest.mark.timeout(180 + 20 * TRIES)  # the first test's fixture is all the jumps
SEED = int(os.environ.get("PICANTE_SEED", "14"))
PATIENCE_S = 20.0
TRUE_DAY = 21_244
"""2028-03-01."""
MIDNIGHT_S = TRUE_DAY * 86_400
HOUR_S, YEAR_S = 3_600, 365 * 86_400
JUMPS_S = {"+1 h": HOUR_S, "-1 h": -HOUR_S, "+1 y": YEAR_S, "-1 y": -YEAR_S, "1970": -MIDNIGHT_S}
SCENARIO = """\
[[dispensers]]
id = "bar"
baud = 0
"""


def libfaketime() -> Path:
    """The library for threads, wherever it is; the other one shows them each other's half-read file."""
    found = sorted(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))
    if not found:
        pytest.skip("no libfaketime: run scripts/test-setup")
    return found[0]


@dataclass
class TrueTime:
    """The gateway's wall clock, in our hand. What is true began at 00:20 of `TRUE_DAY`."""

    file: Path
    shift_s: int = field(default_factory=lambda: MIDNIGHT_S + 20 * 60 - int(time.time()))

    def wrong_by(self, seconds: int) -> None:
        """Set the clock; at once for every process that has it."""
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{self.shift_s + seconds:+d}")
        fresh.rename(self.file)

    def now_ms(self) -> int:
        return int((time.time() + self.shift_s) * 1000)

    @property
    def environment(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": str(libfaketime()),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
            # it makes a thread that waits for Python's lock ask for the time without end
            "FAKETIME_FORCE_MONOTONIC_FIX": "0",
        }


@dataclass
class Shop:
    """A gateway with a clock that is set, its dispenser, and when which event truly happened."""

    world: World
    clock: TrueTime
    happened_ms: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Not before, and not after."""
    customers: int = 0
    openings: list[str] | None = None
    """Of the link, once events go through it: while both sides start, on a busy machine, their greetings may cross."""

    def start(self) -> None:
        self.world.start_gateway()
        self.openings = None
        wait_until(lambda: self.dispenser["online"], PATIENCE_S, "the dispenser is online")

    @property
    def dispenser(self) -> dict[str, Any]:
        status: dict[str, Any] = call(self.world.socket, {"do": "status"})["dispensers"]["bar"]
        return status

    def do(self, what: str, **more: Any) -> None:
        """Something at the dispenser, and its events on disk."""
        before_ms = self.clock.now_ms()
        answer = call(self.world.socket, {"do": what, "dispenser": "bar", **more})
        wait_until(lambda: self.dispenser["held"] == 0, PATIENCE_S, "the dispenser's events are acknowledged")
        for event in answer.get("events") or [answer["event"]]:
            self.happened_ms[event] = before_ms, self.clock.now_ms()
        self.openings = self.openings or self._openings()

    def visit(self) -> None:
        """A customer: some come twice."""
        self.customers += 1
        self.do("visit", token=f"token-{self.customers // 2}", dial=40, rate="just_right")

    def tells(self, *codes: str) -> None:
        """Wait until the page tells this of the clock, and no more."""

        def told() -> bool:
            repairs = self.world.get("/api/v1/status")["repairs"]
            return [w["code"] for w in repairs if w["code"].startswith("clock_")] == list(codes)

        wait_until(told, PATIENCE_S, f"the page tells {codes}")

    def all_up(self) -> None:
        wait_until(self.world.everything_confirmed, PATIENCE_S, "Kafka has everything")

    def doubted_since_ms(self) -> int:
        """By the machine's uptime, as the store has it."""
        sql = "SELECT value ->> 'doubt_since_ms' FROM meta WHERE key = 'unknown'"
        (found,) = wait_until(lambda: self.world.query(sql), PATIENCE_S, "the doubt is noted")
        return int(found[0])

    def no_link_was_lost(self) -> None:
        assert self._openings() == self.openings
        assert len(self.openings or []) == 1

    def _openings(self) -> list[str]:
        metrics = self.world.get_text("/metrics").splitlines()
        return [line for line in metrics if line.startswith("picante_link_openings_total{")]

    def topic(self) -> dict[int, list[Received]]:
        return asyncio.run(read_events(self.world.bootstrap, self.world.gateway_id))


@contextmanager
def open_shop(directory: Path, kafka: Kafka, mqtt: Mqtt, name: str) -> Iterator[Shop]:
    clock = TrueTime(directory / "wall")
    with world(directory, kafka, mqtt, SCENARIO, name) as made:
        made.environment = clock.environment
        made.start_sim()
        wait_until(made.socket.exists, PATIENCE_S, "the simulator answers")
        yield Shop(made, clock)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, kafka: Kafka, mqtt: Mqtt) -> Iterator[Shop]:
    """A shop after all jumps: the first finds a new gateway in 1970, half of the others one that is being restarted."""
    chance = random.Random(SEED)
    kinds = [(jump, restarted) for jump in JUMPS_S for restarted in (True, False)]
    kinds.remove(("1970", True))
    later = [kind for _ in range(TRIES // len(kinds) + 1) for kind in chance.sample(kinds, len(kinds))]
    tries = [("1970", True), *later][:TRIES]
    with open_shop(tmp_path_factory.mktemp("clock"), kafka, mqtt, f"gw-clock-{os.getpid()}") as shop:
        for number, (jump, restarted) in enumerate(tries):
            print(f"try {number}, seed {SEED}: {jump}, {'restarted' if restarted else 'running'}")  # noqa: T201
            _jump(shop, JUMPS_S[jump], restarted=restarted, first=number == 0)
            if chance.random() < 0.3:  # else the next jump finds some on their way
                shop.all_up()
        shop.all_up()
        yield shop


def _jump(shop: Shop, seconds: int, *, restarted: bool, first: bool) -> None:
    if not first:
        shop.do("visit", dial=70)
    if restarted and not first:
        shop.no_link_was_lost()
        assert shop.world.gateway is not None
        shop.world.gateway.stop()
    before = shop.world.position()
    shop.clock.wrong_by(seconds)
    if restarted:
        shop.start()
    if not first:
        shop.do("press", verdict="too_hot")  # the session outlives it
        session = shop.world.query("SELECT n FROM buckets WHERE subject = (SELECT session FROM sessions)")
        assert sum(n for (n,) in session) == 3
    shop.visit()
    shop.tells("clock_unknown" if first else "clock_jumped")
    waiting = shop.world.query("SELECT count(*) FROM events WHERE day < 0")[0][0]
    assert waiting >= 3
    assert shop.world.confirmed() <= before, "only what came before the jump went up"
    shop.clock.wrong_by(0)
    shop.tells()
    shop.visit()


@pytest.fixture(scope="module")
def topic(shop: Shop) -> dict[int, list[Received]]:
    return shop.topic()


def test_every_event_went_up_once_and_in_order(shop: Shop, topic: dict[int, list[Received]]) -> None:
    made = generated(read_journal(shop.world.directory / "sim" / "journal.jsonl"))
    found = {part: [str(event.id) for event in events if event.id.source == "bar"] for part, events in topic.items()}
    assert made == shop.happened_ms.keys()
    assert judge(made, found) == NOTHING_WRONG


def test_nothing_went_up_with_a_wrong_day(topic: dict[int, list[Received]]) -> None:
    assert {event.day for events in topic.values() for event in events} == {TRUE_DAY}


def test_every_time_is_right_within_a_second(shop: Shop, topic: dict[int, list[Received]]) -> None:
    times = {str(event.id): event.time_ms for events in topic.values() for event in events}
    wrong = {
        event: (times[event] - early, times[event] - late)
        for event, (early, late) in shop.happened_ms.items()
        if not early - 1000 <= times[event] <= late + 1000
    }
    assert wrong == {}
    clocks = Counter(event.clock for events in topic.values() for event in events)
    assert clocks.keys() == {"known", "estimated"}


def test_the_integer_sums_are_on_the_right_days(shop: Shop, topic: dict[int, list[Received]]) -> None:
    journal = list(read_journal(shop.world.directory / "sim" / "journal.jsonl"))
    owners = {
        truth.session_of(line): truth.pseudonym(line["claim"], PSEUDONYM_KEY) for line in journal if "claim" in line
    }
    days = dict.fromkeys(generated(journal), TRUE_DAY)
    expected = profiles(truth.evidence(journal, owners, days, shop.world.gateway_id))
    digests = {subject: rows["digest"] for subject, rows in expected.items() if subject.startswith("p1-")}
    assert len(digests) == shop.customers // 2 + 1
    assert digests == shop.world.digests()


def test_no_timer_noticed(shop: Shop) -> None:
    shop.no_link_was_lost()
    metrics = shop.world.get_text("/metrics")
    assert "link_closings_total{" not in metrics
    assert "picante_uplink_failures_total 0.0" in metrics


def test_what_the_network_corrects_before_it_went_up_is_moved(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> None:
    with open_shop(tmp_path, kafka, mqtt, f"gw-moved-{os.getpid()}") as shop:
        config = tmp_path / "gateway.toml"
        with_kafka = config.read_text() + '\n[clock]\nsynchronised = "synchronised"\n'
        config.write_text(with_kafka.replace("[kafka]\nbootstrap", "[picks]\n#"))
        shop.clock.wrong_by(-HOUR_S)
        shop.start()
        shop.visit()
        shop.tells()
        assert shop.world.gateway is not None
        assert shop.world.query("SELECT DISTINCT day, clock FROM events") == [(TRUE_DAY - 1, "known")]
        shop.clock.wrong_by(0)
        shop.tells("clock_jumped")
        since_ms = shop.doubted_since_ms()
        shop.world.gateway.stop()
        shop.start()
        shop.tells("clock_jumped")
        shop.visit()
        assert shop.doubted_since_ms() == since_ms, "a restart does not begin the doubt anew"
        (tmp_path / "synchronised").touch()
        shop.tells()
        wait_until(
            lambda: shop.world.query("SELECT DISTINCT day, clock FROM events") == [(TRUE_DAY, "estimated")],
            PATIENCE_S,
            "what waits is moved",
        )
        assert shop.world.gateway is not None
        shop.world.gateway.stop()
        config.write_text(with_kafka)
        shop.start()
        shop.visit()
        shop.all_up()
        topic = shop.topic()
        assert set(shop.happened_ms) < set(ids(topic))
        test_nothing_went_up_with_a_wrong_day(topic)
        test_the_integer_sums_are_on_the_right_days(shop, topic)


def test_two_boots_that_never_knew_the_time_send_no_day_of_1970(tmp_path: Path, kafka: Kafka, mqtt: Mqtt) -> None:
    with open_shop(tmp_path, kafka, mqtt, f"gw-boots-{os.getpid()}") as shop:
        shop.clock.wrong_by(JUMPS_S["1970"])
        shop.start()
        shop.visit()
        assert shop.world.gateway is not None
        shop.world.gateway.stop()
        with closing(sqlite3.connect(shop.world.database)) as connection, connection:
            connection.execute("UPDATE boots SET boot_id = 'of an earlier boot'")
        earlier = set(shop.happened_ms)
        shop.start()
        shop.visit()
        shop.tells("clock_unknown")
        assert shop.world.query("SELECT DISTINCT day FROM events ORDER BY day") == [(-2,), (-1,)]
        assert shop.world.confirmed() == 0
        shop.clock.wrong_by(0)
        shop.tells()
        shop.all_up()
        topic = shop.topic()
        assert set(shop.happened_ms) < set(ids(topic))
        test_nothing_went_up_with_a_wrong_day(topic)
        events = [event for partition in topic.values() for event in partition if event.id.source == "bar"]
        assert {str(event.id) for event in events if event.clock == "unknown"} == earlier


def test_whoever_says_that_the_clock_is_right_is_believed(shop: Shop) -> None:
    """The last one of this shop: its clock stays an hour ahead."""

    def told(code: str) -> bool:
        return any(repair["code"] == code for repair in shop.world.get("/api/v1/repairs")["repairs"])

    shop.clock.wrong_by(HOUR_S)
    wait_until(lambda: told("clock_jumped"), 10, "the jump is told of", promised=True)
    press = "/api/v1/repairs/{}/fix/{}".format("clock_jumped", "right")
    assert shop.world.console.post(press).status_code == 422, "it is held"
    shop.world.console.post(press, json={"confirm": "yes"}).raise_for_status()
    wait_until(lambda: not told("clock_jumped"), 10, "it is gone", promised=True)
