"""Who needs somebody: what heartbeats say, judged."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from cloud.fleet import SILENT_MS, Heard, Trouble, hear, judge
from cloud_sync.published import Heartbeat, publish
from cloud_sync.record import Consumed

NOW_MS = 1_790_000_000_000
WELL = Heartbeat(
    gateway="gw-1",
    store="plaza",
    region="south",
    software="0.2.0",
    started_ms=NOW_MS - 3_600_000,
    backlog=0,
    oldest_ms=None,
    clock="known",
    disk_percent=12,
    repairs=(),
    ranker="9f2c4e1ab07d",
    catalogue="2026-1",
    words="2026-1",
    free_mib=9_000,
)


def heard(name: str = "gw-1", ago_ms: int = 1_000, **changes: Any) -> Heard:
    return Heard(msgspec.structs.replace(WELL, gateway=name, **changes), NOW_MS - ago_ms)


def complaints(*fleet: Heard) -> list[tuple[str, list[tuple[str, str]]]]:
    """Gateways in the order of the judgement, each with what is wrong."""
    return [
        (one.heard.heartbeat.gateway, [(each.trouble.name, each.what) for each in one.complaints])
        for one in judge(fleet, NOW_MS)
    ]


def test_a_fleet_that_is_well_is_sorted_by_name() -> None:
    assert complaints(heard("gw-2"), heard("gw-10"), heard("gw-1")) == [("gw-1", []), ("gw-10", []), ("gw-2", [])]
    assert all(one.well for one in judge([heard()], NOW_MS))
    assert judge([], NOW_MS) == []


def test_three_missed_heartbeats_are_silence_and_the_longest_comes_first() -> None:
    found = judge([heard("gw-1", SILENT_MS), heard("gw-2", SILENT_MS + 1), heard("gw-3", 2 * SILENT_MS)], NOW_MS)
    assert [one.heard.heartbeat.gateway for one in found] == ["gw-3", "gw-2", "gw-1"]
    assert [one.well for one in found] == [False, False, True]
    [silent] = found[0].complaints
    assert (silent.trouble, silent.since_ms) == (Trouble.SILENT, NOW_MS - 2 * SILENT_MS)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"repairs": ("store_full", "home_untold")}, [("STOPPED", "store_full"), ("REPAIRS", "home_untold")]),
        ({"backlog": 1_234, "oldest_ms": NOW_MS - 1_000 - 600_001}, [("BACKLOG", "1,234 events wait")]),
        ({"backlog": 1_234, "oldest_ms": NOW_MS - 1_000 - 600_000}, []),
        ({"clock": "unknown", "repairs": ("clock_unknown",)}, [("CLOCK", "clock unknown")]),
        ({"disk_percent": 91, "repairs": ("store_filling",)}, [("DISK", "store 91 % full")]),
        ({"free_mib": 199, "repairs": ("disk_low",)}, [("DISK", "disk has 199 MiB left")]),
        ({"repairs": ("dispenser_offline", "events_lost")}, [("REPAIRS", "dispenser_offline, events_lost")]),
    ],
)  # fmt: skip
def test_what_is_wrong_with_a_gateway_is_said_once(changes: dict[str, Any], said: list[tuple[str, str]]) -> None:
    assert complaints(heard(**changes)) == [("gw-1", said)]


def test_the_worst_comes_first_whatever_their_names() -> None:
    order = complaints(
        heard("gw-a"),
        heard("gw-b", software="0.1.9"),
        heard("gw-c", repairs=("dispenser_offline",)),
        heard("gw-d", disk_percent=95),
        heard("gw-e", clock="unknown"),
        heard("gw-f", backlog=1, oldest_ms=NOW_MS - 3_600_000),
        heard("gw-g", repairs=("part_stopped",)),
        heard("gw-h", 10**7),
    )
    assert [name for name, _ in order] == ["gw-h", "gw-g", "gw-f", "gw-e", "gw-d", "gw-c", "gw-b", "gw-a"]


def test_of_two_with_the_same_trouble_the_one_with_more_of_it_comes_first() -> None:
    order = complaints(heard("gw-a", clock="unknown"), heard("gw-b", clock="unknown", repairs=("events_lost",)))
    assert [name for name, _ in order] == ["gw-b", "gw-a"]


def test_older_software_and_what_few_have_is_told_of_and_wakes_nobody() -> None:
    fleet = [heard("gw-1"), heard("gw-2"), heard("gw-3", software="0.10.0", words="2025-9", ranker="")]
    assert dict(complaints(*fleet)) == {
        "gw-1": [("VERSIONS", "software 0.2.0")],
        "gw-2": [("VERSIONS", "software 0.2.0")],
        "gw-3": [("VERSIONS", "ranker none, words 2025-9")],
    }
    assert all(one.well for one in judge(fleet, NOW_MS))


@pytest.mark.parametrize(
    ("older", "newer"), [("0.9.0", "0.10.0"), ("1.0rc1", "1.0"), ("0.2.0", "0.2.1"), ("0.2", "0.2.1")]
)
def test_versions_are_numbers(older: str, newer: str) -> None:
    assert complaints(heard("gw-1", software=older), heard("gw-2", software=newer)) == [
        ("gw-1", [("VERSIONS", f"software {older}")]),
        ("gw-2", []),
    ]


def record(offset: int, key: str, value: bytes | None) -> Consumed:
    return Consumed("picante.gateways.v1", 0, offset, NOW_MS + offset, key.encode(), value, ())


def test_the_last_one_counts_a_tombstone_forgets_and_what_is_none_is_passed_over() -> None:
    def told(name: str, backlog: int) -> bytes:
        beat = msgspec.structs.replace(WELL, gateway=name, backlog=backlog)
        return publish(name, beat, f"/gateways/{name}", f"{name}:1", NOW_MS).value or b""

    fleet: dict[str, Heard] = {}
    heartbeats = hear(
        fleet,
        [
            record(0, "gw-1", told("gw-1", 1)),
            record(1, "gw-2", told("gw-2", 1)),
            record(2, "gw-1", told("gw-1", 2)),
            record(3, "gw-1", b"{"),
            record(4, "gw-9", told("gw-1", 3)),
            record(5, "gw-2", None),
        ],
    )
    assert [(one.heartbeat.gateway, one.heartbeat.backlog) for one in heartbeats] == [
        ("gw-1", 1),
        ("gw-2", 1),
        ("gw-1", 2),
    ]
    assert {name: (one.heartbeat.backlog, one.at_ms) for name, one in fleet.items()} == {"gw-1": (2, NOW_MS + 2)}
