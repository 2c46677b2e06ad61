"""The gateway itself in Home Assistant: how many things want repair, and the worst of them in words.

    homeassistant/device/STORE/_gateway/config   retained; no dispenser's name begins so
    picante/home/STORE/_gateway/state            retained: a JSON object

What somebody lets be is not counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.web.repairs.repair import Repair

NAME = "_gateway"
"""Its place in topics."""
WORDS_CHARS = 200
"""Characters of the worst one's words; what a card on a wall shows of it."""


def state_of(repairs: Sequence[Repair]) -> dict[str, Any]:
    """How it is now, as the templates of `config_of` read it. The worst one comes first among `repairs`."""
    there = [repair for repair in repairs if repair.snoozed is None]
    worst = there[0] if there else None
    return {
        "repairs": len(there),
        "urgent": sum(repair.urgent for repair in there),
        "worst": None if worst is None else _cut(str(worst.what)),
        "code": None if worst is None else worst.code,
    }


def config_of(store: str, gateway: str, version: str, state_topic: str, availability_topic: str) -> dict[str, Any]:
    """What announces the gateway: a device with one sensor, whose attributes say what the worst repair is."""
    identity = f"picante-{store}-{NAME}"
    return {
        "device": {
            "identifiers": [identity],
            "name": f"Picante {gateway}",
            "manufacturer": "Picante",
            "model": "Gateway",
            "sw_version": version,
        },
        "origin": {"name": "Picante", "sw_version": version},
        "availability": [{"topic": availability_topic}],
        "availability_mode": "all",
        "state_topic": state_topic,
        "qos": 1,
        "components": {
            "repairs": {
                "platform": "sensor",
                "name": "Repairs",
                "unique_id": f"{identity}-repairs",
                "value_template": "{{ value_json.repairs }}",
                "state_class": "measurement",
                "entity_category": "diagnostic",
                "json_attributes_topic": state_topic,
            }
        },
    }


def _cut(words: str) -> str:
    return words if len(words) <= WORDS_CHARS else words[: WORDS_CHARS - 1] + "…"
