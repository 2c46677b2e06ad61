"""A dispenser's commands on a bench: the twin and the EEPROM are real, and time and power are the test's."""

from __future__ import annotations

from pathlib import Path

from firmware_bridge.codec import BadMessage, body_map, decode_measured
from firmware_bridge.messages import Command, Result
from firmware_bridge.verbs import AnyArguments, Measured
from heat.catalog import default_catalog
from hw_sim.commands import Commands, place
from hw_sim.dispenser import Dispenser
from hw_sim.eeprom import Contents, Eeprom
from hw_sim.plant import Nozzle, Plant
from tests.firmware_bridge.pair import KEY

SAUCES = ("table-red", "mango-fresno", "garlic-ghost")
FOR_MS = 60_000
"""ms for which commands are good."""


class Bench:
    """It is the hands, too. `greeted` and `restarts` count what they did."""

    def __init__(self, directory: Path) -> None:
        self.now_ms = 1_000
        self.boot = 1
        self.customer = False
        self.greeted = self.restarts = 0
        self.reboots_soon = False
        self._path = directory / "a.eeprom"
        self.eeprom = Eeprom.open(self._path, Contents(key=KEY))
        nozzles = [Nozzle(number, default_catalog()[sauce]) for number, sauce in enumerate(SAUCES, start=1)]
        self.plant = Plant(nozzles, calibration=self.eeprom.pulses_per_ml, tare_ml=self.eeprom.tare_ml)
        self.twin = Dispenser("bar-1", self.plant, lambda *_: 1, lambda: 1, lambda: self.eeprom.contents.locked)
        self.commands = Commands(self.eeprom, self.twin, self)

    def attended(self) -> bool:
        """See `commands.Hands`."""
        return self.customer

    def reboot(self) -> None:
        """See `commands.Hands`."""
        self.reboots_soon = True

    def greet_again(self) -> None:
        """See `commands.Hands`."""
        self.greeted += 1

    def command(self, number: int, arguments: AnyArguments, *, boot: int | None = None) -> Command:
        """A command with this number as its id, good for a minute of this boot."""
        return Command(
            id=bytes([number]) * 16,
            verb=arguments.verb,
            boot=self.boot if boot is None else boot,
            expires_uptime_ms=self.now_ms + FOR_MS,
            arguments=body_map(arguments),
        )

    def take(self, command: Command) -> Result | None:
        """A copy comes in."""
        return self.commands.take(command, self.now_ms, self.boot)

    def do(self, number: int, arguments: AnyArguments) -> Result:
        """Carry a command out to its end; its last result."""
        result = self.take(self.command(number, arguments))
        assert result is not None
        return result if result.outcome != "running" else self.pass_time()

    def pass_time(self) -> Result:
        """Let the valve that stands open shut; the command's result."""
        assert self.commands.flow is not None
        self.now_ms = self.commands.flow.shuts_ms
        result = self.commands.finish(self.now_ms)
        assert result is not None
        return result

    def restart(self) -> list[Result]:
        """Cut the power and give it back; what it tells of the commands that were begun."""
        self.commands.lose_power(self.now_ms)
        self.twin.lose_power(self.now_ms)
        self.plant.reboot(0)
        self.boot, self.now_ms, self.restarts = self.boot + 1, 0, self.restarts + 1
        self.reboots_soon = False
        self.eeprom.reboot()
        place(self.twin, self.eeprom.contents.planogram)
        return self.commands.recover()

    def left_ml(self, nozzle: int = 1) -> float:
        """What is in a bottle, in truth."""
        return self.plant.nozzles[nozzle].level_ul / 1000


def measured(verb: str, result: Result) -> Measured:
    """What a result says was measured."""
    assert result.measured is not None, result
    found = decode_measured(verb, result.measured)
    assert not isinstance(found, BadMessage), found
    return found
