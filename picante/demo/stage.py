"""The demo's world: a shop with six dispensers, a gateway, a broker, a Kafka, each a process of its own.

`Stage` starts and ends them and does to them what the acts ask for. Counting is independent of the gateway: what was
generated is read from the dispensers' rings, what was stored from SQLite, what arrived by a reader of the topic.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
import signal
import sqlite3
import time
from collections import deque
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from cloud_sync.topics import EVENTS
from cloud_sync.unix_http import UnixConnection
from gateway.access.access import open_access
from gateway.access.roles import Role
from heat.catalog import default_catalog
from heat.errors import ConfigError, LinkLost, PicanteError
from hw_sim.control import call
from picante.daemon import SOCKET
from picante.demo.children import Child, any_free_port, end_all, free_port, listening, python_module
from picante.demo.cloud_half import CloudHalf
from picante.demo.numbers import Numbers
from picante.demo.reader import TopicReader, forget

SERIAL = ("counter-1", "counter-2", "window-1", "terrace-1")
MQTT = ("bar-1", "bar-2")
FIRST_PORT = 8080
OWNER = "demo"
WORDS = (
    "ancho", "arbol", "cayenne", "chipotle", "fresno", "ghost", "habanero", "jalapeno", "pasilla", "pepper", "pequin",
    "piri", "poblano", "reaper", "rocoto", "scotch", "serrano", "smoke", "tabasco", "vinegar",
)  # fmt: skip
"""Four of them are a password for as long as a demo plays, on this machine alone."""
GATEWAY_S = 2.0
"""s that the gateway may take for an answer."""
STEP_S = 0.02
READER_S = 5.0
"""Seconds that the reader of the topic may lag behind."""

_GATEWAY_NAME = "gw-demo-"

_SCENARIO = """\
seed = {seed}
store = "demo-store"
keys = "keys.toml"

[mqtt]
port = {mqtt_port}

[crowd]
size = 60
visit_every_s = 0.8
pace = 0.12
"""
_GATEWAY = """\
[gateway]
id = "{gateway}"
store = "demo-store"
region = "demo"
data_dir = "gateway"
quota_mb = 64
ballast_mb = 3

[keys]
dispensers = "sim/keys.toml"
pseudonym = "pseudonym.toml"

[serial]
ports = ["{state}/sim/ports/usb-picante-*"]
baud = 115200

[mqtt]
port = {mqtt_port}

[kafka]
bootstrap = "{bootstrap}"
position = "{position}"

