"""Real servers for tests: Apache Kafka, Mosquitto and Redis, as processes of our own on free loopback ports.

The fixtures of `conftest` hand these out; whatever runs outside pytest (fault sweeps, benchmarks) makes them itself:

    with KafkaServer(directory) as kafka, MosquittoServer(directory) as mqtt:
        ...  # kafka.bootstrap, mqtt.host, mqtt.port

Each keeps its port and its files over kill() and start(), so that clients meet the same server again. All calls block:
in an event loop use `asyncio.to_thread`. The servers' logs are in their directories.
"""

import asyncio
import base64
import contextlib
import getpass
import hashlib
import os
import random
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from aiokafka import AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, for_code

from tests.waiting import wait_until, wait_until_async

HERE = Path(__file__).parent

UNUSED_BY_CLIENTS = range(15_000, 32_000)
"""Below Linux' ephemeral range (32,768 up), so that no outgoing connection takes a killed server's port meanwhile."""

KAFKA_READY_S = 90.0
"""Seconds that Kafka may take: 4 on an idle machine with 2 cores, ten times that when it is busy."""

COORDINATOR_S = 10.0
"""Seconds for one look at Kafka's readiness: the internal topics are made at the first look, in about a second."""

MOSQUITTO_READY_S = 20.0
"""Seconds that Mosquitto may take: some milliseconds, more when it loads a large persistence file."""

REDIS_READY_S = 20.0
"""Seconds that Redis may take: some milliseconds."""

STOP_S = 20.0
"""Seconds that a server has after SIGTERM, before SIGKILL."""


class ServerUnavailable(Exception):
    """A server that this machine can't start; the text says what is missing and what replaces it."""


class ServerBroken(Exception):
    """A server that ended or stayed silent while starting; the text holds the end of its log."""


def free_port() -> int:
    """Return a loopback port that nobody listens on and that no client is given by the kernel.

    Each worker of pytest-xdist has a share of the ports: none is given out twice before its server listens.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    share = UNUSED_BY_CLIENTS[worker :: int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))]
    for port in random.sample(share, 200):
        if is_free(port):
            return port
    raise ServerBroken(f"no free port among 200 of {share}")


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket() as probe, contextlib.suppress(OSError):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
        return True
    return False


def kafka_jars() -> Path:
    """Return the folder with Kafka's jars that `scripts/test-setup` fills.

    Raises:
        ServerUnavailable: the jars or Java are missing.
    """
    pom = (HERE / "kafka" / "pom.xml").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    jars = cache / "picante" / f"kafka-{hashlib.sha256(pom).hexdigest()[:16]}" / "libs"
    way_out = "run scripts/test-setup, or set PICANTE_TEST_KAFKA=HOST:PORT"
    if not jars.is_dir():
        raise ServerUnavailable(f"no Kafka in {jars}: {way_out}")
    if shutil.which("java") is None:
        raise ServerUnavailable(f"no java on PATH: {way_out}")
    return jars


def class_archive() -> Path:
    """Where `tests.kafka_classes` keeps what it archives.

    Raises:
        ServerUnavailable: the jars or Java are missing.
    """
    return kafka_jars().parent / "classes.jsa"


def kafka_id() -> str:
    """A random id as Kafka writes them, for a cluster or a log directory."""
    return base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")


def mosquitto_program() -> str:
    """Return Mosquitto's path; Debian keeps it in a folder that only root has on PATH.

    Raises:
        ServerUnavailable: it is not installed.
    """
    program = shutil.which("mosquitto", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
    if program is None:
        raise ServerUnavailable("no mosquitto: run scripts/test-setup, or set PICANTE_TEST_MQTT=HOST:PORT")
    return program


class LocalServer(ABC):
    """A process of ours that listens on loopback: its output goes to a file, and nothing but its own pid ends it."""

    host = "127.0.0.1"

    def __init__(self, directory: Path, name: str, port: int | None) -> None:
        self.directory = directory
        self.log = directory / f"{name}.log"
        self.port = port or free_port()
        self._name = name
        self._process: subprocess.Popen[bytes] | None = None
        directory.mkdir(parents=True, exist_ok=True)

    @abstractmethod
    def start(self) -> None:
        """Start it, for the first time or after kill() or stop(), and return when it serves.

        Raises:
            ServerBroken: it ended, or didn't serve in time.
        """

    @property
    def alive(self) -> bool:
        """Whether the process runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int:
        """The pid of the process that was started last."""
        assert self._process is not None, f"{self._name} was never started"
        return self._process.pid

    def kill(self) -> None:
        """SIGKILL, and wait for the end; nothing happens when it has ended already."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def stop(self, within_s: float = STOP_S) -> None:
        """SIGTERM, and SIGKILL when that is not enough in time."""
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.kill()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.kill()

    def log_end(self) -> str:
        """The last lines of the log, for a failure's text."""
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join([f"--- end of {self.log}:", *lines[-30:]])

    def _spawn(self, command: Sequence[str], serves: Callable[[], bool], deadline_s: float) -> None:
        assert not self.alive, f"{self._name} runs already"
        if not is_free(self.port):  # or whoever has it would pass for ours
            raise ServerBroken(f"{self._name} can't have port {self.port}: someone listens there")
        with self.log.open("ab") as log:
            # In a session of its own: a Ctrl-C in the terminal ends the tests, and they end the server.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )
        try:
            wait_until(lambda: not self.alive or serves(), deadline_s, f"{self._name} serves on port {self.port}")
            if not self.alive:
                raise ServerBroken(f"{self._name} ended while starting\n{self.log_end()}")
        except AssertionError as late:
            self.kill()
            raise ServerBroken(f"{late}\n{self.log_end()}") from None
        except BaseException:
            self.kill()
            raise


