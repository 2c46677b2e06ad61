"""The log and the support bundle of the running daemon, scrubbed by what this gateway knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from cloud_sync.log_ring import RING
from gateway import support
from gateway.scrub import Scrubber
from gateway.state import GatewayState
from gateway.support import Part
from gateway.web.glance import Status
from gateway.web.language import language
from gateway.web.machine.log_lines import scrubbed
from gateway.web.repairs.answers import repairs_view
from gateway.web.web import Web


def scrubber_of(state: GatewayState) -> Scrubber:
    """What takes secrets out of all that the web shows of the log; reads files: in a thread."""
    known = [*state.dispensers.known, *state.dispensers.keyring.adopted, *state.catalog]
    lines = list(state.serial)
    return support.scrubber(state.config, [*known, *lines, *(port.rpartition("/")[2] for port in lines)])


async def wanted_parts(web: Web) -> list[Part]:
    """All files that a bundle may have; made of this moment."""
    state = web.state
    at_a_glance = await web.status()
    repairs = repairs_view(web.board.repairs, language("en"), web.board.looked)
    figures = _figures(web)  # here: it reads with the event loop's own connection
    told: list[tuple[str, str, Callable[[], Any]]] = [
        ("repairs.json", "What is wrong, as the page tells it", lambda: repairs.model_dump(mode="json")),
        ("status.json", "The gateway at a glance, without what customers did", lambda: _harmless(at_a_glance)),
        ("parts.json", "Parts of the daemon, and how often each began anew", lambda: _parts(state)),
        ("figures.json", "All figures that Prometheus would read: what passed on each link", lambda: figures),
    ]
    return [*(Part(*one) for one in told), *support.parts(state.config, log_text)]


def _harmless(status: Status) -> dict[str, Any]:
    return status.model_dump(mode="json", exclude={"picks", "events"})


def log_text() -> Iterable[str]:
    """The log's lines as they were written."""
    return (f"{line.json}\n" for line in RING.lines())


def log_file(scrubber: Scrubber) -> bytes:
    """The log's lines, scrubbed."""
    return "".join(scrubbed(RING.lines(), scrubber)).encode()


def _parts(state: GatewayState) -> list[dict[str, Any]]:
    return [
        {"name": part.name, "state": part.state, "restarts": part.restarts, "error": part.error}
        for part in list(state.supervisor.parts.values())
    ]


def _figures(web: Web) -> list[dict[str, Any]]:
    return [
        {"name": sample.name, "labels": dict(sample.labels), "value": sample.value}
        for metric in web.registry.collect()
        for sample in metric.samples
        if not sample.name.endswith(("_bucket", "_created"))
    ]
