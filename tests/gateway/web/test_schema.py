"""The API as its description has it: whatever is asked, no answer is undocumented, and none is an error of ours."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import ignored_auth

from firmware_bridge.bodies import PouredBody
from tests.gateway.web.conftest import Inside, inside_of

EXAMPLES = int(os.environ.get("PICANTE_EXAMPLES", "1"))
"""Requests of each operation and kind: some 400 in all."""
ENDLESS = re.compile(r"/live$|/stream$|/trace$")
"""Streams: who reads one to its end waits for ever. Each has tests of its own."""
ENDS = ("/api/v1/system/restart", "/api/v1/system/wipe")
"""What ends the daemon: asked last, each of a gateway of its own."""
ACCEPTED = ["2xx", "400", "401", "403", "404", "409", "429"]
"""What may be answered to what fits the description; 400 for rules that no schema tells: a name that somebody has."""
Kinds = tuple[tuple[str, GenerationMode], ...]
KINDS: Kinds = (
    ("owner", GenerationMode.POSITIVE),
    ("owner", GenerationMode.NEGATIVE),
    ("read", GenerationMode.POSITIVE),
)
"""With a token of which scope it is asked, and whether what fits the description, or what does not."""


def ask(
    url: str, tokens: dict[str, str], document: dict[str, Any], only: str | None = None, kinds: Kinds = KINDS
) -> list[str]:
    """Ask every operation, but for those that end the daemon; or one alone. What is wrong with the answers."""
    found = []
    api = schemathesis.openapi.from_dict(document)
    api.config.update(base_url=url)
    api.config.checks.positive_data_acceptance.expected_statuses = ACCEPTED
    for result in api.get_all_operations():
        operation = result.ok()  # type: ignore[union-attr]
        if ENDLESS.search(operation.path) or (operation.path in ENDS if only is None else operation.path != only):
            continue
        for scope, mode in kinds:
            if wrong := ask_one(operation, mode, {"Authorization": f"Bearer {tokens[scope]}"}):
                found.append(f"{scope}, {mode.value}: {operation.method.upper()} {operation.path}: {wrong}")
    return found


def ask_one(operation: Any, mode: GenerationMode, headers: dict[str, str]) -> str:
    """What is wrong with the answers of one operation."""
    ends = operation.path in ENDS

    @seed(11)
    @settings(
        max_examples=1 if ends else EXAMPLES,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(mode))
    def answers_as_described(case: Any) -> None:
        # whether it lets in who has no token is asked after it, and of the other kinds
        case.call_and_validate(headers=headers, excluded_checks=[ignored_auth] if ends else None)

    try:
        answers_as_described()
    except Unsatisfiable:  # whatever is asked fits: it takes nothing
        assert mode is GenerationMode.NEGATIVE
        return ""
    except FailureGroup as error:
        return str(error)
    return ""


async def asked(inside: Inside, only: str | None = None, kinds: Kinds = KINDS) -> list[str]:
    """The same, of a gateway with a dispenser and two pours."""
    hello = inside.hello()
    for sauce in ("table-red", "ketchup"):
        await inside.deliver(hello, PouredBody(nozzle=1, sauce=sauce, volume_ul=5_000, duration_ms=900))
    document = await inside.json("/openapi.json")
    tokens = {"owner": inside.keys.token, "read": await inside.state.access.tokens.add("reads", "read", "a test", None)}
    return await asyncio.to_thread(ask, str(inside.client.base_url), tokens, document, only, kinds)


async def test_every_answer_is_as_described(inside: Inside) -> None:
    wrong = await asked(inside)
    assert wrong == [], "\n\n".join(wrong)


async def test_what_ends_the_daemon_answers_as_described(tmp_path: Path) -> None:
    # what it does not know in a query is left alone: a request may not fit, and be carried out all the same
    for number, (path, kinds) in enumerate((path, kinds) for path in ENDS for kinds in (KINDS[:0:-1], KINDS[:1])):
        (tmp_path / str(number)).mkdir()
        async with inside_of(tmp_path / str(number)) as inside:
            wrong = await asked(inside, path, kinds)
            assert wrong == [], "\n\n".join(wrong)
