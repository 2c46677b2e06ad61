"""A shop made of processes: the simulator and the gateway, against real brokers, and a reader of the topic."""

from __future__ import annotations

import functools
import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from tests.access import console
from tests.cluster import KafkaCluster
from tests.loaded import start
from tests.reference import digest
from tests.servers import KafkaServer, MosquittoServer, ServerElsewhere, free_port
from tests.signed import trust
from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]
PSEUDONYM_KEY = bytes(range(32))
HTTP = httpx.Client(limits=httpx.Limits(max_keepalive_connections=0))
"""What asks gateways; `httpx.get` reads the system's certificates each time, 27 ms of a core."""
ANSWER_S = 20.0
"""What a daemon beside brokers, browsers and another worker may take for an answer."""

Kafka = KafkaServer | KafkaCluster | ServerElsewhere
Mqtt = MosquittoServer | ServerElsewhere

_CONFIG = """\
[gateway]
id = "{gateway}"
store = "flow-store"
region = "{region}"
data_dir = "gateway"

[keys]
dispensers = "sim/keys.toml"
pseudonym = "pseudonym.toml"
bundles = "bundle-keys.toml"

[serial]
ports = ["{directory}/sim/ports/usb-picante-*"]

[mqtt]
host = "{mqtt_host}"
port = {mqtt_port}

[kafka]
bootstrap = "{bootstrap}"

[http]
port = {http_port}
"""


class Process:
    """A `picante` command as a child, its output in a file."""

    def __init__(
        self, directory: Path, name: str, *arguments: str, environment: Mapping[str, str] | None = None
    ) -> None:
        self.log = directory / f"{name}.log"
        self.process = start(arguments, directory, self.log, os.environ | (environment or {}))

    def kill(self) -> None:
        """SIGKILL."""
        self.process.kill()
        self.process.wait()

    def stop(self, within_s: float = 10) -> int:
        """SIGTERM, and its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def said(self) -> str:
        """The end of its output."""
        return self.log.read_text(errors="replace")[-2000:]


@dataclass
class World:
    """One shop in a directory. `gateway` is the running daemon, `sim` the running dispensers."""

    directory: Path
    gateway_id: str
    bootstrap: str
    http_port: int
    gateway: Process | None = None
    sim: Process | None = None
    environment: dict[str, str] = field(default_factory=dict)
    """What the gateway's environment has beyond ours."""

    @property
    def database(self) -> Path:
        return self.directory / "gateway" / "gateway.db"

    @property
    def socket(self) -> Path:
        return self.directory / "sim" / "sim.sock"

    def start_sim(self, *arguments: str) -> Process:
        """Start the dispensers of scenario.toml."""
        self.sim = Process(
            self.directory, "sim", "sim", "run", "--scenario", "scenario.toml", "--state", "sim", *arguments
        )
        keys = self.directory / "sim" / "keys.toml"
        wait_until(lambda: keys.exists() or self.sim_ended(), 60, "the simulator has made its keys")
        return self.sim

    def without_dispensers(self) -> None:
        """Let the gateway start where no simulator ever made keys."""
        keys = self.directory / "sim" / "keys.toml"
        keys.parent.mkdir()
        keys.write_text("[dispensers]\n")
        keys.chmod(0o600)

    def sim_ended(self) -> bool:
        """Whether the simulator is over."""
        return self.sim is None or self.sim.process.poll() is not None

    def start_gateway(self, within_s: float = 60, *, promised: bool = False) -> Process:
        """Start the daemon and wait for its page; 26 s were seen on a machine with ten times the work it can do."""
        started = self.spawn_gateway()
        self.wait_until_ready(within_s, promised=promised)
        return started

    def spawn_gateway(self) -> Process:
        """Start the daemon."""
        arguments = ("gateway", "run", "--config", "gateway.toml")
        self.gateway = Process(self.directory, "gateway", *arguments, environment=self.environment)
        return self.gateway

    def wait_until_ready(self, deadline_s: float, *, promised: bool = False) -> None:
        """Wait for the daemon's page."""
        assert self.gateway is not None
        wait_until(self._ready, deadline_s, f"the gateway is ready: {self.gateway.said()}", promised=promised)

    def _ready(self) -> bool:
        assert self.gateway is not None
        assert self.gateway.process.poll() is None, self.gateway.said()
        try:
            return HTTP.get(f"{self.url}/readyz", timeout=2).is_success
        except httpx.HTTPError:
            return False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @functools.cached_property
    def console(self) -> httpx.Client:
        """Asks as whoever sits at the machine."""
        return console(self.database.parent)

    def get(self, path: str) -> Any:
        """An answer of the gateway's API."""
        return self.console.get(path).raise_for_status().json()

    def get_text(self, path: str) -> str:
        """An answer that is no JSON."""
        return self.console.get(path).raise_for_status().text

    def query(self, sql: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Rows of the gateway's database, read beside it."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return connection.execute(sql, arguments).fetchall()

    def stored(self) -> int:
        """Rows in the database; 0 while there is none."""
        return self._number("SELECT count(*) FROM events")

    def position(self) -> int:
        """The position of the last row; 0 while there is none."""
        return self._number("SELECT ifnull(max(position), 0) FROM events")

    def confirmed(self) -> int:
        """Rows up to this position are known to be in Kafka; 0 while there is no database."""
        return self._number("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed'")

    def _number(self, sql: str) -> int:
        try:
            return int(self.query(sql)[0][0])
        except sqlite3.Error:
            return 0

    def digests(self) -> dict[str, str]:
        """The naive reference's digest of the rows of each customer's profile."""
        buckets: dict[str, list[list[Any]]] = defaultdict(list)
        flavours: dict[str, list[list[Any]]] = defaultdict(list)
        for subject, *row in self.query(
            "SELECT subject, origin, day, kind, n, w, wq, wqq, b0, b1, b2, b3, b4, b5, b6, b7, b8, b9 FROM buckets"
        ):
            buckets[subject].append([*row[:7], row[7:]])
        for subject, *row in self.query("SELECT subject, origin, day, kind, tag, n, w FROM flavours"):
            flavours[subject].append(row)
        return {s: digest(buckets[s], flavours[s]) for s in buckets if s.startswith("p1-")}

    def everything_confirmed(self) -> bool:
        """Whether Kafka has all that the database holds."""
        return bool(
            self.query(
                "SELECT (SELECT max(position) FROM events) = (SELECT CAST(value AS INTEGER) FROM meta"
                " WHERE key = 'confirmed')"
            )[0][0]
        )

    def ledger(self) -> list[dict[str, Any]]:
        """The rows of all its days, as the gateway tells them."""
        days = self.get("/api/v1/ledger")["days"]
        return [row for day in days for row in self.get(f"/api/v1/ledger?day={day}")["rows"]]

    def read_topic(self, topic: str, isolation: str = "read_committed") -> list[dict[str, Any]]:
        """All records of a topic from its beginning, by a reader that is a process of its own."""
        command = [sys.executable, "-m", "tests.flow.read_topic", self.bootstrap, topic, isolation]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]


