"""What a step of a calibration does: the run is kept, then the command of its step is given. See `calibration_run`."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Self

import msgspec
from fastapi import Request

from firmware_bridge.verbs import AnyArguments, Tare, TestPour
from gateway import calibration_run, orders
from gateway.calibration_run import USUAL_DENSITY, Run, Step, Unit
from gateway.orders import Order
from gateway.transaction import Transaction
from gateway.web.audited import audit
from gateway.web.dispensers.bottles import check_nozzle
from gateway.web.dispensers.calibrations import set_factor, take_back
from gateway.web.dispensers.commands import CommandView, command_view, give, measured
from gateway.web.problems import Problem
from gateway.web.web import Web
from heat.errors import StoreError

Deed = Literal["order", "skip", "read", "again", "undo", "stop"]
"""What is done in a run."""


@dataclass(frozen=True, slots=True)
class Bench:
    """A nozzle that somebody calibrates."""

    web: Web
    dispenser: str
    nozzle: int

    @classmethod
    def of(cls, web: Web, dispenser: str, nozzle: int) -> Self:
        """The bench of a nozzle that there is. Raises Problem."""
        check_nozzle(web, dispenser, nozzle)
        return cls(web, dispenser, nozzle)

    def run(self) -> Run | None:
        """The run that is under way."""
        state = self.web.state
        return calibration_run.load(state.reader, self.dispenser, self.nozzle, state.clock.now().wall_ms)

    def stands(self, run: Run) -> Step:
        """Where it stands."""
        return calibration_run.stands(run, lambda command: orders.find(self.web.state.reader, command))

    def setting(self, run: Run) -> Order | None:
        """The order that set the factor, once it was given."""
        step = Step("set", "todo", 0, run.set)
        return orders.find(self.web.state.reader, calibration_run.command_id(run, step).hex())

    def factor(self, run: Run) -> dict[str, float] | None:
        """What was set, in pulses a ml: before and now."""
        order = self.setting(run)
        found = None if order is None else measured(order)
        return None if found is None else {name: value / 1000 for name, value in found.items()}

    def is_of(self, step: str) -> bool:
        """Whether a step that was told of is one of the run that is under way."""
        run = self.run()
        return run is not None and step.rpartition("-")[2] == calibration_run.mark(run)

    def new_run(self, by: str, unit: Unit = "ml", dose_ml: int = 20, density: float = USUAL_DENSITY) -> Run:
        """A run as it begins now."""
        return Run(secrets.token_hex(16), by[:64], self.web.state.clock.now().wall_ms, unit, density, dose_ml)

    async def begin(self, run: Run) -> None:
        """Begin a run, unless somebody else just has: then theirs goes on. Raises Problem."""
        now_ms = self.web.state.clock.now().wall_ms

        def work(tx: Transaction) -> None:
            if calibration_run.load(tx.connection, self.dispenser, self.nozzle, now_ms) is None:
                calibration_run.save(tx, self.dispenser, self.nozzle, run)

        await self._write(work)

    async def stop(self) -> None:
        """Forget the run. Raises Problem."""
        await self._write(lambda tx: calibration_run.drop(tx, self.dispenser, self.nozzle))

    async def act(self, request: Request, deed: Deed, step: str, amount: float = 0.0) -> None:
        """Do what somebody asks for who was told of a step. Of a run before, or gone by in this one, it is nothing.

        Raises:
            DataError, Problem: it is not taken.
        """
        if not self.is_of(step):
            return
        match deed:
            case "order":
                await self.order(request, step)
            case "skip":
                await self.skip_tare()
            case "read":
                await self.read_off(step, amount)
            case "again":
                await self.pour_again()
            case "undo":
                await self.undo(request)
            case "stop":
                await self.stop()

    async def order(self, request: Request, name: str) -> None:
        """Give the command of the step that is called so, unless the run has gone on: then it was given before.

        Raises:
            DataError, Problem: it is not taken.
        """
        run = self.run()
        if run is None:
            return
        step = self.stands(run)
        if calibration_run.told(run, step) != name or step.phase not in {"todo", "failed"}:
            return
        if step.phase == "failed":
            before, run = run, calibration_run.retried(run, step)
            await self._keep(before, run)
            step = self.stands(run)
        command = calibration_run.command_id(run, step)
        audit(request, step.name)
        if step.action == "set":
            await set_factor(self.web.state, self.dispenser, self.nozzle, run.doses, command)
            return
        arguments: AnyArguments = (
            Tare(nozzle=self.nozzle)
            if step.action == "tare"
            else TestPour(nozzle=self.nozzle, volume_ul=run.dose_ml * 1000)
        )
        await give(self.web.state, self.dispenser, arguments, command_id=command, asked_by="calibration")

    async def skip_tare(self) -> None:
        """Leave the tare out. Raises Problem."""
        if (run := self.run()) is not None and self.stands(run).action == "tare":
            await self._keep(run, msgspec.structs.replace(run, tare=None))

    async def read_off(self, name: str, amount: float) -> None:
        """A dose was read off. Raises DataError, Problem."""
        run = self.run()
        if run is None:
            return
        step = self.stands(run)
        if calibration_run.told(run, step) != name or step.phase != "read" or step.order is None:
            return
        found = measured(step.order) or {}
        flowed = found.get("pulses", 0), found.get("volume_ul", 0)
        await self._keep(run, calibration_run.read_off(run, step, amount, flowed))

    async def pour_again(self) -> None:
        """Of doses that differ too much the one furthest from the others is poured again. Raises Problem."""
        if (run := self.run()) is not None and self.stands(run).phase == "uneven":
            await self._keep(run, calibration_run.without_worst(run))

    async def undo(self, request: Request) -> CommandView | None:
        """Give the meter the factor that it had before the run, and forget the run. Raises Problem."""
        if (run := self.run()) is None:
            return None
        audit(request, "undo")
        command, state = calibration_run.undo_id(run), self.web.state
        # cut off after this, it goes on with the run's end, and takes no earlier calibration back
        if (given := orders.find(state.reader, command.hex())) is None:
            view = (await take_back(state, self.dispenser, self.nozzle, command)).command
        else:
            view = command_view(state, given)
        await self.stop()
        return view

    async def _keep(self, before: Run, run: Run) -> None:
        """Keep what became of a run, unless somebody else has gone on with it meanwhile."""
        now_ms = self.web.state.clock.now().wall_ms

        def work(tx: Transaction) -> None:
            if calibration_run.load(tx.connection, self.dispenser, self.nozzle, now_ms) == before:
                calibration_run.save(tx, self.dispenser, self.nozzle, run)

        await self._write(work)

    async def _write(self, work: Callable[[Transaction], None]) -> None:
        try:
            await asyncio.wrap_future(self.web.state.store.write(work))
        except StoreError as error:
            raise Problem(503, "not-stored", str(error.args[0]), hint=error.hint) from None
