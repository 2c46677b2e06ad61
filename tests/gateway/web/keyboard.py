"""Somebody without a mouse and without a finger on the glass: Tab, what is typed, and Enter, from the address bar on.

press(page, page.get_by_role("link", name="Dispensers"))
write(page, page.get_by_label("Store"), "mercado-12")
"""

from __future__ import annotations

from playwright.sync_api import Locator, Page

MOST = 60
"""Presses of Tab until somebody gives up."""
_IS_HERE = "it => it === document.activeElement"


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until it has the focus; a page that was just loaded is entered at its beginning."""
    for _ in range(MOST):
        page.keyboard.press("Tab")
        if wanted.evaluate(_IS_HERE):
            return
    raise AssertionError(f"Tab never comes to {wanted}")


def write(page: Page, field: Locator, text: str) -> None:
    """Go to a field and type: what stands there is selected by Tab, and so written over."""
    tab_to(page, field)
    page.keyboard.type(text)


def press(page: Page, wanted: Locator) -> None:
    """Go to a link or a button, and press Enter."""
    tab_to(page, wanted)
    page.keyboard.press("Enter")
