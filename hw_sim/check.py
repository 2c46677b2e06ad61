"""Did the gateway get it all? The journal's events against those that the gateway's API lists.

GET {gateway}/api/v1/events?after=POSITION&limit=N
-> {"events": [{"position": 7, "id": "bar-1:5e3a09c1:42", "type": "picante.poured.v1", ...}, ...], "next": 7 | null}

`next` is null on the last page.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heat.errors import ConfigError, LinkLost
from hw_sim.journal import expected_ids
from hw_sim.ring import RingHeader, read_header
from hw_sim.simulation import journal_path, ring_path

PAGE = 1_000
TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True)
class DispenserCheck:
    """One dispenser's row of the comparison."""

    dispenser: str
    header: RingHeader
    expected: int
    arrived: int
    missing: tuple[str, ...]
    """Ids that the gateway should have and hasn't."""
    doubled: tuple[str, ...]
    """Ids that it lists more than once."""
    unknown: tuple[str, ...]
    """Ids of this dispenser that it never made, or dropped."""

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled or made up, and no ring overflowed."""
        return not (self.missing or self.doubled or self.unknown or self.header.dropped)


def check_all(state: Path, dispensers: Iterable[str], gateway: str) -> list[DispenserCheck]:
    """Compare what a state directory's dispensers made with what the gateway lists.

    Raises:
        LinkLost: the gateway does not answer.
    """
    arrived = Counter(fetch_ids(gateway))
    expected = expected_ids(journal_path(state))
    return [_compare(name, read_header(ring_path(state, name)), expected, arrived) for name in dispensers]


def fetch_ids(gateway: str) -> Iterator[str]:
    """The ids of all events that the gateway lists, in the order of their position."""
    after = 0
    while True:
        page = _get(f"{gateway.rstrip('/')}/api/v1/events?after={after}&limit={PAGE}")
        for event in page["events"]:
            yield event["id"]
        if page["next"] is None or page["next"] <= after:
            return
        after = page["next"]


def as_table(rows: Iterable[DispenserCheck]) -> str:
    """The comparison as lines of text."""
    lines = [f"{'dispenser':<20} {'made':>8} {'acked':>8} {'in ring':>8} {'dropped':>8} {'arrived':>8} {'missing':>8}"]
    for row in rows:
        header = row.header
        lines.append(
            f"{row.dispenser:<20} {header.generated:>8} {header.acked:>8} {header.held:>8} {header.dropped:>8} "
            f"{row.arrived:>8} {len(row.missing):>8}"
        )
        for what in ("missing", "doubled", "unknown"):
            ids: tuple[str, ...] = getattr(row, what)
            if ids:
                more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
                lines.append(f"  {what}: {', '.join(ids[:3])}{more}")
    return "\n".join(lines)


def _compare(dispenser: str, header: RingHeader, expected: set[str], arrived: Mapping[str, int]) -> DispenserCheck:
    mine = {identity for identity in expected if _is_of(identity, dispenser)}
    came = {identity: times for identity, times in arrived.items() if _is_of(identity, dispenser)}
    return DispenserCheck(
        dispenser,
        header,
        expected=len(mine),
        arrived=len(came),
        missing=tuple(sorted(mine - came.keys())),
        doubled=tuple(sorted(identity for identity, times in came.items() if times > 1)),
        unknown=tuple(sorted(came.keys() - mine)),
    )


def _is_of(identity: str, dispenser: str) -> bool:
    return identity.partition(":")[0] == dispenser


def _get(url: str) -> dict[str, Any]:
    if not url.startswith(("http://", "https://")):
        raise ConfigError(f"gateway {url!r} is no web address", hint="It reads http://HOST:PORT")
    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT_S) as response:  # noqa: S310  # its scheme is checked above
            page: dict[str, Any] = json.load(response)
            return page
    except (OSError, ValueError, urllib.error.URLError) as error:
        raise LinkLost(f"{url}: {error}", hint="Does the gateway run there?") from error
