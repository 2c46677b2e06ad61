"""One shop through many kills: SIGKILLs of the gateway, of Mosquitto and of Kafka's brokers while events flow.

    with KafkaCluster(directory) as cluster:
        outcome = run(directory / "run", cluster, seed=7)

Dispensers on PTYs and on Mosquitto make events all the while; `seed` gives them, the order of the kills and their
moments. A gateway is stopped (SIGSTOP) and killed where it stands if its transaction is open, and mostly if it has
records, too; else it goes on, and is stopped again a little later. Whether it is open is not guessed: its coordinator
in Kafka is asked, and asked again right after the kill, when nobody is left to end it; that answer is logged. Before
the next gateway comes up and aborts it, the records that it holds are read: those events must come again. A broker is
killed when a transaction is still open some ms after it was seen. It comes back by itself, beside the next kills; the
next broker is killed when all replicas are in sync again, since two of three must be there.

Every kill is a line of `kills.jsonl`, in the order in which they fell.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import secrets
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from aiokafka.errors import KafkaError

from cloud_sync.topics import EVENTS
from hw_sim.control import call
from hw_sim.journal import read_journal
from tests.cloud_sync.kafka_reading import Isolation, Offsets, end_of, ids, no_transaction_is_open, read_events
from tests.cluster import KafkaCluster, TransactionState
from tests.flow.verdict import NOTHING_WRONG, Verdict, doubled, generated, judge
from tests.flow.world import World, world
from tests.servers import MosquittoServer
from tests.waiting import TooLate, wait_until, wait_until_async

Kind = Literal["gateway", "mosquitto", "kafka"]
KINDS: tuple[Kind, ...] = ("gateway", "mosquitto", "kafka")
KILLS_EACH = 3
EMPTIED = 0.5
"""Share of Mosquitto's kills after which its memory is gone, too: sessions, queues, retained messages."""

OPEN_WITHIN_S = 15.0
"""Seconds to wait for an open transaction; after that the kill falls without one, and the log says so."""
INTO_IT_S = 0.02
"""Seconds at most from the first sight of a transaction to the kill: about as long as one is open here."""
AIMED_S = 3.0
"""Seconds for a look at a stopped gateway's records: its transaction is aborted when it has been open for ten."""
EARLY = 0.2
"""Share of the gateway's kills that may fall into a transaction before it has a record."""
PATIENCE_S = 180.0
"""Seconds for whatever must happen in the end; 90 were too few for JVMs on a machine with ten times its work."""

SCENARIO = """\
[load]
events_per_s = 250
ask_share = 0.05
customers = 40

[faults]
drop = 0.002
duplicate = 0.01
corrupt = 0.002

[[dispensers]]
id = "uart"
baud = 921600
ring = 16384
count = 2

[[dispensers]]
id = "usb"
baud = 0
ring = 16384
count = 3

[[dispensers]]
id = "wifi"
link = "mqtt"
ring = 16384
count = 3
"""


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL, and how things stood."""

    kind: Kind
    node: int | None
    """Of Kafka's brokers."""
    time: str
    stored: int
    """The last row's position."""
    confirmed: int
    """Rows up to here were known to be in Kafka."""
    transaction: str
    """The uplink's, in Kafka's words: `Ongoing` is open, `Prepare...` is being ended; `unknown` if nobody answered."""
    partitions: int
    """That took part in it."""
    left: int
    """Events whose records a killed gateway's open transaction had in the topic."""

    @property
    def inside(self) -> bool:
        """Whether a transaction was open."""
        return self.transaction == "Ongoing"


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from a gateway's start after a kill, which is at once but for a look at what the killed one left."""

    ready_s: float
    stored_s: float
    """To the first new event on disk, which was looked for once it was ready."""
    confirmed_s: float
    """To the first new event known to be in Kafka, whatever Kafka went through."""


@dataclass(slots=True)
class Outcome:
    """What came of a run."""

    seed: int
    log: Path
    """A line for each kill."""
    kills: list[Kill] = field(default_factory=list)
    recoveries: list[Recovery] = field(default_factory=list)
    made: int = 0
    """Events, the gateway's own included."""
    verdict: Verdict = NOTHING_WRONG
    """By a `read_committed` reader."""
    left: list[list[str]] = field(default_factory=list)
    """Ids of the events that each gateway killed inside a transaction had written in it."""
    written_twice: int = 0
    """Of those ids, the ones that a `read_uncommitted` reader sees more than once."""
    hits: int = 0
    """Kills that left some which came again."""
    ledger: list[dict[str, Any]] = field(default_factory=list)
    """Its rows at the end."""
    integrity: str = ""
    """The database's own check."""
    seconds: float = 0.0
    broken: str | None = None
    """Why the run did not come to its end."""
    too_slow: bool = False
    """Whether that was a deadline."""

    @property
    def good(self) -> bool:
        """Whether the promise held, and was tried."""
        sound = self.verdict.good and self.balanced and self.integrity == "ok"
        return self.broken is None and sound and self.aimed

    @property
    def balanced(self) -> bool:
        """Whether the ledger has all that was made in Kafka, and all its sums agree."""
        counted = [sum(row[name] for row in self.ledger) for name in ("generated", "stored", "in_kafka")]
        return counted == [self.made] * 3 and not any(row["flaws"] for row in self.ledger)

    @property
    def aimed(self) -> bool:
        """Whether the gateway's kills hurt: half fell into a transaction, and a third of those left records there."""
        gateway = self.of("gateway")
        inside = sum(kill.inside for kill in gateway)
        return 0 < len(gateway) <= 2 * inside and inside <= 3 * self.hits

    def of(self, kind: Kind) -> list[Kill]:
        """The kills of one kind."""
        return [kill for kill in self.kills if kill.kind == kind]


