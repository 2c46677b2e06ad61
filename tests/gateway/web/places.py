"""Where each page is found in a shop after a visit: what is looked at, drawn and weighed one after another."""

from __future__ import annotations

from typing import Any

from tests.gateway.web.conftest import Shop
from tests.waiting import wait_until

SIGN_IN = "/sign-in"


def visited(shop: Shop) -> None:
    """A customer comes, so that pages have something to show."""
    shop.visit(token="loyalty-4711-jane", word="mild", pour="chipotle-honey", volume_ul=5_200)
    wait_until(lambda: any(map(_is_pour, shop.json("/api/v1/events?limit=20")["events"])), 10, "the pour is stored")


def _is_pour(event: dict[str, Any]) -> bool:
    return bool(event["type"].startswith("picante.poured"))


def places(shop: Shop) -> dict[str, str]:
    """The address of each page by its name, and of those that have no stream; of some only if there is something."""
    events = shop.json("/api/v1/events?limit=20")["events"]
    pour = next(event["position"] for event in events if _is_pour(event))
    customer = next(event["subject"] for event in events if str(event["subject"]).startswith("p1-"))
    one = "/dispensers/hot-bar-1"
    new = [each["name"] for each in shop.json("/api/v1/dispensers")["dispensers"] if each["waiting"]]
    letters = shop.json("/api/v1/dead-letters")["letters"]
    now_and_then = {"adopt": f"/dispensers/{new[0]}/adopt"} if new else {}
    if letters:
        now_and_then["letter"] = f"/sync/letters/{letters[0]['position']}"
    return now_and_then | {
        "repairs": "/",
        "dispensers": "/dispensers",
        "dispenser": one,
        "readings": f"{one}/readings",
        "trace": f"{one}/trace",
        "nozzles": f"{one}/nozzles",
        "bottle": f"{one}/nozzles/1/bottle",
        "calibrate": f"{one}/nozzles/1/calibrate",
        "recall": "/recall",
        "sync": "/sync",
        "letters": "/sync/letters",
        "picks": "/picks",
        "customer": f"/picks/customers/{customer}",
        "events": "/events",
        "event": f"/events/{pour}",
        "void": f"/events/{pour}/void",
        "system": "/system",
        "log": "/system/log",
        "bundle": "/system/bundle",
        "backups": "/system/backups",
        "people": "/people",
        "kiosk": "/kiosk/hot-bar-1",
    }


ELSEWHERE = {"restarting": "while the gateway starts anew: test_axe"}
"""Pages that are there at times only, and who looks at them."""
