"""What profiles must be, from the simulator's journal: a second, naive way from presses and pours to evidence.

Nothing of Picante's code is used; its data files (catalogue, words) are read as what they are, the brand's definitions.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import defaultdict
from collections.abc import Container, Iterable, Mapping
from math import floor, log2
from pathlib import Path
from typing import Any

DATA = Path(__file__).parents[2] / "heat" / "data"
SAUCES = {sauce["id"]: sauce for sauce in json.loads((DATA / "catalog.json").read_text())["sauces"]}
WORDS = json.loads((DATA / "words.json").read_text())
LABEL_SD = 600
SIGNAL_SD = {"poured": 1000, "too_hot": 800, "just_right": 500, "more": 800}


def pseudonym(token: str, key: bytes) -> str:
    """The subject of a loyalty token."""
    mac = hmac.new(key, b"picante loyalty token\x00" + token.encode(), hashlib.sha256)
    return "p1-" + mac.hexdigest()[:32]


def session_of(line: Mapping[str, Any]) -> str:
    """The subject of an unclaimed session."""
    return f"s-{line['dispenser']}-{line['generation']:08x}-{line['session']}"


def octaves(shu: float) -> int:
    """Milli-octaves."""
    return round(1000 * log2(1 + shu / 16))


def weight(sd: float, percent: int = 100) -> int:
    """Sixteen over the variance in octaves, at least 1, at most 400; then the dose's share, rounded down."""
    w = floor(16 / (sd / 1000) ** 2 + 0.5)
    return max(min(w, 400) * percent // 100, 1)


def evidence(
    journal: Iterable[Mapping[str, Any]],
    owners: Mapping[str, str],
    days: Mapping[str, int],
    origin: str,
    voided: Container[str] = (),
) -> list[dict[str, Any]]:
    """The journal as events for `tests.reference`; `owners`: who claimed a session, `days`: the day of an event.

    `voided` are ids of pours that were taken back. A rating after one weighs what it weighed.
    """
    doses: dict[str, list[int]] = defaultdict(list)
    result = []
    for line in journal:
        if "event" not in line or line["session"] == 0:
            continue
        session = session_of(line)
        data = _data(line["kind"], line["body"], line["uptime_ms"], doses[session])
        if line["kind"] == "poured":
            doses[session].append(line["uptime_ms"])
        identity = f"{line['dispenser']}:{line['generation']:08x}:{line['event']}"
        if data is not None and identity not in voided:
            result.append(
                {
                    "subject": owners.get(session, session),
                    "origin": origin,
                    "day": days[identity],
                    "type": f"picante.{line['kind']}.v1",
                    "data": data,
                }
            )
    return result


def _data(kind: str, body: Mapping[str, Any], uptime_ms: int, doses: list[int]) -> dict[str, Any] | None:
    if kind == "stated":
        return _stated(body)
    if kind not in ("poured", "rated"):
        return None
    sauce = SAUCES[body["sauce"]]
    common = {"heat": {"milli_octaves": octaves(sauce["shu"])}, "flavours": sauce["flavours"]}
    signal = SIGNAL_SD[body.get("verdict", "poured")]
    # a rating is about the last dose; the one before it blunts for a quarter of an hour
    blunted = kind == "rated" and len(doses) >= 2 and uptime_ms - doses[-2] < 15 * 60 * 1000
    common["w"] = weight((LABEL_SD**2 + signal**2) ** 0.5, 50 if blunted else 100)
    return common | ({"verdict": body["verdict"]} if kind == "rated" else {})


def _stated(body: Mapping[str, Any]) -> dict[str, Any]:
    if "dial" in body:
        low, high = octaves(WORDS["dial_low_shu"]), octaves(WORDS["dial_high_shu"])
        heat, sd = low + (high - low) * body["dial"] // 100, WORDS["dial_sd_milli_octaves"]
    elif "word" in body:
        category = next(c for c in WORDS["categories"] if c["word"] == body["word"])
        low, high = octaves(category["low_shu"]), octaves(category["high_shu"])
        heat, sd = (low + high) // 2, (high - low) * 289 // 1000
    else:
        heat, sd = octaves(body["shu"]), LABEL_SD
    return {"heat": {"milli_octaves": heat}, "w": weight(sd)}