@contextmanager
def world(  # noqa: PLR0913, PLR0917 -- what a test may want of a shop
    directory: Path, kafka: Kafka, mqtt: Mqtt, scenario: str, gateway_id: str, seed: int = 1, region: str | None = None
) -> Iterator[World]:
    """A shop with its files written; whatever still runs at the end is stopped.

    It is alone in its region unless one is given: the Kafka is many tests', and a region's gateways are told of each
    other's customers.

    `scenario` are the tables of a scenario file; its seed, the store, the broker and the gateway's address are put
    before them.
    """
    port = free_port()
    head = (
        f'seed = {seed}\nstore = "flow-store"\ngateway = "unix:{directory}/gateway/gateway.sock"\n'
        f'[mqtt]\nhost = "{mqtt.host}"\nport = {mqtt.port}\n'
    )
    (directory / "scenario.toml").write_text(head + scenario)
    trust(directory / "bundle-keys.toml")
    secret = directory / "pseudonym.toml"
    secret.write_text(f'version = 1\nkey = "{PSEUDONYM_KEY.hex()}"\n')
    secret.chmod(0o600)
    (directory / "gateway.toml").write_text(
        _CONFIG.format(
            gateway=gateway_id,
            region=region or gateway_id,
            directory=directory,
            mqtt_host=mqtt.host,
            mqtt_port=mqtt.port,
            bootstrap=kafka.bootstrap,
            http_port=port,
        )
    )
    made = World(directory, gateway_id, kafka.bootstrap, port)
    try:
        yield made
    finally:
        for process in (made.sim, made.gateway):
            if process is not None:
                process.stop()
