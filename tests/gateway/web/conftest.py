"""Two daemons to ask: one in a shop of processes with dispensers on real ports, and one inside the test."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from firmware_bridge.actions import Send
from firmware_bridge.bodies import EventBody
from firmware_bridge.codec import body_map, encode_body
from firmware_bridge.link import Delivery, Link
from firmware_bridge.messages import EventMessage, Hello, NozzleInfo, Ready, Welcome
from firmware_bridge.proofs import ready_mac
from gateway.assembly import assemble
from gateway.config import load_config
from gateway.state import GatewayState
from gateway.web.server import serve
from gateway.web.web import Web
from hw_sim.control import SOCKET_NAME, call
from tests.access import Keys, let_in, set_up
from tests.flow.world import Process
from tests.servers import free_port
from tests.waiting import wait_until, wait_until_async

PSEUDONYM_KEY = bytes(range(32))
DISPENSER_KEY = bytes(range(32, 64))

_CONFIG = """\
[gateway]
id = "{gateway}"
store = "mercado-12"
region = "south"
data_dir = "gateway"
ballast_mb = 0

[keys]
dispensers = "{keys}"
pseudonym = "pseudonym.toml"

[http]
port = {port}
"""
SCENARIO = """\
store = "mercado-12"

[[dispensers]]
id = "hot-bar-1"
nozzles = ["garden-green", "table-red", "chipotle-honey", "serrano-verde", "miso-piri", "reaper-raw"]

[[dispensers]]
id = "hot-bar-2"
nozzles = 12
"""


ONE_ASKED = httpx.Limits(max_keepalive_connections=0)
"""The daemon is killed between two requests."""


def write_config(directory: Path, port: int, more: str = "", keys: str = "keys.toml", gateway: str = "gw-1") -> Path:
    """A gateway's files; the path of gateway.toml."""
    for name, text in (
        ("pseudonym.toml", f'version = 1\nkey = "{PSEUDONYM_KEY.hex()}"\n'),
        ("keys.toml", f'[dispensers]\nhot-bar-1 = "{DISPENSER_KEY.hex()}"\n'),
    ):
        (directory / name).touch(0o600)
        (directory / name).write_text(text)
    config = directory / "gateway.toml"
    config.write_text(_CONFIG.format(gateway=gateway, keys=keys, port=port) + more)
    return config


# -- a shop of processes --------------------------------------------------------------------------------------------


@dataclass
class Shop:
    """A gateway and two dispensers, each side a process of its own. No Kafka is set up."""

    directory: Path
    port: int
    gateway: Process
    sim: Process
    keys: Keys
    environment: dict[str, str] = field(default_factory=dict)
    """What the gateway's environment has beyond ours."""

    secure: bool = False
    """Whether the page is served by HTTPS."""

    def __post_init__(self) -> None:
        self.client = httpx.Client(
            base_url=self.url, headers=self.keys.headers, timeout=20, verify=not self.secure, limits=ONE_ASKED
        )
        """Asks as an owner's program."""

    @property
    def url(self) -> str:
        return f"{'https' if self.secure else 'http'}://127.0.0.1:{self.port}"

    def get(self, path: str, **more: Any) -> httpx.Response:
        """An answer, whatever its status."""
        return self.client.get(path, **more)

    def post(self, path: str, body: object = None, **more: Any) -> httpx.Response:
        """An answer to JSON, whatever its status."""
        return self.client.post(path, json=body, **more)

    def put(self, path: str, body: object = None, **more: Any) -> httpx.Response:
        """An answer to JSON, whatever its status."""
        return self.client.put(path, json=body, **more)

    @contextlib.contextmanager
    def stream(self, path: str) -> Iterator[Iterator[str]]:
        """The lines of an answer that goes on."""
        with self.client.stream("GET", path) as answer:
            yield answer.raise_for_status().iter_lines()

    def json(self, path: str) -> Any:
        """A good answer's JSON."""
        return self.get(path).raise_for_status().json()

    def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """A request to the dispensers."""
        return call(self.directory / "sim" / SOCKET_NAME, {"do": do, **more})

    def visit(self, dispenser: str = "hot-bar-1", **script: Any) -> dict[str, Any]:
        """A customer comes, asks and pours; returns once all of it is stored."""
        before = self.json("/api/v1/sync")["stored"]
        answer = self.ask("visit", dispenser=dispenser, **script)
        # an impression and a pour at least
        wait_until(lambda: self.json("/api/v1/sync")["stored"] >= before + 2, 10, "the visit is stored")
        return answer

    def start_gateway(self) -> None:
        """Start the daemon (again) and wait until both dispensers are with it."""
        config = str(self.directory / "gateway.toml")
        self.gateway = Process(
            self.directory, "gateway", "gateway", "run", "--config", config, environment=self.environment
        )
        wait_until(self._all_online, 60, "both dispensers are online")

    def _all_online(self) -> bool:
        assert self.gateway.process.poll() is None, self.gateway.said()
        try:
            dispensers = self.json("/api/v1/dispensers")["dispensers"]
        except httpx.HTTPError:
            return False
        online = [one["online"] for one in dispensers if one["waiting"] is None and one["link"]]  # who came once
        return len(online) >= 2 and all(online)