def run(
    directory: Path, cluster: KafkaCluster, seed: int, kills_each: int = KILLS_EACH, tell: Callable[[str], None] = print
) -> Outcome:
    """Run one shop in a directory. The cluster has all its nodes at the end."""
    directory.mkdir(parents=True)
    began_s = time.monotonic()
    outcome = Outcome(seed, directory / "kills.jsonl")
    name = f"gw-kills-{seed}-{secrets.token_hex(3)}"
    since = asyncio.run(end_of(cluster.bootstrap, EVENTS.name, "read_uncommitted"))
    with (
        MosquittoServer(directory / "mosquitto") as mqtt,
        world(directory, cluster, mqtt, SCENARIO, name, seed) as shop,
        ThreadPoolExecutor(1) as thread,
    ):
        sim = shop.start_sim("--check")
        shop.start_gateway(PATIENCE_S)
        wait_until(shop.confirmed, PATIENCE_S, "events flow")
        killer = _Killer(shop, cluster, mqtt, thread, outcome, tell)
        killer.kill_all(kills_each)
        call(shop.socket, {"do": "stop"})
        wait_until(shop.sim_ended, PATIENCE_S, "all rings are empty")
        assert sim.process.returncode == 0, sim.said()
        wait_until(shop.everything_confirmed, PATIENCE_S, "Kafka has everything")
        assert shop.gateway is not None
        outcome.ledger = shop.ledger()
        shop.gateway.stop()
        _judge(outcome, shop, since)
    outcome.seconds = time.monotonic() - began_s
    return outcome


