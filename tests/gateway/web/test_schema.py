"""The API as its description has it: whatever is asked, no answer is undocumented, and none is an error of ours."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from schemathesis.core.failures import FailureGroup

from firmware_bridge.bodies import PouredBody
from tests.gateway.web.conftest import Inside

EXAMPLES = 2
"""Requests of each operation: some 200 in all."""
LEFT_OUT = re.compile(r"live|stream|/trace|restart|wipe|/system/restore|quarantined\.tar|/api/v1/(people|tokens)$")
"""What has no end, ends the daemon, takes a file, or refuses names and passwords by rules that no schema tells."""


def ask(url: str, headers: dict[str, str], document: dict[str, Any]) -> list[str]:
    """Ask every operation; what is wrong with the answers."""
    found = []
    api = schemathesis.openapi.from_dict(document)
    api.config.update(base_url=url)
    for result in api.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        if LEFT_OUT.search(operation.path):
            continue

        @seed(11)
        @settings(
            max_examples=EXAMPLES,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def answers_as_described(case: Any) -> None:
            case.call_and_validate(headers=headers)

        try:
            answers_as_described()
        except FailureGroup as error:
            found.append(f"{operation.method.upper()} {operation.path}: {error}")
    return found


async def test_every_answer_is_as_described(inside: Inside) -> None:
    hello = inside.hello()
    for sauce in ("table-red", "ketchup"):
        await inside.deliver(hello, PouredBody(nozzle=1, sauce=sauce, volume_ul=5_000, duration_ms=900))
    document = await inside.json("/openapi.json")
    url = str(inside.client.base_url)
    wrong = await asyncio.to_thread(ask, url, {"Authorization": inside.client.headers["authorization"]}, document)
    assert wrong == [], "\n\n".join(wrong)
