"""What all of safe mode's routes share: what is wrong, and when it is looked at anew."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import Annotated

from fastapi import Depends, Request

from gateway.access.access import Access
from gateway.config import Config
from gateway.web.repairs.repair import Repair

CHECK_S = 15.0
"""s that *Check again* waits for a look; one that opens a large database takes longer, and goes on."""


@dataclass(slots=True)
class Safe:
    """What is wrong, and who may see it."""

    config: Config
    access: Access
    repairs: list[Repair] = field(default_factory=list)
    found: datetime | None = None
    """When they were found."""
    woken: asyncio.Event = field(default_factory=asyncio.Event)
    """Set it to have everything looked at now."""
    looked: asyncio.Condition = field(default_factory=asyncio.Condition)
    """Notified after each look."""
    keeping: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a backup is sent or checked: one at a time."""

    def at_stake(self) -> None:
        """How many events Kafka lacks, the database can't tell."""

    def restart(self) -> None:
        """Have the order seen that the next start carries out."""
        self.woken.set()

    async def look(self) -> None:
        """Have everything looked at now, and wait for that."""
        async with self.looked:
            self.woken.set()
            try:
                async with asyncio.timeout(CHECK_S):
                    await self.looked.wait()
            except TimeoutError:
                pass


def _safe(request: Request) -> Safe:
    safe: Safe = request.app.state.safe
    return safe


TheSafe = Annotated[Safe, Depends(_safe)]
"""An endpoint's parameter of this type is the safe mode that it belongs to."""
