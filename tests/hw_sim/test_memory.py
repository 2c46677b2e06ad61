"""Two hundred dispensers in one process, online, their rings full: within 200 MB."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from pathlib import Path

import paho.mqtt.client as mqtt_client
from paho.mqtt.enums import CallbackAPIVersion

from firmware_bridge.codec import BadMessage, decode_packet, encode_packet
from firmware_bridge.messages import DownMessage
from firmware_bridge.topics import topic
from hw_sim.keys import load_keys
from hw_sim.simulation import port_path
from tests.firmware_bridge.pair import Disk
from tests.hw_sim.desk import Gateway, gateway_at
from tests.servers import MosquittoServer, ServerElsewhere
from tests.waiting import wait_until_async

HALF = 100
LIMIT_MB = 200

SHOP = """
import asyncio, sys
from pathlib import Path
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation

async def main():
    async with Simulation(parse_scenario(sys.argv[2]), Path(sys.argv[1])) as simulation:
        units = simulation.units.values()
        for unit in units:
            for _ in range(10):
                unit.pour(1, 3_000)
        async with asyncio.timeout(60):
            while not all(unit.online and unit.header.acked == 10 for unit in units):
                await asyncio.sleep(0.1)
        for unit in units:
            memory = unit._recorder.ring._memory
            memory[4096:] = bytes(len(memory) - 4096)  # as full as it can be: every page is in use
        print(len(units), Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

asyncio.run(main())
"""


class Network:
    """A gateway for every dispenser of a store on the broker."""

    def __init__(self, broker: MosquittoServer | ServerElsewhere, store: str, keys: dict[str, bytes]) -> None:
        self._loop = asyncio.get_running_loop()
        self._store, self._keys = store, keys
        self._gateways: dict[str, Gateway] = {}
        self._client = mqtt_client.Client(CallbackAPIVersion.VERSION2, client_id=f"all-{secrets.token_hex(4)}")
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.connect(broker.host, broker.port)
        self._client.loop_start()

    # in paho's thread

    def _on_connect(self, *_: object) -> None:
        self._client.subscribe(topic(self._store, "+", "up"), 1)

    def _on_message(self, _client: object, _userdata: object, message: mqtt_client.MQTTMessage) -> None:
        self._loop.call_soon_threadsafe(self._hear, message.topic.split("/")[3], bytes(message.payload))

    # in the loop's

    async def aclose(self) -> None:
        self._client.disconnect()
        await asyncio.to_thread(self._client.loop_stop)

    def _hear(self, name: str, payload: bytes) -> None:
        if name not in self._gateways:

            def send(message: DownMessage) -> None:
                self._client.publish(topic(self._store, name, "down"), encode_packet(message), qos=1)

            self._gateways[name] = Gateway(Disk(keys=self._keys), send)
        message = decode_packet(payload)
        assert not isinstance(message, BadMessage)
        self._gateways[name].take(message)


async def test_two_hundred_dispensers_fit_into_200_mb(state: Path, mqtt: MosquittoServer | ServerElsewhere) -> None:
    store = f"store-{secrets.token_hex(4)}"
    scenario = (
        f'store = "{store}"\n[mqtt]\nhost = "{mqtt.host}"\nport = {mqtt.port}\n'
        f'[[dispensers]]\nid = "cable"\ncount = {HALF}\n[[dispensers]]\nid = "wifi"\nlink = "mqtt"\ncount = {HALF}\n'
    )
    run = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SHOP, str(state), scenario, stdout=asyncio.subprocess.PIPE
    )
    ports = [port_path(state, f"cable-{number}") for number in range(1, HALF + 1)]
    try:
        await wait_until_async(
            lambda: run.returncode is not None or all(port.exists() for port in ports), 30, "the ports are there"
        )
        assert not run.returncode
        keys = load_keys(state / "keys.toml")
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(Network(mqtt, store, keys).aclose)
            for port in ports:
                await stack.enter_async_context(gateway_at(port, Disk(keys=keys)))
            out, _ = await asyncio.wait_for(run.communicate(), 90)
    finally:
        if run.returncode is None:
            run.kill()
            await run.wait()
    assert run.returncode == 0
    count, peak_kb = map(int, out.split())
    assert count == 2 * HALF
    assert peak_kb / 1024 < LIMIT_MB
