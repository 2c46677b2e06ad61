"""The log and the support bundle of a gateway that can't run: no more than a technician gets of one that does."""

from __future__ import annotations

import asyncio
from typing import Any

from fastapi.responses import StreamingResponse

from cloud_sync.log_ring import RING
from gateway import support
from gateway.scrub import Scrubber
from gateway.support import Part
from gateway.web.language import language
from gateway.web.machine.answers import LogLines
from gateway.web.machine.gathering import Bundle, log_text
from gateway.web.machine.log_lines import Level, select
from gateway.web.repairs.answers import repairs_view
from gateway.web.safe.safe import Safe


def scrubber_of(safe: Safe) -> Scrubber:
    """What takes secrets out; reads files: in a thread."""
    return support.scrubber(safe.config)


async def newest(safe: Safe, level: Level, search: str, limit: int) -> LogLines:
    """The log's last lines, newest first."""
    scrub = await asyncio.to_thread(scrubber_of, safe)
    return select(RING.lines(), scrub, level, search, limit)


def bundle_of(safe: Safe) -> Bundle:
    """All files that a bundle may have, as far as there is something to look at."""
    repairs = repairs_view(safe.repairs, language("en"), safe.found)

    def told() -> dict[str, Any]:
        return repairs.model_dump(mode="json")

    parts = [Part("repairs.json", "What is wrong, as the page tells it", told), *support.parts(safe.config, log_text)]
    return Bundle(parts, lambda: scrubber_of(safe), f"{safe.config.gateway.id}-safe-mode.zip")


def zipped(safe: Safe, without: set[str]) -> StreamingResponse:
    """The bundle as a download, without some of its files."""
    return bundle_of(safe).zipped(without)
