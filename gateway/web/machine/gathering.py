"""The log and the support bundle of the running daemon, scrubbed by what this gateway knows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fastapi.responses import StreamingResponse

from cloud_sync.log_ring import RING
from gateway import support
from gateway.scrub import Scrubber
from gateway.state import GatewayState
from gateway.support import Part
from gateway.web.glance import Status
from gateway.web.language import language
from gateway.web.machine.answers import BundleFile, BundlePreview
from gateway.web.machine.log_lines import scrubbed
from gateway.web.problems import Problem
from gateway.web.repairs.answers import repairs_view
from gateway.web.web import Web


@dataclass(frozen=True, slots=True)
class Bundle:
    """A support bundle of this moment: of a gateway that runs, or of its safe mode."""

    parts: Sequence[Part]
    scrubber: Callable[[], Scrubber]
    """Makes what takes secrets out; it reads files: in a thread."""
    file: str
    """How it is called when it is taken away."""

    async def preview(self) -> BundlePreview:
        """What it holds."""
        found = await asyncio.to_thread(lambda: support.preview(self.parts, self.scrubber()))
        files = [BundleFile(name=part.name, what=part.what, size_bytes=size) for part, size in found]
        return BundlePreview(files=files)

    async def one(self, name: str) -> bytes:
        """One of its files, as it would leave. Raises a Problem: there is none of this name."""
        part = next((one for one in self.parts if one.name == name), None)
        if part is None:
            raise Problem(404, "no-such-file", "a bundle has no such file", hint="/api/v1/system/bundle lists them")
        return await asyncio.to_thread(lambda: support.content(part, self.scrubber()))

    def zipped(self, without: set[str]) -> StreamingResponse:
        """It as a download, without some of its files."""
        wanted = [part for part in self.parts if part.name not in without]

        def pieces() -> Iterator[bytes]:  # taken one by one, in a thread
            yield from support.bundle(wanted, self.scrubber())

        headers = {"content-disposition": f'attachment; filename="{self.file}"'}
        return StreamingResponse(pieces(), media_type="application/zip", headers=headers)


def scrubber_of(state: GatewayState) -> Scrubber:
    """What takes secrets out of all that the web shows of the log; reads files: in a thread."""
    known = [*state.dispensers.known, *state.dispensers.keyring.adopted, *state.catalog]
    lines = list(state.serial)
    return support.scrubber(state.config, [*known, *lines, *(port.rpartition("/")[2] for port in lines)])


async def bundle_of(web: Web) -> Bundle:
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
    parts = [*(Part(*one) for one in told), *support.parts(state.config, log_text)]
    return Bundle(parts, lambda: scrubber_of(state), f"{state.config.gateway.id}-support.zip")


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
