"""Whatever a simulated store says, and whatever is said to it, is what the schema says."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import AsyncIterator
from pathlib import Path

from firmware_bridge import verbs
from firmware_bridge.codec import body_map, encode_body
from firmware_bridge.messages import BY_NUMBER, Ask, Command, Look, Message, PickInfo, Reject, Result
from firmware_bridge.proofs import key_id, mask_key
from hw_sim.scenario import parse_scenario
from hw_sim.simulation import Simulation, port_path
from hw_sim.unit import Unit
from tests.firmware_bridge.pair import Disk
from tests.firmware_bridge.schema import check, rule_of
from tests.hw_sim.desk import TWO, GatewayPort, gateway_at, gateways
from tests.waiting import TooLate, wait_until_async

SHOP = "[load]\ntotal = 400\nask_share = 0.05\n" + TWO + "sample_hz = 10\n"
NEW = TWO.replace("count = 2", "factory_new = true")
COPIES = 10
"""Of a command, one a second."""
KEY = bytes(range(32))
PICK = PickInfo(1, "table-red", "Table Red", 7_300, "as you like it")


def orders(key: bytes) -> list[verbs.AnyArguments]:
    """Each verb once, but `reboot`, which ends the link."""
    return [
        verbs.Identify(seconds=1),
        verbs.Tare(nozzle=1),
        verbs.Calibrate(nozzle=1, pulses_per_litre=90_000),
        verbs.TestPour(nozzle=1, volume_ul=2_000),
        verbs.Prime(nozzle=2, duration_ms=100),
        verbs.Clean(nozzle=3, duration_ms=100),
        verbs.Lock(locked=False),
        verbs.ShowPicks(pick_id="p", picks=(PICK,), seconds=1),
        verbs.ShowAddress(url="https://gw-1.local/", seconds=1),
        verbs.SetPlanogram(placed=(verbs.Placed(1, "table-red"),)),
        verbs.SetKey(masked=mask_key(key, KEY, number(verbs.SetKey)), key_id=key_id(KEY)),
    ]


def number(arguments: type[verbs.AnyArguments]) -> bytes:
    """A command's id: one for each verb."""
    return list(verbs.ARGUMENTS_BY_VERB).index(arguments.verb).to_bytes(8)


def order(unit: Unit, arguments: verbs.AnyArguments) -> Command:
    return Command(
        id=number(type(arguments)),
        verb=arguments.verb,
        boot=unit.header.boot,
        expires_uptime_ms=unit.firmware.now_ms() + 60_000,
        arguments=body_map(arguments),
    )


async def obey(unit: Unit, port: GatewayPort, path: Path, disk: Disk) -> list[Message]:
    """The dispenser carries out each verb, one after the other; what was said after its start."""
    name = unit.firmware.mcu.identity.dispenser
    for arguments in orders(disk.keys[name]):
        command = order(unit, arguments)
        for _ in range(COPIES):  # as a gateway does: the dispenser may be saying HELLO
            port.gateway.send(command)
            if isinstance(arguments, verbs.SetKey):
                await wait_until_async(lambda: unit.firmware.mcu.key == KEY, 10, "it has its new key")
                disk.keys[name] = KEY
            with contextlib.suppress(TooLate):
                await wait_until_async(functools.partial(done, port.messages, command.id), 1, "done", promised=True)
                break
        else:
            raise AssertionError(f"{arguments.verb} has no end")
    await wait_until_async(lambda: unit.online and port.gateway.session.dispenser, 10, "it is online with its new key")
    port.gateway.send(order(unit, verbs.Reboot()))
    await wait_until_async(lambda: port.lost, 10, "it starts anew")
    async with gateway_at(path, disk) as again:
        await wait_until_async(lambda: done(again.messages, number(verbs.Reboot)), 10, "it says that it has")
        assert not again.bad
        return again.messages


def done(messages: list[Message], command: bytes) -> bool:
    ends = [one.outcome for one in messages if isinstance(one, Result) and one.command == command]
    assert set(ends) <= {"running", "done"}, ends
    return "done" in ends


def kinds(messages: list[Message]) -> set[str]:
    return {type(message).__name__ for message in messages}


async def test_every_message_of_a_run_fits_the_schema(tmp_path: Path) -> None:
    async with Simulation(parse_scenario(SHOP), tmp_path) as simulation, gateways(simulation) as (disk, ports):
        await wait_until_async(lambda: simulation.load_is_done, 60, "the load is made")
        units = simulation.units.values()
        await wait_until_async(lambda: not any(one.header.held for one in units), 10, "all is acknowledged")
        unit = simulation.units["bar-1"]
        # the load asks where it is online already, which it may not be as long as there is any
        assert await unit.ask(token="me", avoid=("celery", "soya"), adult=True)
        simulation.units["bar-2"].twin.plant.cabinet.door_open = True  # which is told at once
        unit.twin.leave()
        ports[1].gateway.send(Look(seconds=5))
        messages = await obey(unit, ports[0], port_path(tmp_path, "bar-1"), disk)
        await wait_until_async(lambda: kinds(ports[1].messages) >= {"Pong", "Sample"}, 10, "the other one is quiet")
        messages += [message for port in ports for message in port.messages]
        assert not any(port.bad for port in ports)
    async with adopted(tmp_path / "new") as port:
        messages += port.messages
        assert not port.bad
    rejected = {message.reason for message in messages if isinstance(message, Reject)}
    assert kinds(messages) == {cls.__name__ for cls in BY_NUMBER.values()}
    assert "unadopted" in rejected
    assert any(isinstance(message, Ask) and message.avoid and message.adult for message in messages)
    ordered = {message.verb for message in messages if isinstance(message, Command)}
    assert ordered == set(verbs.ARGUMENTS_BY_VERB)
    bodies = {(rule_of(message), encode_body(message)) for message in messages}
    assert len(bodies) > 400
    for rule, body in bodies:
        check(rule, body)


@contextlib.asynccontextmanager
async def adopted(state: Path) -> AsyncIterator[GatewayPort]:
    """A dispenser from the factory that was turned away, then adopted, and given its key."""
    disk = Disk()
    async with Simulation(parse_scenario(NEW), state) as simulation, gateway_at(port_path(state, "bar"), disk) as port:
        await wait_until_async(lambda: any(isinstance(m, Reject) for m in port.messages), 10, "it is turned away")
        disk.keys["bar"] = disk.unprovisioned["bar"] = KEY
        await wait_until_async(lambda: simulation.units["bar"].online, 10, "it is let in")
        yield port
