"""A simulated dispenser that does not do what it was told, told again by buttons of repairs; and one that is locked.

The daemon's parts run in the test, on the simulator's real port: what it would try for minutes it tries in seconds.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from gateway import adoption, parts
from gateway.config import SerialSection
from gateway.lots import Bottle, Recall
from gateway.parts import keep_adopting, ports
from hw_sim.control import SOCKET_NAME, call
from hw_sim.verbs import NotDone
from tests.flow.world import Process
from tests.gateway.web.conftest import Inside, inside_of
from tests.gateway.web.provoked.registry import WITHIN_S, gone, seen
from tests.waiting import wait_until_async

BAR = "bar-new"
SCENARIO = f"""
store = "mercado-12"

[[dispensers]]
id = "{BAR}"
nozzles = ["garden-green", "table-red"]
factory_new = true
"""
AT = f"/api/v1/dispensers/{BAR}"


class Bar:
    """The daemon, and what is done to its one dispenser."""

    def __init__(self, inside: Inside, directory: Path) -> None:
        self.inside = inside
        self._socket = directory / "sim" / SOCKET_NAME

    async def ask(self, do: str, **more: Any) -> dict[str, Any]:
        """Something happens at the dispenser."""
        return await asyncio.to_thread(call, self._socket, {"do": do, "dispenser": BAR, **more})

    async def press(self, code: str, button: str) -> None:
        """The repair is seen, and this button of it pressed."""
        repair = await seen(self.inside, code)
        [fix] = [each for each in repair["fixes"] if each["name"] == button]
        confirmed = {"confirm": "yes"} if fix["hold"] else {}
        (await self.inside.client.post(fix["path"], json=confirmed)).raise_for_status()

    async def change(self, method: str, path: str, body: object) -> None:
        """A change by the API, that is done."""
        (await self.inside.client.request(method, AT + path, json=body)).raise_for_status()

    async def online(self) -> None:
        """Wait for its link."""

        async def there() -> bool:
            return bool((await self.inside.json(AT))["online"])

        await wait_until_async(there, 20, "it is online")


@asynccontextmanager
async def at_bar(directory: Path) -> AsyncIterator[Bar]:
    """A new dispenser, adopted by the button."""
    (directory / "scenario.toml").write_text(SCENARIO)
    sim = Process(directory, "sim", "sim", "run", "--scenario", "scenario.toml", "--state", "sim")
    try:
        async with inside_of(directory) as inside:
            state, bar = inside.state, Bar(inside, directory)
            serial = SerialSection(ports=(f"{directory}/sim/ports/usb-picante-*",))
            needed = ports(state, serial).run(), state.commands.run(state.dispensers.reach), keep_adopting(state)
            running = [asyncio.create_task(part) for part in needed]
            try:
                await wait_until_async((directory / "sim" / "keys.toml").exists, 60, "the simulator runs")
                await wait_until_async(lambda: any(state.dispensers.strangers), 20, "the dispenser is plugged in")
                await bar.press("dispenser_unadopted", "adopt")
                await gone(inside, "dispenser_unadopted")
                await bar.online()
                yield bar
            finally:
                for task in running:
                    task.cancel()
                await asyncio.wait(running)
    finally:
        sim.stop()


@pytest.fixture
async def bar(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bar]:
    """Where it is not told again by itself after the page tells of it: a button is what mends it."""
    monkeypatch.setattr(adoption, "_Handing", functools.partial(adoption._Handing, pause_s=0.0))
    monkeypatch.setattr(adoption, "TRIES", adoption.STUBBORN)
    monkeypatch.setattr(parts, "ADOPTING_S", 0.1)
    async with at_bar(tmp_path) as made:
        yield made


async def test_each_is_mended_by_its_button(bar: Bar) -> None:
    await _planned_while_a_customer_stands_there(bar)
    await _given_a_key_that_comes_too_late(bar)
    await _locked_while_a_recalled_bottle_hangs_there(bar)


async def _planned_while_a_customer_stands_there(bar: Bar) -> None:
    await bar.ask("visit", pour="")
    await bar.change("PUT", "/planogram", {"planogram": {"1": "miso-piri"}})
    await seen(bar.inside, "planogram_differs")
    await bar.ask("visit", pour="", leave=True)
    await bar.press("planogram_differs", "tell")
    await gone(bar.inside, "planogram_differs")

    async def placed() -> bool:
        [first, _] = (await bar.inside.json(AT))["nozzles"]
        return (first["sauce"], first["planned"]) == ("miso-piri", None)

    await wait_until_async(placed, WITHIN_S, "it has done so")
    await bar.online()


async def _given_a_key_that_comes_too_late(bar: Bar) -> None:
    before = bar.inside.state.dispensers.known[BAR].hello.key_id
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(adoption, "GOOD_FOR_S", 0.001)  # less than its line takes: the dispenser begins nothing
        await bar.change("POST", "/rotate-key", None)
        await seen(bar.inside, "key_not_taken")
    await bar.press("key_not_taken", "rotate")
    await gone(bar.inside, "key_not_taken")
    after = lambda: bar.inside.state.dispensers.known[BAR].hello.key_id != before  # noqa: E731
    await wait_until_async(after, WITHIN_S, "it has proved its new key")
    await bar.online()


async def _locked_while_a_recalled_bottle_hangs_there(bar: Bar) -> None:
    lots, now_ms = bar.inside.state.lots, bar.inside.state.clock.now().wall_ms
    await lots.hang(Bottle(BAR, 1, "miso-piri", "L-1", date(2099, 1, 1), 750, "Ada", now_ms))
    await lots.recall(Recall("L-1", now_ms, "Ada", "glass"))
    await bar.press("bottle_recalled", "lock")

    async def locked() -> bool:
        newest = (await bar.inside.json(f"{AT}/commands"))["commands"][0]
        return (newest["verb"], newest["state"]) == ("lock", "done")

    await wait_until_async(locked, WITHIN_S, "it is locked")
    with pytest.raises(NotDone):
        await bar.ask("pour", nozzle=1, ml=5, quick=True)
    await seen(bar.inside, "bottle_recalled")  # it pours for nobody, and the bottle still hangs there
    await lots.hang(Bottle(BAR, 1, "miso-piri", "L-2", date(2099, 1, 1), 750, "Ada", now_ms + 1))
    await gone(bar.inside, "bottle_recalled")
