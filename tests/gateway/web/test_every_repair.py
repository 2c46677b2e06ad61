"""Every repair is provoked, seen within 10 s, mended by its button or its steps, and gone within 10 s.

What provokes each stands in `provoked`; the last tests hold its list equal to the registry's. One daemon serves all:
whatever is provoked is mended, and leaves it as it was.
"""

from __future__ import annotations

import functools
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.web.mending.fixes import FIXES
from gateway.web.repairs.history import History
from gateway.web.repairs.kinds import KINDS
from tests.flow.world import ROOT
from tests.gateway.web.conftest import Inside, inside_of
from tests.gateway.web.provoked import of_dispensers, of_lines, of_machine, of_sensors
from tests.gateway.web.provoked.registry import BUTTONS, PROVOKED, WITHIN_S
from tests.waiting import wait_until_async

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROVOKERS = (of_dispensers, of_lines, of_machine, of_sensors)
CONFIG = """\
[system]
root = "machine"

[kafka]
bootstrap = "kafka.example:9092"
tls = true
ca = "ca.pem"

[serial]
ports = ["/dev/serial/by-id/none-*", "{directory}/ttyUSB7"]
"""
ELSEWHERE = {
    "config_invalid": "tests/gateway/test_safe_mode.py",
    "store_unusable": "tests/gateway/test_safe_mode.py",
    "daemon_down": "tests/gateway/test_doctor.py",
}
"""What a gateway that runs never tells: the files whose tests provoke it."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def daemon(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[tuple[Inside, Path]]:
    """A daemon that has been up for a minute, with all files that may be wrong."""
    directory = tmp_path_factory.mktemp("repairs")
    (directory / "machine").mkdir()
    (directory / "ca.pem").write_bytes(of_machine.certified(of_machine.GOOD_UNTIL))
    (directory / "ttyUSB7").touch()
    (directory / "fleet.toml").write_text("")
    (directory / "fleet.toml").chmod(0o600)
    more = CONFIG.format(directory=directory)
    async with inside_of(directory, more, provisioning="fleet.toml") as inside:
        inside.state.started_s = time.monotonic() - 60
        yield inside, directory


@pytest_asyncio.fixture(loop_scope="module")
async def inside(daemon: tuple[Inside, Path]) -> Inside:
    """The daemon, which remembers nothing of what was wrong before."""
    daemon[0].web.board._history = History(daemon[0].web.board._history._started)
    daemon[0].state.uplink._enter("idle")  # type: ignore[union-attr]
    return daemon[0]


@pytest.fixture
def directory(daemon: tuple[Inside, Path]) -> Path:
    """Where its files are."""
    return daemon[1]


async def found(inside: Inside, code: str, *, look: bool = True) -> dict[str, Any] | None:
    if look:
        await inside.look()  # as after a press on Check again; one test below waits
    repairs: list[dict[str, Any]] = (await inside.json("/api/v1/repairs"))["repairs"]
    return next((repair for repair in repairs if repair["code"] == code), None)


@pytest.mark.parametrize("code", sorted(KINDS.keys() - ELSEWHERE.keys()))
async def test_it_is_seen_mended_and_gone(inside: Inside, directory: Path, code: str) -> None:
    async def told() -> dict[str, Any] | None:
        return await found(inside, code)

    async def gone() -> bool:
        return await found(inside, code) is None

    if code != "no_serial_port":  # there is none until one is plugged in
        assert await gone()
    async with PROVOKED[code](inside, directory):
        repair = await wait_until_async(told, WITHIN_S, f"{code} is told of", promised=True)
        assert repair is not None
        assert (repair["urgent"], repair["cost"]) == (KINDS[code].urgent, str(KINDS[code].cost))
        assert repair["what"]
        assert all(repair["steps"])
        buttons = {(code, each["name"]) for each in repair["fixes"] if each["method"] == "POST"}
        assert buttons <= FIXES.keys(), "each does something"
        assert repair["since"]
        await press(inside, repair)
        if code in BUTTONS:
            await wait_until_async(gone, WITHIN_S, f"{code} is gone", promised=True)
    if code != "no_serial_port":
        await wait_until_async(gone, WITHIN_S, f"{code} is gone", promised=True)


async def test_nobody_has_to_ask_for_a_look(inside: Inside, directory: Path) -> None:
    async with PROVOKED["under_voltage"](inside, directory):
        seen = functools.partial(found, inside, "under_voltage", look=False)
        await wait_until_async(seen, WITHIN_S, "it is told of", promised=True)

    async def gone() -> bool:
        return await found(inside, "under_voltage", look=False) is None

    await wait_until_async(gone, WITHIN_S, "it is gone", promised=True)


async def press(inside: Inside, repair: dict[str, Any]) -> None:
    """Press the button that mends it, if there is one."""
    code, path = repair["code"], f"/api/v1/repairs/{repair['key']}"
    if code == "store_quarantined":
        tar = await inside.client.get(f"{path}/quarantined.tar")
        assert tar.is_success
        assert b"gateway.db-wal" in tar.content
        repair = await inside.json(path)  # what was taken away may be deleted
    if code in BUTTONS:
        fix = next(each for each in repair["fixes"] if each["name"] == BUTTONS[code])
        if fix["hold"]:
            assert (await inside.client.post(fix["path"])).status_code == 422, "it is not said by mistake"
        (await inside.client.post(fix["path"], json={"confirm": "yes"})).raise_for_status()


async def test_every_repair_is_provoked() -> None:
    assert PROVOKED.keys() | ELSEWHERE.keys() == KINDS.keys()
    for code, file in ELSEWHERE.items():
        assert f'"{code}"' in (ROOT / file).read_text(), (code, file)


async def test_every_button_is_pressed() -> None:
    elsewhere = {"key_not_taken", "bottle_recalled", "model_fallback"}  # keys, locks, releases have tests of their own
    assert {code for code, _ in FIXES} == BUTTONS.keys() | elsewhere
