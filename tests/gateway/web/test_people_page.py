"""Coming in by hand, and letting others in: sign-in and the page People, on a phone, wide, without JavaScript."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, expect

from gateway.access.roles import Role
from tests.access import PASSWORD
from tests.gateway.web.browser import PHONE, WIDE, visiting
from tests.gateway.web.conftest import Shop

NEXT = "smoke and honey"


@pytest.mark.parametrize(("size", "javascript", "name"), [(PHONE, True, "Nuria"), (WIDE, False, "Pablo")])
def test_somebody_is_let_in_comes_in_and_goes(
    browser: Browser, shop: Shop, size: tuple[int, int], javascript: bool, name: str
) -> None:
    with visiting(browser, shop, "/people", size, javascript=javascript) as page:
        page.get_by_text("Let somebody in").click()
        page.get_by_label("Name", exact=True).fill(name)
        page.locator("#new-password").fill(PASSWORD)
        page.locator("#new-role").select_option("viewer")
        page.get_by_role("button", name="Let in").click()
        expect(page.locator("summary", has_text=name)).to_contain_text("Viewer")
        expect(page.locator("#people-changes")).to_contain_text(f"{name} may come in as viewer")

    look = {"role": None, "javascript": javascript, "tolerate": "401"}
    with visiting(browser, shop, "/people", size, **look) as page:  # type: ignore[arg-type]
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill("wrong words")
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_text("Name or password is wrong")).to_be_visible()
        expect(page.get_by_label("Name")).to_have_value(name)
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        expect(page).to_have_url(f"{shop.url}/people")
        expect(page.get_by_text("Who may sign in")).to_have_count(0)  # a viewer sees their own
        page.get_by_text("Change your password").click()
        page.get_by_label("Password so far").fill(PASSWORD)
        page.locator("#own-password").fill(NEXT)
        page.get_by_role("button", name="Change", exact=True).click()
        page.get_by_label("Name").fill(name)
        page.get_by_label("Password").fill(NEXT)
        page.get_by_role("button", name="Sign in").click()
        page.get_by_role("button", name="Sign out").click()
        expect(page.get_by_role("button", name="Sign in")).to_be_visible()

    with visiting(browser, shop, "/people", size, javascript=javascript, role=Role.OWNER) as page:
        page.locator("summary", has_text=name).click()
        page.get_by_role("button", name=f"Remove {name}").click()
        expect(page.locator("summary", has_text=name)).to_have_count(0)
        page.get_by_text("Make a token").click()
        page.get_by_label("What uses it").fill("prometheus")
        page.get_by_label("Scope").fill("metrics")
        page.get_by_role("button", name="Make", exact=True).click()
        expect(page.locator("main code").first).to_contain_text("picante_")
