"""What happens in the demo's first minute, act by act. Each tells what it does and what came of it."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from heat.errors import LinkLost
from heat.identity import parse_event_id
from heat.scale import shu
from picante.demo.numbers import Numbers
from picante.demo.stage import MQTT, SERIAL, Stage

Tell = Callable[[str], None]
POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class Act:
    """An act: when it begins, how long it needs, and whether it can be played with a real Kafka."""

    at_s: float
    needs_s: float
    play: Callable[[Stage, Tell], None]
    embedded_only: bool = False


def wait_for(condition: Callable[[], Any], within_s: float) -> tuple[Any, float]:
    """The first true value of a condition and the seconds that it took; the last value when time is up."""
    begun = time.monotonic()
    while not (value := condition()) and time.monotonic() - begun < within_s:
        time.sleep(POLL_S)
    return value, time.monotonic() - begun


def come_online(stage: Stage, tell: Tell) -> None:
    """Six dispensers open their links."""
    count, _ = wait_for(lambda: (n := stage.online()) == 6 and n, 20)
    tell(f"[green]●[/] {count or stage.online()} dispensers online: 4 on serial lines, 2 on MQTT ({stage.mqtt_kind})")


def follow_a_pour(stage: Stage, tell: Tell) -> None:
    """One pour along the road: frame, disk, pick, Kafka."""
    name = SERIAL[0]
    begun = time.monotonic()
    visit = stage.ask_sim("visit", dispenser=name, word="medium")
    poured = next(reversed(visit["events"]))
    event_id = parse_event_id(poured)
    _, disk_s = wait_for(lambda: stage.ask_sim("status")["dispensers"][name]["lowest"] > event_id.sequence, 5)
    reader = stage.reader
    if reader is not None:
        wait_for(lambda: reader.holds(event_id), 5)
    kafka_ms = (time.monotonic() - begun) * 1000
    shown = next((pick for pick in _recent_picks(stage) if pick["pick_id"] == visit["pick_id"]), None)
    inside = f" ({shown['latency_us'] / 1000:.1f} ms inside the gateway)" if shown else ""
    tell(f"[bold]One pour along the road[/]: {visit['poured']} at {name}, event {poured}")
    tell(f"   ASK → PICKS on the screen   {visit['answer_ms'] or 0:7.1f} ms{inside}")
    tell(f"   frame → disk → ACK          {disk_s * 1000:7.1f} ms  (the line runs at 115,200 baud; fsync included)")
    reading = "read_committed" if stage.kafka else "embedded       "
    tell(f"   … → Kafka, {reading}  {kafka_ms:7.1f} ms")


def too_hot(stage: Stage, tell: Tell) -> None:
    """A customer presses *too hot*; the next picks are milder."""
    name = SERIAL[1]
    first = stage.ask_sim("visit", dispenser=name, token="demo-regular", dial=70, pour="")
    tell(f"[bold]What {name} shows[/] a customer who turned the dial to 70:")
    tell(stage.ask_sim("screen", dispenser=name)["text"])
    hottest = max(first["picks"], key=lambda pick: pick["milli_octaves"])
    rated = stage.ask_sim("visit", dispenser=name, token="demo-regular", pour=hottest["sauce"], rate="too_hot")
    last = parse_event_id(rated["events"][-1])
    wait_for(lambda: stage.ask_sim("status")["dispensers"][name]["lowest"] > last.sequence, 5)
    after = stage.ask_sim("visit", dispenser=name, token="demo-regular", pour="")
    tell(f"They pour {hottest['name']} and press [red]too hot[/]. At their next visit:")
    tell(stage.ask_sim("screen", dispenser=name)["text"])
    before, now = (max(pick["milli_octaves"] for pick in visit["picks"]) for visit in (first, after))
    tell(f"   hottest pick: {shu(before):,} SHU before, [green]{shu(now):,} SHU now[/]")


def cut_the_internet(stage: Stage, tell: Tell) -> None:
    """The way to Kafka goes dead."""
    stage.cut_internet()
    tell("[red]✂ The Internet is cut.[/] Picks go on; events wait in the outbox.")


def mend_the_internet(stage: Stage, tell: Tell) -> None:
    """It is back, and the outbox drains."""
    waiting = stage.numbers().waiting
    shown = stage.numbers().picks_shown
    stage.mend_internet()
    drained, took_s = wait_for(lambda: stage.numbers().waiting == 0, 20)
    outcome = f"drained to 0 in {took_s * 1000:.0f} ms" if drained else f"still {stage.numbers().waiting}"
    tell(f"[green]The Internet is back[/]: {waiting} events had waited, {outcome}; {shown} picks shown so far.")


def kill_the_gateway(stage: Stage, tell: Tell) -> None:
    """kill -9, and everything is there again."""
    tell("[red]☠ kill -9[/] of the gateway" + (" (between two transactions)" if stage.kafka is None else ""))
    begun = stage.kill_gateway()
    wait_for(stage.page_is_up, 15)
    page_s = time.monotonic() - begun
    online, _ = wait_for(lambda: _online(stage) == len(SERIAL + MQTT), 15)
    total_s = time.monotonic() - begun
    state = "six dispensers online" if online else "some dispensers still away"
    tell(f"[green]It is back[/]: page after {page_s:.1f} s, {state} after {total_s:.1f} s. Nothing else was touched.")


def pull_a_cable(stage: Stage, tell: Tell) -> None:
    """A cable is pulled; a warning appears, and clears when it is back."""
    name = SERIAL[2]
    stage.ask_sim("unplug", dispenser=name)
    warning, seen_s = wait_for(lambda: _repair(stage, name), 10)
    tell(f"[yellow]⚡ The cable of {name} is pulled.[/] The page says after {seen_s:.1f} s: {warning or 'nothing'}")
    stage.ask_sim("plug", dispenser=name)
    clear, clear_s = wait_for(lambda: not _repair(stage, name), 10)
    tell(
        f"[green]Put back[/]: {'the warning is gone' if clear else 'the warning is still there'} {clear_s:.1f} s later."
    )


def meet_the_cloud(stage: Stage, tell: Tell) -> None:
    """What the cloud half made of the same events."""
    cloud = stage.cloud
    if cloud is None:
        return
    wait_for(lambda: cloud.numbers.events and cloud.numbers.digests_equal, 5)
    numbers = cloud.numbers
    tell(
        f"[bold]The cloud half[/] has folded {numbers.events} events into {numbers.profiles} profiles,"
        f" and keeps {numbers.lake_rows} rows in its lake."
    )
    customer = max(cloud.customers(), key=lambda one: one.pieces, default=None)
    if customer is not None:
        edge, above = customer.digests
        same = "[green]the same[/]" if edge == above else "[yellow]not the same yet[/]"
        tell(f"   {customer.subject[:11]}… after {customer.pieces} pours, ratings and dials, as a digest of all sums:")
        tell(f"   gateway {edge[:16]}…   cloud {above[:16]}…   {same}")


ACTS = (
    Act(2, 6, come_online),
    Act(6, 3, follow_a_pour),
    Act(9, 5, too_hot),
    Act(14, 13, cut_the_internet, embedded_only=True),
    Act(22, 5, mend_the_internet, embedded_only=True),
    Act(27, 10, kill_the_gateway),
    Act(37, 10, pull_a_cable),
    Act(47, 6, meet_the_cloud, embedded_only=True),
)


def playable(seconds: float | None, embedded: bool) -> list[Act]:
    """The acts that fit into the seconds (None: there is no end), and into this Kafka."""
    room = float("inf") if seconds is None else seconds - 4
    return [act for act in ACTS if act.at_s + act.needs_s <= room and (embedded or not act.embedded_only)]


def drain(stage: Stage, within_s: float, cloud_s: float) -> Numbers:
    """Let nobody come any more, and wait until all is in Kafka (`within_s`), and then in the cloud (`cloud_s`)."""
    stage.mend_internet()  # Ctrl-C may have come while it was cut
    with contextlib.suppress(LinkLost):
        stage.ask_sim("pause")
    arrived, _ = wait_for(lambda: _all_there(stage.numbers()), within_s)
    cloud = stage.cloud
    if cloud is None or not arrived:
        return stage.numbers()
    wait_for(lambda: not cloud.look().faults(), cloud_s)
    cloud.stop()  # or it would look again, at events of the gateway's own that the lake has not got yet
    return stage.numbers()


def _all_there(numbers: Numbers) -> bool:
    return numbers.held == 0 and numbers.in_topic == numbers.generated


def _recent_picks(stage: Stage) -> list[dict[str, Any]]:
    return list((stage.gateway_json("api/v1/status") or {}).get("picks", []))


def _repair(stage: Stage, name: str) -> str | None:
    for repair in (stage.gateway_json("api/v1/repairs") or {}).get("repairs", []):
        if name in repair["what"]:
            return str(repair["what"])
    return None


def _online(stage: Stage) -> int:
    """How many dispensers are online, as the gateway sees it."""
    dispensers = (stage.gateway_json("api/v1/dispensers") or {}).get("dispensers", [])
    return sum(dispenser["online"] for dispenser in dispensers)
