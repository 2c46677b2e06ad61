"""Did the gateway get it all? The journal's events against those that the gateway's API lists.

GET {gateway}/api/v1/events?after=POSITION&limit=N, over the console's socket (`unix:PATH`), or over HTTP with a token
of scope `read` in the environment variable PICANTE_TOKEN
-> {"events": [{"position": 7, "id": "bar-1:5e3a09c1:42", "type": "picante.poured.v1", ...}, ...], "next": 7 | null}

`next` is null on the last page. Where a ring overflowed, the gateway's gaps must name what was dropped, to the event.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cloud_sync.unix_http import UnixConnection
from heat.errors import ConfigError, LinkLost
from hw_sim.journal import Made, made_ids
from hw_sim.ring import RingHeader, read_header
from hw_sim.simulation import journal_path, ring_path

PAGE = 1_000
GAP = "picante.gap.v1"
FAULTS = ("missing", "doubled", "unknown", "untold", "mistold")
"""What may be wrong with a dispenser's events; see `DispenserCheck`."""
TIMEOUT_S = 10.0
LOOK_S = 0.2


@dataclass(frozen=True, slots=True)
class Listed:
    """What a gateway has: ids, each with how often it is there."""

    arrived: Counter[str]
    lost: Counter[str]
    """Those that gaps name."""


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
    """Ids of this dispenser that it never made."""
    told: int
    """Events that the gateway has filed as lost."""
    untold: tuple[str, ...]
    """Ids that the ring dropped, and the gateway neither has nor misses."""
    mistold: tuple[str, ...]
    """Ids that the gateway takes for lost twice, or that were not dropped, or came."""

    @property
    def agrees(self) -> bool:
        """Whether the gateway knows exactly what was made: each event is there once, or filed as lost."""
        return not any(getattr(self, what) for what in FAULTS)

    @property
    def good(self) -> bool:
        """Whether nothing was lost, doubled or made up, and no ring overflowed."""
        return self.agrees and not self.header.dropped


def check_all(state: Path, dispensers: Iterable[str], gateway: str, *, patience_s: float = 0) -> list[DispenserCheck]:
    """Compare what a state directory's dispensers made with what the gateway lists.

    A gateway that has just started serves its dispensers some seconds before it opens its page: `patience_s` of them.

    Raises:
        LinkLost: the gateway does not answer.
    """
    give_up = time.monotonic() + patience_s
    while time.monotonic() < give_up and not _opened(gateway):
        time.sleep(LOOK_S)
    listed = fetch(gateway)
    made = made_ids(journal_path(state))
    return [_compare(name, read_header(ring_path(state, name)), made, listed) for name in dispensers]


def fetch(gateway: str) -> Listed:
    """All that the gateway lists."""
    listed = Listed(Counter(), Counter())
    after = 0
    with closing(_connection(gateway)) as connection:
        while True:
            page = _get(connection, gateway, f"/api/v1/events?after={after}&limit={PAGE}")
            for event in page["events"]:
                listed.arrived[event["id"]] += 1
                if event["type"] == GAP:
                    gap = event["data"]
                    source = f"{gap['dispenser']}:{gap['generation']:08x}"
                    listed.lost.update(f"{source}:{sequence}" for sequence in range(gap["first"], gap["last"] + 1))
            if page["next"] is None or page["next"] <= after:
                return listed
            after = page["next"]


def as_table(rows: Iterable[DispenserCheck]) -> str:
    """The comparison as lines of text."""
    counts = f"{'made':>8} {'acked':>8} {'in ring':>8} {'dropped':>8} {'arrived':>8} {'told':>8} {'missing':>8}"
    lines = [f"{'dispenser':<20} {counts}"]
    for row in rows:
        header = row.header
        lines.append(
            f"{row.dispenser:<20} {header.generated:>8} {header.acked:>8} {header.held:>8} {header.dropped:>8} "
            f"{row.arrived:>8} {row.told:>8} {len(row.missing):>8}"
        )
        for what in FAULTS:
            ids: tuple[str, ...] = getattr(row, what)
            if ids:
                more = f" and {len(ids) - 3} more" if len(ids) > 3 else ""
                lines.append(f"  {what}: {', '.join(ids[:3])}{more}")
    return "\n".join(lines)


def _compare(dispenser: str, header: RingHeader, made: Made, listed: Listed) -> DispenserCheck:
    def of(ids: Iterable[str]) -> set[str]:
        return {identity for identity in ids if _is_of(identity, dispenser)}

    held, dropped, came, lost = of(made.held), of(made.dropped), of(listed.arrived), of(listed.lost)
    twice = {identity for identity in came if listed.arrived[identity] > 1}
    return DispenserCheck(
        dispenser,
        header,
        expected=len(held),
        arrived=len(came),
        missing=tuple(sorted(held - came)),
        doubled=tuple(sorted(twice)),
        unknown=tuple(sorted(came - held - dropped)),
        told=len(lost),
        untold=tuple(sorted(dropped - came - lost)),
        mistold=tuple(sorted((lost - (dropped - came)) | {identity for identity in lost if listed.lost[identity] > 1})),
    )


def _is_of(identity: str, dispenser: str) -> bool:
    return identity.partition(":")[0] == dispenser


def _connection(gateway: str) -> http.client.HTTPConnection:
    if gateway.startswith("unix:"):
        return UnixConnection(Path(gateway.removeprefix("unix:")), TIMEOUT_S)
    address = urlsplit(gateway)
    if address.scheme not in {"http", "https"} or address.hostname is None:
        raise ConfigError(f"gateway {gateway!r} is no address", hint="It reads unix:PATH or http://HOST:PORT")
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    return kind(address.hostname, address.port, timeout=TIMEOUT_S)


def _opened(gateway: str) -> bool:
    with closing(_connection(gateway)) as connection, contextlib.suppress(OSError):
        connection.connect()
        return True
    return False


def _get(connection: http.client.HTTPConnection, gateway: str, path: str) -> dict[str, Any]:
    token = os.environ.get("PICANTE_TOKEN")
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        answer = json.load(response)
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise LinkLost(f"{gateway}: {error}", hint="Does the gateway run there?") from error
    if response.status != http.HTTPStatus.OK:
        hint = "Name the console's socket (unix:PATH), or set PICANTE_TOKEN to a token of scope read"
        raise LinkLost(f"{gateway} answered {response.status}", hint=hint)
    page: dict[str, Any] = answer
    return page