[http]
port = {http_port}
"""


class Stage:
    """Everything that runs. `kafka` is the address of a real broker, or None for the embedded one."""

    def __init__(self, state: Path, kafka: str | None, port: int | None) -> None:
        """Raises ConfigError where the state directory is somebody else's."""
        self.state = state
        self.gateway = gateway_of(state)
        self.kafka = kafka
        self.http_port = port if port is not None else free_port(FIRST_PORT)
        self.page = f"http://127.0.0.1:{self.http_port}/"
        self.mqtt_kind = "mosquitto" if shutil.which("mosquitto", path=_broker_path()) else "amqtt"
        self.reader: TopicReader | None = None
        self.cloud: CloudHalf | None = None
        """None on a Kafka of one's own, where it would publish among what a real one does."""
        self._mqtt_port = any_free_port()
        self._children: dict[str, Child] = {}
        self._before = 0
        self._confirmed: deque[tuple[float, int]] = deque(maxlen=1000)
        self._cut = False
        self.password = "-".join(secrets.choice(WORDS) for _ in range(4))
        """The demo owner's, who is called demo: a new one each time."""
        self._socket = state / "gateway" / SOCKET
        (state / "sim").mkdir(parents=True, exist_ok=True)
        (state / "logs").mkdir(exist_ok=True)

    # -- start and end ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything, as fast as it goes; returns when all processes run.

        Raises:
            PicanteError: a process ended, or did not come up in time.
        """
        self._start_mqtt()
        (self.state / "kafka.address").unlink(missing_ok=True)  # of an earlier demo
        if self.kafka is None:
            self._start("kafka", python_module("picante.demo.kafka_mock", str(self.state / "kafka.address")))
        self._write_scenario()
        self._start("sim", self._picante("sim", "run", "--scenario", "scenario.toml", "--state", "sim"))
        address = self.state / "kafka.address"
        bootstrap = self.kafka or self._wait(lambda: address.exists() and address.read_text(), "the embedded Kafka", 10)
        self._write_gateway_config(bootstrap)
        if self.kafka is None:
            self.cloud = CloudHalf(self.state, bootstrap, self.gateway)
            self.begin_to_count()
        self._wait((self.state / "sim" / "keys.toml").exists, "the simulator", 10)
        self._set_up()
        self._start("gateway", self._picante("gateway", "run", "--config", "gateway.toml"))
        self.reader = TopicReader(bootstrap, EVENTS.name, self.gateway)
        if self.cloud is not None:
            self._start("cloud", self.cloud.command)
            self.cloud.watch()

    def end(self) -> None:
        """End every process that was started."""
        for watcher in (self.reader, self.cloud):
            if watcher is not None:
                watcher.stop()
        end_all(list(self._children.values()))
        if self.kafka is not None and self.reader is not None and self.reader.reached:
            forget(self.kafka, self.gateway)

    def _start(self, name: str, command: list[str]) -> None:
        self._children[name] = Child(name, command, self.state / "logs" / f"{name}.log", self.state)

    def _picante(self, *arguments: str) -> list[str]:
        return python_module("picante", *arguments)

    def _start_mqtt(self) -> None:
        port = str(self._mqtt_port)
        if self.mqtt_kind == "mosquitto":
            config = self.state / "mosquitto.conf"
            # where it gives up being root, the kernel forgets that it has to end with the demo
            user = "user root\n" if os.geteuid() == 0 else ""
            config.write_text(f"{user}listener {port} 127.0.0.1\nallow_anonymous true\nmax_inflight_messages 0\n")
            self._start("mqtt", [shutil.which("mosquitto", path=_broker_path()) or "mosquitto", "-c", str(config)])
        else:
            self._start("mqtt", python_module("picante.demo.amqtt_broker", port))
        self._wait(lambda: listening(self._mqtt_port), f"the MQTT broker ({self.mqtt_kind})", 10)

    def _write_scenario(self) -> None:
        text = _SCENARIO.format(seed=secrets.randbelow(10_000), mqtt_port=self._mqtt_port)
        sauces = list(default_catalog())
        for link, names in (("serial", SERIAL), ("mqtt", MQTT)):
            for number, name in enumerate(names):
                nozzles = json.dumps(sauces[number % 2 :: 2])  # every second one: the whole scale at each dispenser
                text += f'\n[[dispensers]]\nid = "{name}"\nlink = "{link}"\nnozzles = {nozzles}\nsample_hz = 10\n'
        (self.state / "scenario.toml").write_text(text)

    def _write_gateway_config(self, bootstrap: str) -> None:
        secret = self.state / "pseudonym.toml"
        if not secret.exists():
            secret.touch(0o600)
            secret.write_text(f'version = 1\nkey = "{secrets.token_hex(32)}"\n')
        (self.state / "gateway.toml").write_text(
            _GATEWAY.format(
                gateway=self.gateway,
                state=self.state,
                mqtt_port=self._mqtt_port,
                bootstrap=bootstrap,
                position="kafka" if self.kafka else "sqlite",
                http_port=self.http_port,
            )
        )

    def _set_up(self) -> None:
        """Let the demo's owner in, with this demo's password."""
        directory = self.state / "gateway"
        directory.mkdir(exist_ok=True)
        with closing(open_access(directory)) as access:
            if access.people.get(OWNER) is None:
                access.add_person_now(OWNER, self.password, Role.OWNER)
            else:
                access.set_password_now(OWNER, self.password)

    def _wait(self, ready: Callable[[], Any], what: str, within_s: float) -> Any:
        deadline = time.monotonic() + within_s
        while not (value := ready()):
            self.check()
            if time.monotonic() > deadline:
                raise PicanteError(f"{what} did not come up in {within_s:g} s", hint=f"Logs are in {self.state}/logs")
            time.sleep(STEP_S)
        return value

    def check(self) -> None:
        """Raise PicanteError if a process ended that should run."""
        for child in self._children.values():
            if not child.running():
                raise PicanteError(
                    f"{child.name} ended by itself: {child.last_words()}", hint=f"Its log is {child.log}"
                )

    # -- looking ----------------------------------------------------------------------------------------------------

    def ask_sim(self, do: str, **more: Any) -> dict[str, Any]:
        """A request to the simulator's control socket."""
        return call(self.state / "sim" / "sim.sock", {"do": do, **more}, timeout_s=10)

    def gateway_json(self, path: str) -> dict[str, Any] | None:
        """An answer of the gateway's API, or None while it does not answer."""
        with closing(UnixConnection(self._socket, GATEWAY_S)) as connection:
            try:
                connection.request("GET", f"/{path}")
                answer = connection.getresponse()
                return json.load(answer) if answer.status == http.HTTPStatus.OK else None
            except (OSError, http.client.HTTPException, ValueError):
                return None

    def page_is_up(self) -> bool:
        """Whether the gateway's page answers."""
        return self.gateway_json("healthz") is not None

    def online(self) -> int:
        """How many dispensers are online, as they see it themselves."""
        try:
            return sum(unit["online"] for unit in self.ask_sim("status")["dispensers"].values())
        except LinkLost:
            return 0

    def begin_to_count(self) -> None:
        """Leave out what an earlier demo had brought into its embedded Kafka; before the gateway sends the rest."""
        stored, waiting = self._stored()
        self._before = stored - waiting

    def numbers(self) -> Numbers:
        """Where the events are."""
        units: dict[str, Any] = self.ask_sim("status")["dispensers"]
        stored, waiting = self._stored()
        stored -= self._before
        reader = self.reader
        in_topic = sum(reader.count(name, unit["generation"]) for name, unit in units.items()) if reader else 0
        generated = sum(unit["generated"] for unit in units.values()) - self._before
        held = sum(unit["held"] for unit in units.values())
        return Numbers(
            generated=generated,
            stored=stored,
            in_topic=in_topic,
            duplicates=reader.duplicates if reader else 0,
            kafka_answers=reader is not None and reader.reached,
            waiting=waiting,
            held=held,
            picks_shown=sum(unit["picks_shown"] for unit in units.values()),
            picks_accepted=sum(unit["picks_accepted"] for unit in units.values()),
            online=sum(unit["online"] for unit in units.values()),
            cloud=None if self.cloud is None else self.cloud.numbers,
            lost=max(generated - held - stored, 0) + max(self._confirmed_lately(stored - waiting) - in_topic, 0),
        )

    def _confirmed_lately(self, confirmed: int) -> int:
        """How many events Kafka had confirmed a while ago; the reader has had time to see those, or is cut off."""
        if self._cut:
            return 0
        now = time.monotonic()
        self._confirmed.append((now, confirmed))
        while len(self._confirmed) > 1 and self._confirmed[1][0] <= now - READER_S:
            self._confirmed.popleft()
        at, count = self._confirmed[0]
        return count if at <= now - READER_S else 0

    def _stored(self) -> tuple[int, int]:
        """Dispenser events on disk, and how many of them Kafka is not known to have."""
        marks = ",".join("?" * len(SERIAL + MQTT))
        try:
            with closing(sqlite3.connect(f"file:{self.state}/gateway/gateway.db?mode=ro", uri=True)) as connection:
                return connection.execute(  # type: ignore[no-any-return]
                    f"SELECT (SELECT ifnull(sum(last - first + 1), 0) FROM sequences WHERE source IN ({marks})),"  # noqa: S608
                    f" (SELECT count(*) FROM events WHERE source IN ({marks}) AND position >"
                    " (SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'confirmed'))",
                    (*SERIAL, *MQTT, *SERIAL, *MQTT),
                ).fetchone()
        except sqlite3.Error:
            return 0, 0

    # -- doing ------------------------------------------------------------------------------------------------------

    def cut_internet(self) -> None:
        """Freeze the embedded Kafka: its connections stay up and nothing answers, as when a line goes dead."""
        self._quiet_moment()
        self._children["kafka"].signal(signal.SIGSTOP)
        self._confirmed.clear()
        self._cut = True

    def mend_internet(self) -> None:
        """Let the embedded Kafka go on, if it was cut off."""
        if "kafka" in self._children:
            self._children["kafka"].signal(signal.SIGCONT)
        self._cut = False

    def kill_gateway(self) -> float:
        """SIGKILL, and start it again at once, as systemd would. Returns the (monotonic) time of the kill."""
        if self.kafka is None:
            self._quiet_moment()
        child = self._children["gateway"]
        os.kill(child.process.pid, signal.SIGKILL)
        child.process.wait()
        killed = time.monotonic()
        child.restart()
        return killed

    def _quiet_moment(self, within_s: float = 5.0) -> None:
        """Wait for the moment after a transaction: the embedded Kafka can't take one back that was cut in two."""
        first = (self.gateway_json("api/v1/sync") or {}).get("transactions")
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            sync = self.gateway_json("api/v1/sync") or {}
            if sync.get("transactions") != first and sync.get("in_flight") == 0:
                return
            time.sleep(STEP_S / 2)


def gateway_of(state: Path) -> str:
    """The gateway's name: one for each state directory, since a Kafka remembers whom it has met.

    Its file is the mark of a demo's directory, in which files are overwritten and folders removed. Raises ConfigError
    where there is something else.
    """
    path = state / "gateway.id"
    try:
        state.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            if any(state.iterdir()):
                raise ConfigError(
                    f"{state} is not empty, and no demo's", hint="--state names a folder of the demo's own"
                )
            path.write_text(f"{_GATEWAY_NAME}{secrets.token_hex(3)}")
        name = path.read_text()
    except OSError as error:
        raise ConfigError(f"{state}: {error.strerror}", hint="--state names a folder that can be written") from error
    if not name.startswith(_GATEWAY_NAME):
        raise ConfigError(f"{path} is no demo's", hint="--state names a folder of the demo's own")
    return name


def _broker_path() -> str:
    """Where Mosquitto may be: Debian keeps it in a directory that is on root's PATH alone."""
    return os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/local/sbin"])
