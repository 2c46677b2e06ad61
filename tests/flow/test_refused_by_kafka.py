"""A whole daemon with a wrong password for Kafka: one thing on the page, few lines, no secret; mended, it goes on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prometheus_client.parser import text_string_to_metric_families

from tests.cloud_sync.kafka_reading import read_events
from tests.gateway.web.conftest import Shop, open_shop
from tests.secure_kafka import PASSWORD, USER, SecureKafka
from tests.waiting import wait_until, wait_until_async

WRONG = "correct horse buttery"
PATHS = ("/", "/metrics", "/readyz", "/openapi.json", "/api/v1/status", "/api/v1/sync")
KAFKA = """
[kafka]
bootstrap = "{bootstrap}"
tls = true
ca = "{ca}"
username = "{user}"
password_file = "password"
"""


def refusals(shop: Shop) -> float:
    """The counter."""
    for family in text_string_to_metric_families(shop.get("/metrics").text):
        if family.name == "picante_uplink_refusals":
            return float(family.samples[0].value)
    raise AssertionError("no such metric")


def repairs(shop: Shop) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = shop.json("/api/v1/status")["repairs"]
    return found


async def test_a_wrong_password_is_one_thing_to_mend(secure_kafka: SecureKafka, tmp_path: Path) -> None:
    secure_kafka.let("gw-1")
    broker = secure_kafka.at("LOGIN")
    password = tmp_path / "password"
    password.touch(0o600)
    password.write_text(WRONG)
    kafka = KAFKA.format(bootstrap=broker, ca=secure_kafka.authority.certificate, user=USER)
    with open_shop(tmp_path, kafka) as shop:
        shop.visit()
        wait_until(lambda: refusals(shop) >= 4, 30, "it was refused four times")
        (told,) = repairs(shop)
        assert (told["code"], told["urgent"]) == ("sync_refused", True)
        assert told["what"] == f"Nothing goes to Kafka: {broker} refuses user {USER}: wrong name or password"
        assert "password_file" in " ".join(told["steps"])
        assert told["what"] in shop.get("/").text
        parts = {part["name"]: part["state"] for part in shop.json("/readyz")["parts"]}
        assert parts["uplink"] == "failing"
        assert shop.json("/readyz")["ready"], "dispensers are served all the same"
        lines = shop.gateway.log.read_text().splitlines()
        told_of = [line for line in lines if "refuses user" in line]
        for road in ("Uplink: ", "Downlink: "):
            assert len([line for line in told_of if road in line]) == 1, "each of the two roads tells it once"
        assert len(told_of) <= 4, "and the supervisor once for each"
        shown = "\n".join([*lines, *(shop.get(path).text for path in PATHS)])
        assert WRONG not in shown
        stored = shop.json("/api/v1/events")["events"]
        assert stored

        password.write_text(PASSWORD)
        wait_until(lambda: not repairs(shop), 40, "the page has nothing to say")
        wait_until(lambda: shop.json("/api/v1/sync")["pending"] == 0, 20, "all went to Kafka")
        assert PASSWORD not in "\n".join([shop.gateway.log.read_text(), *(shop.get(path).text for path in PATHS)])
        for line in shop.gateway.log.read_text().splitlines():
            assert json.loads(line)["message"]
    read: list[str] = []

    async def arrived() -> bool:
        parts = await read_events(secure_kafka.bootstrap, "gw-1")
        read[:] = [str(event.id) for part in parts.values() for event in part]
        return len(read) >= len(stored)

    await wait_until_async(arrived, 20, "the events are in the topic")
    assert {event["id"] for event in stored} <= set(read)
    assert len(read) == len(set(read))
