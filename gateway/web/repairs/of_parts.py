"""The daemon's parts, what is released to it, and what ranks."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.state import GatewayState
from gateway.web import reads
from gateway.web.hearsay import heard
from gateway.web.language import Text
from gateway.web.repairs.of_ports import connected, tells_of_itself
from gateway.web.repairs.repair import Fix, Repair, split
from gateway.web.watch import Watch
from heat.errors import ModelError

TAKE_BACK = Fix("take-back", Text("Take the old model back"), hold=True)
MODEL = Fix("model", Text("The model"), link="/picks")


def part_repairs(state: GatewayState, watch: Watch) -> Iterator[Repair]:
    """Parts that fail, or were stopped for good, but for those that tell of themselves."""
    uplink = None if state.uplink is None else state.uplink.status.state
    for part in state.supervisor.parts.values():
        if part.name == "uplink" and (part.state != "stopped" or uplink == "foreign"):
            continue  # it tells of itself
        if part.name == "downlink" and part.state != "stopped" and uplink in {"unreachable", "refused"}:
            continue  # the uplink tells why
        if tells_of_itself(state, part.name):
            continue
        detail, steps = split(part.error or f"{part.name} failed")
        values, since = {"part": part.name, "detail": heard(detail)}, reads.moment(part.since * 1000)
        if part.state == "stopped":
            what = Text("{part} was stopped: {detail}", **values)
            yield Repair("part_stopped", what, (*steps, Text("Then restart the gateway")), part.name, since)
        elif part.state == "waiting" and watch.failing(part.name) and not connected(state, part.name):
            what = Text("{part} fails: {detail}", **values)
            again = Text("It is tried again every few seconds")
            yield Repair("part_failing", what, (*steps, again), part.name, since)


def release_repairs(state: GatewayState) -> Iterator[Repair]:
    """What was released to this gateway and can't be used."""
    for one in state.releases.report():
        if one.state == "refused":
            what = Text(
                "{kind} {number}, released for {target}, is refused: {detail}",
                kind=one.kind.capitalize(),
                number=str(one.number),
                target=one.target,
                detail=heard(one.detail),
            )
            steps = (Text("Release one that is mended, or withdraw it: {command}", command="picante cloud release"),)
            pages = (MODEL,) if one.kind == "bundle" else ()
            yield Repair("release_refused", what, steps, one.kind, fixes=pages)


def model_repairs(state: GatewayState) -> Iterator[Repair]:
    """Picks that come from less than the configured bundle."""
    if state.model_error is not None:
        ranker = state.recommender.ranker
        released = any(one.kind == "bundle" and one.state in {"used", "on_trial"} for one in state.releases.report())
        yield fallback(state.model_error, ranker.scorer == "rule", ranker.name, released=released)


def fallback(error: ModelError, by_rule: bool, ranker: str, *, released: bool = False) -> Repair:
    """A bundle that can't be used as it should; `released`: it was, and what was used before it can be again."""
    detail = str(error.args[0])
    what = (
        Text("Picks are made by rule: {detail}", detail=heard(detail))
        if by_rule
        else Text("Picks are made with {ranker}: {detail}", ranker=ranker, detail=heard(detail))
    )
    return Repair("model_fallback", what, (error.hint,) if error.hint else (), fixes=(TAKE_BACK,) if released else ())