class KafkaServer(LocalServer):
    """Apache Kafka in KRaft mode: one node, plaintext, transactions and groups; it needs 400 MB of memory.

    kill() leaves its log files as a machine that lost its process would; start() recovers from them.
    """

    java: tuple[str, ...] = ("-Xmx512m", "-XX:TieredStopAtLevel=1")
    """Options of its JVM. The quick compiler alone: what the other one does pays only after minutes of one load."""

    def __init__(self, directory: Path, port: int | None = None) -> None:
        super().__init__(directory, "kafka", port)
        self._classpath = f"{kafka_jars()}/*"
        self._configuration = directory / "server.properties"

    @property
    def bootstrap(self) -> str:
        """What a client's `bootstrap_servers` wants."""
        return f"{self.host}:{self.port}"

    def start(self) -> None:
        """See `LocalServer.start`; groups and transactions have their coordinators then."""
        self.prepare()
        self._spawn([*self._java(), "kafka.Kafka", str(self._configuration)], self._serves, KAFKA_READY_S)

    def prepare(self) -> None:
        """Write what it starts from, if that is not there yet."""
        if not self._configuration.exists():
            self._format()

    def _java(self) -> list[str]:
        """A JVM; what it runs follows."""
        archive = class_archive()
        known = [f"-XX:SharedArchiveFile={archive}"] if archive.exists() else []
        return ["java", *known, *self.java, "-XX:+UseSerialGC", "-Dlog4j2.level=WARN", "-cp", self._classpath]

    def _placeholders(self) -> dict[str, object]:
        """What server.properties has in braces."""
        return {
            "node": 1,
            "controller_port": (own := free_port()),
            "controllers": f"{self.host}:{own}",
            "replicas": 1,
            "in_sync": 1,
        }

    def _format_options(self) -> list[str]:
        """How this node is told which quorum it belongs to."""
        return ["--standalone", f"--cluster-id={kafka_id()}"]

    def _properties(self) -> str:
        """The whole server.properties; of a name that stands twice, Kafka takes the last."""
        text = (HERE / "kafka" / "server.properties").read_text()
        own = {"port": self.port, "data": self.directory / "data"}
        for name, value in (own | self._placeholders()).items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def _format(self) -> None:
        unformatted = self.directory / "unformatted.properties"
        unformatted.write_text(self._properties())
        done = subprocess.run(
            [
                *(*self._java(), "kafka.tools.StorageTool", "format"),
                *("-c", str(unformatted), *self._format_options()),
            ],
            capture_output=True,
            text=True,
            timeout=KAFKA_READY_S,
            check=False,
        )
        if done.returncode:
            raise ServerBroken(f"Kafka's storage can't be formatted: {done.stdout}{done.stderr}")
        unformatted.rename(self._configuration)

    def _serves(self) -> bool:
        try:
            socket.create_connection((self.host, self.port), 1.0).close()
        except OSError:
            return False
        # In a thread of its own, so that start() works under a running event loop too.
        with ThreadPoolExecutor(1) as thread:
            return thread.submit(asyncio.run, self.coordinates()).result()

    async def coordinates(self) -> bool:
        """Ask for a transaction and a group, so that nobody's first call finds their internal topics still missing."""
        producer = AIOKafkaProducer(bootstrap_servers=self.bootstrap, transactional_id="picante-test-ready")
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            async with asyncio.timeout(COORDINATOR_S):
                await producer.start()
                await admin.start()
                await admin.list_consumer_group_offsets("picante-test-ready")
        except (KafkaError, TimeoutError):
            return False
        finally:
            await producer.stop()
            await admin.close()
        return True


