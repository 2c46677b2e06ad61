"""Whatever a simulated store says, and whatever is said to it, is what the schema says."""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.codec import encode_body
from firmware_bridge.messages import (
    Ack,
    Ask,
    Command,
    EventMessage,
    Hello,
    HelloRequest,
    Picks,
    Ping,
    Pong,
    Ready,
    Result,
    Sample,
    Series,
    Welcome,
)
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation
from tests.firmware_bridge.schema import check, rule_of
from tests.hw_sim.desk import TWO, gateways
from tests.waiting import wait_until_async

BLINK = Command(id=bytes(8), verb="identify", boot=1, expires_uptime_ms=10**9, arguments={1: 1})
SAMPLE = Sample(uptime_ms=1, period_ms=100, series=(Series(2, 1, (700,)),))


async def test_every_message_of_a_run_fits_the_schema(tmp_path: Path) -> None:
    scenario = parse_scenario("[load]\ntotal = 400\nask_share = 0.05\n" + TWO)
    async with Simulation(scenario, tmp_path) as simulation, gateways(simulation) as (_, ports):
        await wait_until_async(lambda: simulation.load_is_done, 60, "the load is made")
        assert await simulation.drain(10)
        # the load asks where it is online already, which it may not be as long as there is any
        assert await simulation.units["bar-1"].ask(token="me")
        for port in ports:
            port.gateway.send(BLINK)
        for unit in simulation.units.values():
            unit.firmware.mcu.offer(SAMPLE)
            unit.line.wake()
        said = {
            *(Hello, Ready, EventMessage, Ask, Pong, Sample, Result),
            *(Welcome, HelloRequest, Ack, Picks, Ping, Command),
        }
        await wait_until_async(lambda: {type(m) for port in ports for m in port.messages} >= said, 10, "all was said")
        assert not any(port.bad for port in ports)
        bodies = {(rule_of(message), encode_body(message)) for port in ports for message in port.messages}
    assert len(bodies) > 400
    for rule, body in bodies:
        check(rule, body)
