"""Dispensers that pour what lies above the store's limit at the first press."""

from __future__ import annotations

from collections.abc import Iterator

from gateway.state import GatewayState
from gateway.web.glance import Trouble

ASKS_FROM = 2
"""The first version of the protocol in which a dispenser is told what must be confirmed."""


def limit_troubles(state: GatewayState) -> Iterator[Trouble]:
    """The list."""
    for name, known in state.dispensers.known.items():
        if known.link is None or not known.online or known.link.session.version >= ASKS_FROM:
            continue
        if hot := state.recommender.menus.to_confirm(known.hello.nozzles):
            nozzles = ("nozzle " if len(hot) == 1 else "nozzles ") + ", ".join(map(str, hot))
            yield Trouble(
                code="limit_unconfirmed",
                urgent=True,
                what=f"{name} pours above the store's limit at the first press, from {nozzles}: its firmware can't ask",
                fix="Update its firmware, or put sauces below limit_shu there",
            )