class MeasuredKafka(KafkaServer):
    """One for benchmarks, with all that its JVM can do to be fast."""

    java: tuple[str, ...] = ("-Xmx512m",)


class MosquittoServer(LocalServer):
    """Mosquitto on loopback, open to anyone, with persistence and unbounded queues.

    A kill() leaves what the last save wrote: Mosquitto acknowledges a message first, and saves now and then all that it
    has. Here that is every second or two (by default every half hour), and at once by `save()`; what was acknowledged
    after that is gone with the process. stop() always saves.
    """

    def __init__(self, directory: Path, port: int | None = None, autosave_s: int = 1) -> None:
        super().__init__(directory, "mosquitto", port)
        self._program = mosquitto_program()
        self._configuration = directory / "mosquitto.conf"
        self._saved = directory / "mosquitto.db"
        self._configuration.write_text(self._settings(autosave_s))

    def _settings(self, autosave_s: int) -> str:
        """The whole mosquitto.conf."""
        settings: dict[str, object] = {
            "listener": f"{self.port} {self.host}",
            "allow_anonymous": "true",
            # Started by root it would become `mosquitto`, who can't write here.
            "user": getpass.getuser(),
            "persistence": "true",
            "persistence_location": self.directory,
            "persistence_file": self._saved.name,
            "autosave_interval": autosave_s,
            "max_inflight_messages": 0,
            "max_queued_messages": 0,
            "set_tcp_nodelay": "true",
            "log_dest": "stderr",
            "log_timestamp_format": "%Y-%m-%dT%H:%M:%S",
        }
        return "".join(f"{name} {value}\n" for name, value in settings.items())

    def start(self) -> None:
        """See `LocalServer.start`; the saved sessions are loaded then."""
        self._spawn([self._program, "-c", str(self._configuration)], self._serves, MOSQUITTO_READY_S)

    def _serves(self) -> bool:
        return mqtt_accepts(self.host, self.port)

    def empty(self) -> None:
        """Take its memory: sessions, queues and retained messages. It must not run."""
        assert not self.alive
        self._saved.unlink(missing_ok=True)

    def save(self) -> None:
        """Write sessions, queues and retained messages to disk now; what was acknowledged before survives a kill()."""
        before = self.last_save
        os.kill(self.pid, signal.SIGUSR1)
        wait_until(lambda: self.last_save != before, MOSQUITTO_READY_S, f"Mosquitto wrote {self._saved}")

    @property
    def last_save(self) -> tuple[int, int] | None:
        """A mark that changes when a save is complete: each writes a file, and renames it at the end."""
        with contextlib.suppress(FileNotFoundError):
            now = self._saved.stat()
            return now.st_ino, now.st_mtime_ns
        return None


