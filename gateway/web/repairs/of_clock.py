"""The clock: unknown, or doubted."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from gateway.clock import Clock, Doubt
from gateway.config import Config
from gateway.web.language import Span, Text
from gateway.web.repairs.repair import Fix, Repair

RIGHT = Fix("right", Text("The clock is right"), hold=True)
PAGE = Fix("system", Text("The clock"), link="/system")


def clock_repairs(clock: Clock, config: Config) -> Iterator[Repair]:
    """The list."""
    now, doubt = clock.now(), clock.doubt
    word = config.path(config.clock.synchronised)
    if doubt is not None:
        yield _doubted(clock, doubt, word, now.boot_ms)
    elif (waits_ms := clock.waits_ms()) is not None:
        by_hand = (
            Text("Or set its clock")
            if config.clock.trust == "system"
            else Text("Or set its clock, and touch {path}", path=str(word))
        )
        wait = (
            Text("Events wait for it, {span} at most", span=Span(waits_ms / 1000))
            if waits_ms
            else Text("Events go up without a sure day meanwhile")
        )
        steps = (Text("Connect the gateway to a network once"), by_hand, wait)
        yield Repair("clock_unknown", Text("The gateway does not know what time it is"), steps, fixes=(PAGE,))


def _doubted(clock: Clock, doubt: Doubt, word: Path, boot_ms: int) -> Repair:
    off = Span(abs(doubt.off_ms) / 1000)
    if clock.offset_ms is None:
        what = (
            Text("The clock is more than half a year ahead of the newest event: it is not believed yet")
            if doubt.off_ms > 0
            else Text("The clock is {span} behind the newest event: it is not believed yet", span=off)
        )
    elif doubt.off_ms > 0:
        what = Text("The clock jumped ahead by {span}: it is not believed yet", span=off)
    else:
        what = Text("The clock jumped back by {span}: it is not believed yet", span=off)
    steps = (
        Text("If it is wrong, set it, or let the network do so"),
        Text("If it is right, say so here, or touch {path}: that is the network's word", path=str(word)),
        Text("Events wait; in {span} it is believed anyway", span=Span(max(doubt.until_ms - boot_ms, 0) / 1000)),
    )
    return Repair("clock_jumped", what, steps, fixes=(RIGHT, PAGE))
