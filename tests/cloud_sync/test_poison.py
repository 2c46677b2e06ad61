"""The golden records: what is refused, and why; what is an event, and what it adds to a profile."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest

from cloud_sync.envelope import Received, verdict
from cloud_sync.topics import SAMPLES
from heat.profile import contribution
from heat.quality import Refusal

RECORDS: list[dict[str, Any]] = [
    json.loads(line)
    for line in (Path(__file__).parents[1] / "vectors/poison/records.jsonl").read_text(encoding="utf-8").split("\n")
    if line
]
REASONS = {
    *("too_large", "malformed", "unknown_type", "contradictory"),
    *("impossible_heat", "impossible_volume", "impossible_sums", "wrong_key"),
}
"""Those that a reader of the topic gives."""


def part(record: dict[str, Any], member: str) -> bytes | None:
    """A record's key or value, as it lies in Kafka."""
    if (encoded := record.get(f"{member}_base64")) is not None:
        return base64.b64decode(encoded)
    text: str | None = record[member]
    return None if text is None else text.encode()


def said(received: Received) -> dict[str, Any]:
    """What an event says, as the golden records have it."""
    buckets, flavours = contribution(received.data, received.origin, received.day).rows()
    return {
        "type": received.data.type,
        "source": received.id.source,
        "generation": received.id.generation,
        "sequence": received.id.sequence,
        "subject": received.subject,
        "time_ms": received.time_ms,
        "day": received.day,
        "clock": received.clock,
        "origin": received.origin,
        "redelivered": received.redelivered,
        "buckets": [[b.origin, b.day, b.kind, b.n, b.w, b.wq, b.wqq, list(b.bands)] for b in buckets],
        "flavours": sorted([f.origin, f.day, f.kind, f.tag, f.n, f.w] for f in flavours),
    }


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["name"])
def test_a_record_has_its_verdict(record: dict[str, Any]) -> None:
    value = (part(record, "value") or b"").ljust(record.get("padded_to", 0))
    given = verdict(part(record, "key"), value, samples=record.get("topic") == SAMPLES.name)
    if isinstance(given, Refusal):
        assert given.reason == record.get("reason"), given.detail
        assert "LOYAL" not in given.detail
        assert "jane" not in given.detail
    else:
        record["event"]["flavours"].sort()
        assert said(given) == record.get("event")


def test_there_are_records_of_every_reason() -> None:
    assert {record["reason"] for record in RECORDS if "reason" in record} == REASONS
    assert sum("reason" in record for record in RECORDS) >= 200
    assert len({record["name"] for record in RECORDS}) == len(RECORDS)
    assert all(("reason" in record) != ("event" in record) for record in RECORDS)
