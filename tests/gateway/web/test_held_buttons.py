"""What pours, reboots, wipes or reverts stands apart from whatever else a thumb may hit, on a phone.

Each template with such a button is looked at here, its folds open; what is there at times only, where a test holds the
button: `hold` looks, too. Whoever may only read has no form at all, but for what is their own.
"""

from __future__ import annotations

import re

import httpx
from playwright.sync_api import Browser, expect

from gateway.web.cookies import SESSION
from gateway.web.guard import OPEN, OWN
from gateway.web.who import Role
from tests.flow.world import ROOT
from tests.gateway.web.browser import PHONE, beside, context_of
from tests.gateway.web.conftest import Shop
from tests.gateway.web.places import places, visited

TEMPLATES = ROOT / "gateway/web/templates"
HERE = {
    "backups/page.html": "backups",
    "calibrate/step.html": "calibrate",
    "customers/page.html": "customer",
    "dispenser/page.html": "dispenser",
    "events/void.html": "void",
    "recall/page.html": "recall",
    "system/page.html": "system",
}
"""The place of each."""
ELSEWHERE = {
    "repairs/one.html": "held in test_repairs_page.py",
    "safe/restore.html": "there is no other button in its section",
    "picks/page.html": "there is no other button in its section",
}
"""Why not here."""
FORM = re.compile(r'<form method="post" action="([^"?]*)(?:(?!</form>).)*?<button', re.DOTALL)
"""One that can be sent, and where to."""


def test_each_template_with_a_held_button_is_looked_at() -> None:
    having = {
        str(path.relative_to(TEMPLATES))
        for path in TEMPLATES.glob("*/*.html")
        if re.search(r"ui\.hold_button\(", path.read_text())
    }
    assert having == HERE.keys() | ELSEWHERE.keys()


def test_nothing_stands_beside_what_is_held_and_a_viewer_has_none(browser: Browser, shop: Shop) -> None:
    visited(shop)
    at = places(shop) | {"recall": "/recall?lot=L-1"}
    with context_of(browser, shop, PHONE) as context:
        page = context.new_page()
        page.goto(shop.url + at["calibrate"])
        page.get_by_role("button", name="Begin", exact=True).click()
        expect(page.get_by_role("heading", name="Tare the level sensor")).to_be_visible()
        for name in HERE.values():
            page.goto(shop.url + at[name])
            page.locator("main").evaluate("all => all.querySelectorAll('details').forEach(one => { one.open = true; })")
            expect(page.locator("hold-button button").first).to_be_visible()
            assert beside(page) == [], name
    with httpx.Client(base_url=shop.url, cookies={SESSION: shop.keys.cookies[Role.VIEWER]}, timeout=20) as viewer:
        for name in at.keys() - {"kiosk"}:  # while a calibration is under way
            forms = FORM.findall(viewer.get(at[name]).text)
            assert [path for path in forms if not (OPEN.match(path) or OWN.match(path))] == [], name
