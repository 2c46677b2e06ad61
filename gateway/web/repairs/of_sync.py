"""The way to Kafka."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from gateway.state import GatewayState
from gateway.web.answers import SyncView
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.repairs.repair import Fix, Repair, split

CONNECTING_S = 20.0
"""s after the start in which the brokers may still be on their way."""
GO_ON = Fix("go-on", Text("It is this gateway: go on"), hold=True)
PAGE = Fix("sync", Text("The way to Kafka"), link="/sync")


def sync_repairs(state: GatewayState, sync: SyncView) -> Iterator[Repair]:
    """The list: one entry at most."""
    detail, steps = split(sync.last_error or "")
    still_looking = sync.state == "connecting" and state.up_s > CONNECTING_S
    pulse_error = None if state.uplink is None else state.uplink.pulse.last_error
    if sync.state == "foreign":
        what = Text("Nothing goes to Kafka: {detail}", detail=heard(detail))
        yield Repair("sync_foreign", what, steps, since=sync.since, fixes=(GO_ON, PAGE))
    elif sync.state == "refused":
        what = Text("Nothing goes to Kafka: {detail}", detail=heard(detail))
        yield Repair("sync_refused", what, steps, since=sync.since, fixes=(PAGE,))
    elif sync.state in {"idle", "draining"} and pulse_error is not None:
        detail, steps = split(pulse_error)
        what = Text("The cloud is not told how this gateway is: {detail}", detail=heard(detail))
        yield Repair("heartbeat_failing", what, steps)
    elif (sync.state == "unreachable" or still_looking) and state.config.kafka is not None:
        yield unreachable(state.config.kafka.bootstrap, sync.since)


def unreachable(bootstrap: str, since: datetime | None) -> Repair:
    """Nobody answers there."""
    steps = (
        Text("Check the network"),
        Text("Check bootstrap ({bootstrap}) and tls of [kafka] in gateway.toml", bootstrap=bootstrap),
    )
    what = Text("Kafka can't be reached; events are kept here")
    return Repair("sync_unreachable", what, steps, since=since, fixes=(PAGE,))


def dead_letters(count: int) -> Repair:
    """Events that were refused, and wait for somebody."""
    what = Text("{n} event was refused, and waits for you", "{n} events were refused, and wait for you", n=count)
    steps = (Text("Mend and replay them, or dismiss them, on the page Sync"),)
    return Repair("dead_letters", what, steps, fixes=(Fix("letters", Text("Look at them"), link="/sync/letters"),))
