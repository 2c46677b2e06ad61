"""Every repair is provoked, seen within 10 s, mended by its button or its steps, and gone within 10 s.

What provokes each stands in `provoked`; the last tests hold its list, and that of the buttons, equal to the code's. One
daemon serves most: whatever is provoked is mended, and leaves it as it was. Nobody has it look: it does so by itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from gateway.web.mending.fixes import FIXES
from gateway.web.repairs.history import History
from gateway.web.repairs.kinds import KINDS
from tests.flow.world import ROOT
from tests.gateway.web.conftest import Inside, inside_of
from tests.gateway.web.provoked import of_dispensers, of_lines, of_machine, of_releases, of_sensors, of_store
from tests.gateway.web.provoked.registry import BUTTONS, PROVOKED, gone, seen, told

pytestmark = pytest.mark.asyncio(loop_scope="module")

PROVOKERS = (of_dispensers, of_lines, of_machine, of_releases, of_sensors, of_store)
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
IN_A_SHOP = "tests/gateway/web/test_repairs_page.py"
SIMULATED = "tests/gateway/web/test_told_again.py"
ELSEWHERE = {
    # what a gateway that runs never tells
    "config_invalid": "tests/gateway/test_safe_mode.py",
    "store_unusable": "tests/gateway/test_safe_mode.py",
    "daemon_down": "tests/gateway/test_doctor.py",
    # what takes a whole daemon and other real parts
    "sync_unreachable": IN_A_SHOP,
    "sync_refused": IN_A_SHOP,
    "sync_foreign": IN_A_SHOP,
    "heartbeat_failing": IN_A_SHOP,
    "clock_unknown": IN_A_SHOP,
    "clock_jumped": "tests/faults/test_clock.py",
}
"""The files whose tests provoke the others."""
PRESSED_ELSEWHERE = {
    ("sync_foreign", "go-on"): IN_A_SHOP,
    ("clock_jumped", "right"): "tests/faults/test_clock.py",
    ("planogram_differs", "tell"): SIMULATED,
    ("key_not_taken", "rotate"): SIMULATED,
    ("bottle_recalled", "lock"): SIMULATED,
}
"""The files whose tests press a button that is not in `BUTTONS`, by code and name."""


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
    async with inside_of(directory, more, keys_too='provisioning = "fleet.toml"') as inside:
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


SLOW = (
    ("under_voltage", "flash_worn", "certificate_expires", "dead_letters"),
    ("throttled", "certificate_expired"),
    ("restored",),
)
"""What is read of disks and files, every 5 s: those that can be wrong together are provoked together."""
AT_ONCE = tuple((code,) for code in sorted(KINDS.keys() - ELSEWHERE.keys() - set(chain(*SLOW))))


@pytest.mark.parametrize("codes", [*SLOW, *AT_ONCE], ids="+".join)
async def test_it_is_seen_mended_and_gone(inside: Inside, directory: Path, codes: tuple[str, ...]) -> None:
    met = asyncio.Barrier(len(codes))
    await asyncio.gather(*(seen_mended_and_gone(inside, directory, code, met) for code in codes))


async def seen_mended_and_gone(inside: Inside, directory: Path, code: str, met: asyncio.Barrier) -> None:
    if code != "no_serial_port":  # there is none until one is plugged in
        assert await told(inside, code) is None
    async with PROVOKED[code](inside, directory) as other:
        asked = other or inside
        repair = await seen(asked, code)
        assert (repair["urgent"], repair["cost"]) == (KINDS[code].urgent, str(KINDS[code].cost))
        assert repair["what"]
        assert all(repair["steps"])
        buttons = {(code, each["name"]) for each in repair["fixes"] if each["method"] == "POST"}
        assert buttons <= FIXES.keys(), "each does something"
        assert repair["since"]
        await met.wait()  # *Check again* would have all of them seen
        await check_again(asked, repair)
        await met.wait()
        if code in BUTTONS:
            await press(asked, repair)
            await gone(asked, code)
    if code != "no_serial_port" and other is None:
        await gone(inside, code)


async def check_again(inside: Inside, repair: dict[str, Any]) -> None:
    """It is looked for anew, and said when; what is still wrong stays."""
    if repair["code"] in {"model_fallback", "store_broken"}:
        return  # what is tried would mend it, before its button could; nothing can be read anew of a disk that is gone
    pressed = datetime.now(UTC)
    answer = await inside.client.post(f"/api/v1/repairs/{repair['key']}/check")
    checked = answer.raise_for_status().json()
    assert (checked["gone"], checked["repair"]["key"]) == (False, repair["key"])
    assert datetime.fromisoformat(checked["looked"]) >= pressed


async def press(inside: Inside, repair: dict[str, Any]) -> None:
    """Press the button that mends it."""
    code, path = repair["code"], f"/api/v1/repairs/{repair['key']}"
    if code == "store_quarantined":
        tar = await inside.client.get(f"{path}/quarantined.tar")
        assert tar.is_success
        assert b"gateway.db" in tar.content
        repair = await inside.json(path)  # what was taken away may be deleted
    fix = next(each for each in repair["fixes"] if each["name"] == BUTTONS[code])
    if fix["hold"]:
        assert (await inside.client.post(fix["path"])).status_code == 422, "it is not said by mistake"
    (await inside.client.post(fix["path"], json={"confirm": "yes"})).raise_for_status()


async def test_every_repair_is_provoked() -> None:
    assert PROVOKED.keys() | ELSEWHERE.keys() == KINDS.keys()
    for code, file in ELSEWHERE.items():
        assert f'"{code}"' in (ROOT / file).read_text(), (code, file)


async def test_every_button_is_pressed() -> None:
    """By its code and its name: a new one fails until something presses it."""
    assert not BUTTONS.items() & PRESSED_ELSEWHERE.keys(), "once is enough"
    assert FIXES.keys() == BUTTONS.items() | PRESSED_ELSEWHERE.keys()
    for (code, name), file in PRESSED_ELSEWHERE.items():
        assert f'"{code}", "{name}"' in (ROOT / file).read_text(), (code, name, file)