class _Killer:
    """Kills in the order and at the moments that the outcome's seed gives."""

    def __init__(
        self,
        shop: World,
        cluster: KafkaCluster,
        mqtt: MosquittoServer,
        thread: ThreadPoolExecutor,
        outcome: Outcome,
        tell: Callable[[str], None],
    ) -> None:
        self._shop, self._cluster, self._mqtt, self._thread = shop, cluster, mqtt, thread
        self._outcome, self._tell = outcome, tell
        self._chance = random.Random(outcome.seed)
        self._broker_is_back: Future[None] | None = None

    def kill_all(self, kills_each: int) -> None:
        """All kills; brokers and the gateway run again when this returns."""
        # in rounds: a broker's way back, which the next one's kill waits for, is then filled with other kills
        rounds = [self._chance.sample(KINDS, len(KINDS)) for _ in range(kills_each)]
        for kind in itertools.chain.from_iterable(rounds):
            time.sleep(self._chance.uniform(0.0, 0.5))
            match kind:
                case "gateway":
                    self._kill_gateway()
                case "mosquitto":
                    self._kill_mosquitto()
                case "kafka":
                    self._kill_broker()
        self._wait_for_broker()

    def _kill_gateway(self) -> None:
        shop = self._shop
        assert shop.gateway is not None
        with contextlib.suppress(TooLate):
            wait_until(self._is_stopped_inside, OPEN_WITHIN_S, "the gateway is stopped in a transaction", brief=True)
        shop.gateway.kill()
        transaction = self._transaction()
        left = asyncio.run(_left_open(shop)) if transaction is not None and transaction.open else []
        stored, confirmed = self._note("gateway", None, transaction, left)
        at_s = time.monotonic()
        shop.start_gateway(PATIENCE_S)
        ready_s = time.monotonic() - at_s
        wait_until(lambda: shop.position() > stored, PATIENCE_S, "a new event is on disk")
        stored_s = time.monotonic() - at_s
        wait_until(lambda: shop.confirmed() > confirmed, PATIENCE_S, "a new event is in Kafka")
        self._outcome.recoveries.append(Recovery(ready_s, stored_s, time.monotonic() - at_s))

    def _kill_mosquitto(self) -> None:
        transaction = self._transaction()
        self._mqtt.kill()
        self._note("mosquitto", None, transaction)
        time.sleep(self._chance.uniform(0.0, 0.3))
        if self._chance.random() < EMPTIED:
            self._mqtt.empty()
        self._mqtt.start()

    def _kill_broker(self) -> None:
        self._wait_for_broker()
        node = self._chance.choice(self._cluster.nodes)
        transaction = self._aim()
        node.kill()
        self._note("kafka", node.node, transaction)

        def bring_back() -> None:
            node.start()
            self._cluster.wait_until_in_sync(PATIENCE_S)

        self._broker_is_back = self._thread.submit(bring_back)

    def _wait_for_broker(self) -> None:
        if self._broker_is_back is not None:
            self._broker_is_back.result(2 * PATIENCE_S)

    def _aim(self) -> TransactionState | None:
        """Wait for an open transaction that is open some ms later still; what was known of it last."""
        with contextlib.suppress(TooLate):
            wait_until(self._is_still_open, OPEN_WITHIN_S, "a transaction is open", brief=True)
        return self._transaction()

    def _is_still_open(self) -> bool:
        if not self._is_open():
            return False
        time.sleep(self._chance.uniform(0.0, INTO_IT_S))
        return self._is_open()

    def _is_stopped_inside(self) -> bool:
        """Stop the gateway some ms into a transaction; if none is open then, or has no record yet, it goes on."""
        assert self._shop.gateway is not None
        process = self._shop.gateway.process
        if not self._is_open():
            return False
        time.sleep(self._chance.uniform(0.0, INTO_IT_S))
        process.send_signal(signal.SIGSTOP)
        inside = False
        try:
            early = self._chance.random() < EARLY
            inside = self._is_open() and (early or bool(asyncio.run(_left_open(self._shop, AIMED_S, promised=True))))
        finally:
            if not inside:
                process.send_signal(signal.SIGCONT)
        return inside

    def _is_open(self) -> bool:
        transaction = self._transaction()
        return transaction is not None and transaction.open

    def _transaction(self) -> TransactionState | None:
        return self._cluster.transaction(self._shop.gateway_id)

    def _note(
        self, kind: Kind, node: int | None, transaction: TransactionState | None, left: Sequence[str] = ()
    ) -> tuple[int, int]:
        """Log a kill; the positions then."""
        kill = Kill(
            kind,
            node,
            datetime.now(UTC).isoformat(timespec="milliseconds"),
            self._shop.position(),
            self._shop.confirmed(),
            transaction.state if transaction is not None else "unknown",
            transaction.partitions if transaction is not None else 0,
            len(left),
        )
        self._outcome.kills.append(kill)
        if left:
            self._outcome.left.append(list(left))
        line = json.dumps(asdict(kill))
        with self._outcome.log.open("a") as log:
            log.write(line + "\n")
        self._tell(line)
        return kill.stored, kill.confirmed


def _judge(outcome: Outcome, shop: World, since: Offsets) -> None:
    made = generated(read_journal(shop.directory / "sim" / "journal.jsonl"))
    own = shop.query("SELECT source, generation, sequence FROM events WHERE source = ?", shop.gateway_id)
    made |= {f"{source}:{generation:08x}:{sequence}" for source, generation, sequence in own}
    outcome.made = len(made)
    outcome.verdict = judge(made, asyncio.run(_found(shop, "read_committed", since)))
    written = asyncio.run(_found(shop, "read_uncommitted", since))
    again = set(doubled(Counter(identity for part in written.values() for identity in part)))
    outcome.written_twice = len(again.intersection(itertools.chain.from_iterable(outcome.left)))
    outcome.hits = sum(not again.isdisjoint(left) for left in outcome.left)
    with closing(sqlite3.connect(shop.database)) as connection:
        outcome.integrity = connection.execute("PRAGMA integrity_check").fetchone()[0]


async def _left_open(shop: World, within_s: float = OPEN_WITHIN_S, *, promised: bool = False) -> list[str]:
    """The ids in a dead or stopped gateway's open transaction: what follows the last stable offset.

    Nothing if that can't be read in time.
    """

    async def look() -> list[str] | None:
        with contextlib.suppress(KafkaError):  # a broker may be on its way back
            stable = await end_of(shop.bootstrap, EVENTS.name, "read_committed")
            return ids(await read_events(shop.bootstrap, shop.gateway_id, "read_uncommitted", stable))
        return None

    with contextlib.suppress(TooLate):
        return await wait_until_async(look, within_s, "the topic's end is read", promised=promised) or []
    return []


async def _found(shop: World, isolation: Isolation, since: Offsets) -> dict[int, list[str]]:
    await wait_until_async(
        lambda: no_transaction_is_open(shop.bootstrap, EVENTS.name), PATIENCE_S, "no transaction is open"
    )
    events = await read_events(shop.bootstrap, shop.gateway_id, isolation, since)
    return {part: [str(event.id) for event in found] for part, found in events.items()}