class RedisServer(LocalServer):
    """Redis on loopback, open to anyone, with an append-only file that is synchronised at every command.

    kill() and start() lose nothing so; after empty() it starts without a memory.
    """

    def __init__(
        self,
        directory: Path,
        port: int | None = None,
        *,
        password: str | None = None,
        tls: tuple[Path, Path, Path] | None = None,
    ) -> None:
        """`tls`: files of the authority, the certificate and its key; the port speaks nothing else then."""
        super().__init__(directory, "redis", port)
        self._program = shutil.which("redis-server")
        if self._program is None:
            raise ServerUnavailable("no redis-server: run scripts/test-setup")
        self._password = password
        self._tls = tls

    @property
    def url(self) -> str:
        """What `hot_store.url` wants."""
        return f"{'redis' if self._tls is None else 'rediss'}://{self.host}:{self.port}/0"

    def start(self) -> None:
        """See `LocalServer.start`; what it had is loaded then."""
        options = {
            "--bind": self.host,
            "--port": str(self.port),
            "--dir": str(self.directory),
            "--appendonly": "yes",
            "--appendfsync": "always",
            "--save": "",
            **({"--requirepass": self._password} if self._password else {}),
        }
        if self._tls is not None:
            files = zip(("--tls-ca-cert-file", "--tls-cert-file", "--tls-key-file"), map(str, self._tls), strict=True)
            options |= {"--port": "0", "--tls-port": str(self.port), "--tls-auth-clients": "no", **dict(files)}
        assert self._program is not None
        self._spawn([self._program, *(part for pair in options.items() for part in pair)], self._serves, REDIS_READY_S)

    def _serves(self) -> bool:
        with (
            contextlib.suppress(OSError),
            socket.create_connection((self.host, self.port), 1.0) as plain,
            plain if self._tls is None else self._encrypted(plain) as line,
        ):
            line.sendall(b"PING\r\n")
            return line.recv(64).startswith((b"+PONG", b"-NOAUTH"))
        return False

    def _encrypted(self, plain: socket.socket) -> socket.socket:
        assert self._tls is not None
        return ssl.create_default_context(cafile=str(self._tls[0])).wrap_socket(plain, server_hostname=self.host)

    def empty(self) -> None:
        """Take its memory. It must not run."""
        assert not self.alive
        shutil.rmtree(self.directory / "appendonlydir", ignore_errors=True)


@dataclass(frozen=True, slots=True)
class ServerElsewhere:
    """A server that someone else runs; a test can use it and not kill it."""

    host: str
    port: int

    @classmethod
    def parse(cls, address: str) -> Self:
        """Read HOST:PORT."""
        host, separator, port = address.rpartition(":")
        if not (host and separator and port.isdecimal()):
            raise ServerUnavailable(f"HOST:PORT is wanted, not {address!r}")
        return cls(host, int(port))

    @property
    def bootstrap(self) -> str:
        """What a client's `bootstrap_servers` wants."""
        return f"{self.host}:{self.port}"


def mqtt_accepts(host: str, port: int) -> bool:
    """Whether an MQTT broker answers an anonymous CONNECT there with "accepted"."""
    connect = bytes.fromhex(
        "100c 0004 4d515454 04 02 0005 0000"
    )  # MQTT 3.1.1, clean session, keep-alive 5 s, no client id
    with contextlib.suppress(OSError), socket.create_connection((host, port), 1.0) as link:
        link.sendall(connect)
        accepted = link.recv(4) == bytes.fromhex("20020000")
        link.sendall(bytes.fromhex("e000"))
        return accepted
    return False


async def create_topic(bootstrap: str, partitions: int = 1, settings: Mapping[str, str] | None = None) -> str:
    """Make a topic with a random name on the broker, wait until each partition has a leader, and return the name."""
    name = f"picante-test-{secrets.token_hex(6)}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        made = await admin.create_topics([NewTopic(name, partitions, 1, topic_configs=dict(settings or {}))])
        for _, code, *text in made.topic_errors:
            if code:
                raise for_code(code)(*text)

        async def led() -> bool:
            [topic] = await admin.describe_topics([name])
            return [part["error_code"] for part in topic["partitions"]] == [0] * partitions

        await wait_until_async(led, KAFKA_READY_S, f"every partition of {name} has a leader")
    finally:
        await admin.close()
    return name
