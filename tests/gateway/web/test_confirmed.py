"""What is held says so: none of these forms does anything for whoever sends it without the word, as a tap would."""

from __future__ import annotations

import inspect
import re

from fastapi.routing import APIRoute

from firmware_bridge.bodies import PouredBody
from gateway.web.application import SHOWN
from tests.gateway.web.conftest import Inside

HELD = {
    "/system/restart": {},
    "/system/backups/order": {},
    "/system/backups/take-back": {},
    "/system/backups/settle": {},
    "/system/wipe": {"what": "everything"},
    "/picks/take-back": {},
    "/picks/customers/{pseudonym}/consent": {},
    "/recall": {"reason": "glass"},
    "/events/{position}/void": {"reason": "test"},
    "/dispensers/{dispenser}/tell/reboot": {},
    "/dispensers/{dispenser}/tell/flow": {"verb": "prime", "nozzle": "1", "seconds": "1"},
    "/dispensers/{dispenser}/rotate-key": {},
    "/dispensers/{dispenser}/nozzles/{nozzle}/calibrate": {"do": "order"},
}
"""Each form, and what is sent with it."""
ELSEWHERE = {"/repairs/{key}/fix/{button}"}
"""Each held button of these is pressed without the word in test_every_repair.py."""
IDS = {"dispenser": "hot-bar-1", "nozzle": 1, "position": 1, "pseudonym": f"p1-{0:032x}"}


def forms() -> set[str]:
    """Those that take a word."""
    return {
        route.path_format
        for module in SHOWN
        for route in module.router.routes
        if isinstance(route, APIRoute) and "confirm" in inspect.signature(route.endpoint).parameters
    }


async def test_nothing_is_done_without_the_word(inside: Inside) -> None:
    await inside.deliver(inside.hello(), PouredBody(nozzle=1, sauce="table-red", volume_ul=4_800, duration_ms=900))
    assert forms() == HELD.keys() | ELSEWHERE
    for path, fields in HELD.items():
        sent = fields | {"confirm": "please"}
        answer = await inside.client.post(path.format_map(IDS), params={"lot": "L-1"}, data=sent)
        assert answer.status_code == 422, path
        assert re.search("was not confirmed|type the word", answer.text), f"{path} says why"
        assert 'id="live"' not in answer.text, "and nothing that comes in takes the reason away"
    assert not inside.state.stopping.is_set()
