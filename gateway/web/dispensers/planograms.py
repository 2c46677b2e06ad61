"""Which sauce is to be on which nozzle: what was planned, and else what the dispenser tells. Two may plan at once."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.web.api import nozzles_of
from gateway.web.etags import check_match, etag_of
from gateway.web.explained import Explained
from gateway.web.web import Web


def planned(web: Web, dispenser: str) -> dict[int, str]:
    """Sauce by nozzle, as it is to be. Raises Problem for a dispenser that nobody knows."""
    plan = web.state.plans.of(dispenser).planogram
    return {each.nozzle: plan.get(each.nozzle, each.sauce) for each in nozzles_of(web.state, dispenser)}


def told(web: Web, dispenser: str) -> dict[int, str]:
    """Sauce by nozzle, as the dispenser tells. Raises Problem for one that nobody knows."""
    return {each.nozzle: each.sauce for each in nozzles_of(web.state, dispenser)}


def etag(web: Web, dispenser: str) -> str:
    """Of what is planned."""
    return etag_of(sorted(planned(web, dispenser).items()))


async def place(web: Web, dispenser: str, planogram: Mapping[int, str], seen: str | None) -> None:
    """Have these sauces on these nozzles; `seen` is the ETag of what the change was made from. Raises Problem."""
    async with web.changing:
        if seen:
            check_match(seen, sorted(planned(web, dispenser).items()))
        await place_now(web, dispenser, planogram)


async def place_now(web: Web, dispenser: str, planogram: Mapping[int, str]) -> None:
    """The same, for whoever holds `web.changing`. Raises Problem."""
    with Explained():
        await web.state.adoption.place(dispenser, planogram)
