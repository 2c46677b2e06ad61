"""A gateway's commands and a dispenser's, joined by a line that only a test moves. Store and EEPROM are real files."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from firmware_bridge.link import Link
from firmware_bridge.messages import Command, Hello, Result
from gateway import orders
from gateway.clock import PLAUSIBLE_FROM_MS, Clock
from gateway.commands import Commands
from gateway.order_queue import Reach
from gateway.orders import Order
from gateway.store import Store
from gateway.transaction import Transaction
from hw_sim.commands import Commands as DeviceCommands
from hw_sim.power import PowerCut
from tests.hw_sim.bench import Bench

NAME = "bar-1"


class Killed(BaseException):
    """The daemon was killed: nothing of it goes on."""


@dataclass
class Counts:
    """How often the dispenser began each command's effect."""

    begun: dict[str, int] = field(default_factory=dict)

    def watch(self, commands: DeviceCommands) -> None:
        """Count at the three places where something happens."""
        for name in ("_carry_out", "_open_valve"):
            setattr(commands, name, self._counting(getattr(commands, name)))

    def note(self, command: bytes) -> None:
        """One more."""
        self.begun[command.hex()] = self.begun.get(command.hex(), 0) + 1

    def _counting(self, act: Callable[..., Result]) -> Callable[..., Result]:
        def counted(command: bytes, *more: object) -> Result:
            self.note(command)
            return act(command, *more)

        return counted


class Desk:
    """One dispenser at one gateway. `now_ms` is both sides' time; a kernel's uptime starts at 0."""

    def __init__(self, directory: Path, store: Store) -> None:
        self.now_ms = 1_000_000
        self.boot = 1
        self.version = 2
        self.store = store
        self.clock = self.new_clock()
        self.bench = Bench(directory)
        self.counts = Counts()
        self.counts.watch(self.bench.commands)
        self.online = True
        self.down: deque[Command] = deque()
        self.up: deque[Result] = deque()
        self.sent: list[Command] = []
        self.kill_at: int | None = None
        """Kill the daemon at its so many'th write: just before it if odd, just after it if even."""
        self.invited = 0
        self.says_hello = False
        self._greeted = self.uptime_ms, self.now_ms
        self.commands = self.new_commands()

    # -- the gateway --------------------------------------------------------------------------------------------------

    def new_clock(self, *, known: bool = True) -> Clock:
        """The gateway's clocks; with `known` false the wall has not been set."""
        wall_ms = PLAUSIBLE_FROM_MS if known else 0
        self.boot_at_ms = self.now_ms if self.boot > 1 else 0
        return Clock(
            wall_ns=lambda: (wall_ms + self.now_ms) * 1_000_000,
            boot_ns=lambda: (self.now_ms - self.boot_at_ms) * 1_000_000,
            synchronised=Path("/nowhere"),
        )

    def new_commands(self) -> Commands:
        """The daemon starts (again)."""
        store = SimpleNamespace(reader=self.store.reader, write=self._write)
        return Commands(cast("Store", store), self.clock, self.boot)

    def restart_gateway(self) -> None:
        """It was killed, and comes back; what it had said is on the line, or in a broker's queue."""
        self.kill_at = None
        self.commands = self.new_commands()

    async def look(self) -> None:
        """The gateway's turn; a kill brings a new one."""
        try:
            await self.commands.look(self.reach)
        except Killed:
            self.restart_gateway()

    def reach(self, dispenser: str) -> Reach | None:
        """The open link, if there is one."""
        if not self.online or dispenser != NAME:
            return None
        uptime_ms, at_ms = self._greeted
        session = SimpleNamespace(version=self.version)
        link = SimpleNamespace(session=session, command=self._command, invite=self._invite)
        hello = SimpleNamespace(boot=self.bench.boot, uptime_ms=uptime_ms)
        return Reach(cast("Link", link), cast("Hello", hello), at_ms - self.boot_at_ms)

    def _command(self, command: Command) -> None:
        self.sent.append(command)
        self.down.append(command)

    def _invite(self) -> None:
        self.invited += 1
        self.says_hello = True

    def _write(self, work: Callable[[Transaction], Any], *, upkeep: bool = False) -> Future[Any]:
        if self.kill_at is not None:
            self.kill_at -= 1
            if self.kill_at == 0:
                raise Killed
        written = self.store.write(work, upkeep=upkeep)
        if self.kill_at is not None:
            self.kill_at -= 1
            if self.kill_at == 0:
                written.result()
                raise Killed
        return written

    def order(self, command_id: str) -> Order:
        """What is on disk of a command."""
        reader = self.store.reader()
        try:
            found = orders.find(reader, command_id)
        finally:
            reader.close()
        assert found is not None
        return found

    # -- the dispenser ------------------------------------------------------------------------------------------------

    @property
    def uptime_ms(self) -> int:
        """The dispenser's."""
        return self.bench.now_ms

    def greet(self) -> None:
        """Its link opens (again)."""
        self.says_hello = False
        self._greeted = self.uptime_ms, self.now_ms
        self.commands.opened(NAME)

    def power_cut(self) -> None:
        """It loses its power, and is back."""
        self.up.clear()
        for result in self.bench.restart():
            self.up.append(result)
        self.greet()

    def take(self, command: Command) -> None:
        """A copy reaches it."""
        soon = self.bench.reboots_soon
        try:
            result = self.bench.take(command)
        except PowerCut:
            self.power_cut()
            return
        if self.bench.reboots_soon and not soon:
            self.counts.note(command.id)
        if result is not None:
            self.up.append(result)

    def dispenser_turn(self) -> None:
        """What is due at it."""
        flow = self.bench.commands.flow
        if self.says_hello and self.online:
            self.greet()
        if self.bench.reboots_soon:
            self.power_cut()
        elif flow is not None and self.uptime_ms >= flow.shuts_ms:
            try:
                result = self.bench.commands.finish(self.uptime_ms)
            except PowerCut:
                self.power_cut()
                return
            if result is not None:
                self.up.append(result)

    # -- both ---------------------------------------------------------------------------------------------------------

    def pass_time(self, ms: int) -> None:
        """On both sides."""
        self.now_ms += ms
        self.bench.now_ms += ms

    async def step(self, ms: int = 500) -> None:
        """Half a second on a good line."""
        self.pass_time(ms)
        await self.look()
        while self.online and self.down:
            self.take(self.down.popleft())
        self.dispenser_turn()
        while self.online and self.up:
            self.commands.resulted(NAME, self.up.popleft())
        await self.look()

    async def settle(self, command_id: str, steps: int = 400) -> Order:
        """Step until a command has ended."""
        for _ in range(steps):
            if (order := self.order(command_id)).ended_ms is not None:
                return order
            await self.step()
        raise AssertionError(f"it never ended: {self.order(command_id)}")
