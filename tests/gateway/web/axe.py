"""What axe-core finds on a page: WCAG 2.2 A and AA, and its own best practices."""

from __future__ import annotations

import json
from typing import Any

import pytest
from playwright.sync_api import Page

from tests.web_tools import MODULES

SCRIPT = MODULES / "axe-core" / "axe.min.js"


def violations(page: Page, *rules: str) -> list[str]:
    """Each violation (of these rules, if any are named) with the elements that have it.

    axe comes in by the debugger's door, which no CSP shuts.
    """
    if not SCRIPT.is_file():
        pytest.skip("no axe-core: run scripts/test-setup")
    session = page.context.new_cdp_session(page)
    there = session.send("Runtime.evaluate", {"expression": "typeof axe === 'object'", "returnByValue": True})
    if not there["result"]["value"]:
        session.send("Runtime.evaluate", {"expression": SCRIPT.read_text("utf-8")})
    options = json.dumps({"resultTypes": ["violations"]} | ({"runOnly": rules} if rules else {}))
    ran = session.send(
        "Runtime.evaluate",
        {
            "expression": f"axe.run(document, {options}).then((found) => found.violations)",
            "awaitPromise": True,
            "returnByValue": True,
        },
    )
    session.detach()
    assert "exceptionDetails" not in ran, ran["exceptionDetails"]
    return [_told(violation) for violation in ran["result"]["value"]]


def _told(violation: dict[str, Any]) -> str:
    places = "; ".join(node["html"][:160] for node in violation["nodes"][:4])
    return f"{violation['id']} ({violation['help']}): {places}"