@contextlib.contextmanager
def open_shop(
    directory: Path, more: str = "", scenario: str = SCENARIO, http: str = "", gateway: str = "gw-1"
) -> Iterator[Shop]:
    """A shop in a directory, closed at the end; `more` goes into gateway.toml, `http` into its [http].

    Where it comes to a Kafka that other tests use, it is called otherwise than they are: `gateway`.
    """
    (directory / "scenario.toml").write_text(scenario)
    port = free_port()
    ports = f'[serial]\nports = ["{directory}/sim/ports/usb-picante-*"]\n'
    write_config(directory, port, http + ports + more, keys="sim/keys.toml", gateway=gateway)
    sim = Process(directory, "sim", "sim", "run", "--scenario", "scenario.toml", "--state", "sim")
    shop = Shop(directory, port, sim, sim, set_up(directory / "gateway"), secure="issuer" in http)
    try:
        wait_until((directory / "sim" / "keys.toml").exists, 60, "the simulator has made its keys")
        shop.start_gateway()
        yield shop
    finally:
        shop.client.close()
        for process in {shop.sim, shop.gateway}:
            process.stop()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """One shop for a file of tests: they add visits and take nothing away."""
    with open_shop(tmp_path_factory.mktemp("shop")) as opened:
        yield opened


# -- a daemon inside the test ---------------------------------------------------------------------------------------


class Down:
    """A link's way down that nobody reads."""

    def send(self, message: object, version: int, written: object = None) -> None:
        """Drop it."""


@dataclass
class Inside:
    """The daemon's parts, and its web on a real port. Events are handed to ingest as a link would."""

    state: GatewayState
    web: Web
    client: httpx.AsyncClient
    serving: asyncio.Task[None]
    keys: Keys
    sequence: int = 0

    @property
    def link(self) -> Link:
        """A link on which nobody has said anything yet."""
        return Link("/dev/ttyUSB0", Down(), self.state.dispensers, self.state.dispensers)

    def hello(self, *nozzles: tuple[int, str, int]) -> Hello:
        """A dispenser comes online with these nozzles, and that is on disk."""
        hello = Hello(
            dispenser="hot-bar-1",
            firmware="1.4.2",
            versions=(1,),
            nozzles=tuple(NozzleInfo(*nozzle) for nozzle in nozzles or [(1, "table-red", 500)]),
            generation=7,
            lowest=1,
            next=2**40,
            nonce=bytes(8),
            boot=1,
            uptime_ms=0,
        )
        link = self.link
        [welcome] = link.session.feed(hello, 0)
        assert isinstance(welcome, Send)
        assert isinstance(welcome.message, Welcome)
        link.session.feed(Ready(mac=ready_mac(DISPENSER_KEY, hello, welcome.message)), 0)
        assert link.session.dispenser == hello.dispenser
        self.state.dispensers.opened(link, hello, None)
        self.state.store.write(lambda tx: None, upkeep=True).result(10)  # what was queued before is done by then
        return hello

    async def deliver(self, hello: Hello, body: EventBody, kind: int | None = None) -> None:
        """Store one event of session 1."""
        self.sequence += 1
        bare = EventMessage(
            generation=hello.generation,
            sequence=self.sequence,
            boot=hello.boot,
            uptime_ms=1_000,
            sent_uptime_ms=1_000,
            session=1,
            kind=body.number if kind is None else kind,
            body=body_map(body),
        )
        message = msgspec.structs.replace(bare, raw=encode_body(bare))
        settled = asyncio.Event()
        self.state.ingest.deliver(Delivery(message, hello, settled.set, settled.set))
        await asyncio.wait_for(settled.wait(), 20)

    async def json(self, path: str) -> Any:
        """A good answer's JSON."""
        return (await self.client.get(path)).raise_for_status().json()

    async def look(self) -> None:
        """Have everything looked at that may be wrong, though it was a moment ago."""
        await self.web.board.read()
        await self.web.board.look()

    async def repair(self, code: str) -> dict[str, Any]:
        """The repair of this code, once it is told of."""

        async def told() -> dict[str, Any] | None:
            await self.look()
            repairs: list[dict[str, Any]] = (await self.json("/api/v1/repairs"))["repairs"]
            return next((repair for repair in repairs if repair["code"] == code), None)

        found: dict[str, Any] | None = await wait_until_async(told, 5, f"a repair {code}")
        assert found is not None
        return found

    async def no_repairs(self) -> None:
        """Wait until nothing is wrong (any more)."""

        async def none() -> bool:
            await self.look()
            return not (await self.json("/api/v1/repairs"))["repairs"]

        await wait_until_async(none, 5, "nothing to repair")


@contextlib.asynccontextmanager
async def inside_of(directory: Path, more: str = "", keys_too: str = "", quota_mb: int = 512) -> AsyncIterator[Inside]:
    """A daemon's parts without its signals, and its web; both end at the end. `keys_too` are lines of [keys]."""
    port = free_port()
    path = write_config(directory, port, more)
    text = path.read_text().replace("ballast_mb", f"quota_mb = {quota_mb}\nballast_mb")
    path.write_text(text.replace("[keys]", f"[keys]\n{keys_too}"))
    config = load_config(path)
    async with assemble(config) as state, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        web = Web(state)
        serving = asyncio.create_task(serve(web, lambda: None), name="web")
        keys = let_in(state.access)
        client.headers.update(keys.headers)
        inside = Inside(state, web, client, serving, keys)
        try:
            await wait_until_async(lambda: _answers(client), 10, "the web answers")
            yield inside
        finally:
            state.stopping.set()
            await asyncio.wait_for(asyncio.gather(serving, return_exceptions=True), 20)


async def _answers(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code in {200, 503}
    except httpx.TransportError:
        return False


@pytest.fixture
async def inside(tmp_path: Path) -> AsyncIterator[Inside]:
    """A daemon inside the test, without dispensers, MQTT and Kafka."""
    async with inside_of(tmp_path) as opened:
        yield opened
