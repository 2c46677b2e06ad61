"""What people say of the dispensers: how each is called, and which sauces are to be on its nozzles.

A dispenser's id, which is the source of its events, never changes; its name is for people. What is on the nozzles is
told by the dispenser itself; the plan is what should be, and `differing` is what it has yet to be told.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

import msgspec

from cloud_sync.nearest import nearest
from firmware_bridge.messages import NozzleInfo
from gateway.store import Store
from gateway.transaction import Transaction
from heat.catalog import Catalog
from heat.errors import DataError

NAME_CHARS = 40
MAX_NOZZLE = 255
MAX_PLACED = 12
"""Nozzles that a dispenser can be told of in one COMMAND."""

_placed = msgspec.json.Decoder(list[tuple[int, str]])


@dataclass(frozen=True, slots=True)
class Plan:
    """What was said of one dispenser."""

    name: str | None = None
    planogram: Mapping[int, str] = field(default_factory=dict)
    """Sauce by nozzle; those not named keep what they have."""

    def placed(self, planogram: Mapping[int, str]) -> Plan:
        """The same with these sauces on these nozzles, and the others as they were planned."""
        return replace(self, planogram={**self.planogram, **planogram})

    def differing(self, nozzles: Iterable[NozzleInfo]) -> dict[int, str]:
        """What should be on nozzles that the dispenser has, and is not."""
        told = {nozzle.nozzle: nozzle.sauce for nozzle in nozzles}
        return {number: sauce for number, sauce in self.planogram.items() if told.get(number, sauce) != sauce}


class Plans:
    """All plans: in memory for reading, in the store for good."""

    def __init__(self, store: Store, plans: dict[str, Plan]) -> None:
        self._store = store
        self._plans = plans
        self.changing = asyncio.Lock()
        """Held from reading a plan until what is made of it is kept: two who change one plan lose nothing."""

    def of(self, dispenser: str) -> Plan:
        """What was said of it; nothing, if nothing was."""
        return self._plans.get(dispenser, Plan())

    def called(self, name: str) -> str | None:
        """Who has this name."""
        return next((one for one, plan in self._plans.items() if plan.name == name), None)

    @property
    def names(self) -> dict[str, str]:
        """Whose each name is."""
        return {plan.name: one for one, plan in self._plans.items() if plan.name is not None}

    async def rename(self, dispenser: str, name: str | None) -> None:
        """Call it so; None takes its name away. Raises StoreError."""
        async with self.changing:
            await self.keep({dispenser: replace(self.of(dispenser), name=name)})

    async def place(self, dispenser: str, planogram: Mapping[int, str]) -> None:
        """Have these sauces on these nozzles; the others as they were planned. Raises StoreError."""
        async with self.changing:
            await self.keep({dispenser: self.of(dispenser).placed(planogram)})

    async def forget(self, dispenser: str) -> None:
        """Forget its plan, and what it said of itself; its events stay. Raises StoreError."""

        def work(tx: Transaction) -> None:
            for table in ("dispenser_plans", "dispensers", "losses"):
                tx.connection.execute(f"DELETE FROM {table} WHERE dispenser = ?", (dispenser,))  # noqa: S608 -- constants

        await asyncio.wrap_future(self._store.write(work, upkeep=True))
        self._plans.pop(dispenser, None)

    async def keep(self, plans: Mapping[str, Plan]) -> None:
        """Have these plans, all in one commit; for whoever holds `changing`. Raises StoreError."""
        changed = {dispenser: plan for dispenser, plan in plans.items() if plan != self.of(dispenser)}
        if not changed:
            return
        rows = [
            (dispenser, plan.name, msgspec.json.encode(sorted(plan.planogram.items())).decode())
            for dispenser, plan in changed.items()
        ]

        def work(tx: Transaction) -> None:
            tx.connection.executemany(
                "INSERT INTO dispenser_plans VALUES (?, ?, ?) ON CONFLICT DO UPDATE"
                " SET name = excluded.name, planogram = excluded.planogram",
                rows,
            )

        await asyncio.wrap_future(self._store.write(work, upkeep=True))
        self._plans.update(changed)


def load_plans(store: Store, reader: sqlite3.Connection) -> Plans:
    """The plans of the database; a row that a damaged disk made unreadable counts as none."""
    plans = {}
    for dispenser, name, planogram in reader.execute("SELECT dispenser, name, planogram FROM dispenser_plans"):
        try:
            plans[dispenser] = Plan(name, dict(_placed.decode(planogram)))
        except msgspec.DecodeError:
            continue
    return Plans(store, plans)


def check_title(name: str) -> str:
    """A name for people, its ends trimmed. Raises DataError."""
    trimmed = " ".join(name.split())
    if not 1 <= len(trimmed) <= NAME_CHARS or not trimmed.isprintable():
        raise DataError("this can't be a name", hint=f"Use 1 to {NAME_CHARS} printable characters, like: Bar, left")
    return trimmed


def check_planogram(planogram: Mapping[int, str], catalog: Catalog, nozzles: Iterable[int] | None) -> dict[int, str]:
    """A planogram whose sauces are in the catalogue and whose nozzles are there (`nozzles` None: not known yet).

    Raises:
        DataError: with the nearest sauce, or the nozzles that there are.
    """
    if not 1 <= len(planogram) <= MAX_PLACED:
        raise DataError(f"{len(planogram)} nozzles", hint=f"Name 1 to {MAX_PLACED}, each with its sauce: 1=table-red")
    there = None if nozzles is None else sorted(nozzles)
    for number, sauce in planogram.items():
        if not 0 <= number <= MAX_NOZZLE or (there is not None and number not in there):
            has = f"It has {', '.join(map(str, there))}" if there else f"A number from 0 to {MAX_NOZZLE}"
            raise DataError(f"there is no nozzle {number}", hint=has)
        if sauce not in catalog:
            raise DataError(f"{sauce[:32]!r} is not in the catalogue", hint=nearest(sauce, catalog))
    return dict(planogram)
