"""What is released to a gateway: a bundle that is used and damaged, and one that can't be used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cloud_sync import releases as contract
from gateway import scorer, shelf
from gateway.parts import DaemonHands
from gateway.state import GatewayState
from models.probe import BAD_BUNDLE
from tests.gateway.web.conftest import Inside, inside_of
from tests.gateway.web.provoked.registry import WITHIN_S, provokes, seen
from tests.signed import released, trust
from tests.waiting import wait_until_async

PICKS = """
[picks]
trial_slates = 0
"""


@asynccontextmanager
async def daemon(directory: Path) -> AsyncIterator[Inside]:
    """One that takes over what is released."""
    await asyncio.to_thread(directory.mkdir)
    trust(directory / "bundle-keys.toml")
    async with inside_of(directory, PICKS, keys_too='bundles = "bundle-keys.toml"') as other:
        running = asyncio.create_task(other.state.releases.run(DaemonHands(other.state)))
        try:
            yield other
        finally:
            running.cancel()
            await asyncio.wait([running])


async def comes(state: GatewayState, content: bytes, becomes: str) -> None:
    """A bundle comes down, and this becomes of it."""
    made = contract.release("bundle", "all", 1, content)
    await asyncio.wrap_future(state.store.write(lambda tx: shelf.keep(tx, made, 0, 1)))
    state.releases.wake()
    is_so = lambda: [one.state for one in state.releases.report()] == [becomes]  # noqa: E731
    await wait_until_async(is_so, WITHIN_S, f"it is {becomes}")


CONTRADICTS = (
    f"import sys; sys.stderr.write('it scores otherwise here\\nrelease another\\nscores'); sys.exit({BAD_BUNDLE})"
)


@provokes("model_fallback", "take-back")
async def _contradicts(_inside: Inside, directory: Path) -> AsyncIterator[Inside]:
    # a bundle that is damaged in the data directory is made again from the store; test_repairs_page.py has one that
    # gateway.toml names. This one was good, and an update's onnxruntime scores it otherwise
    async with daemon(directory / "released-bundle") as other:
        await comes(other.state, released(), "on_trial")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(scorer, "PROBE", ("-c", CONTRADICTS))
            other.state.releases.try_bundle_again()
            await seen(other, "model_fallback")
        yield other


@provokes("release_refused")
async def _refused(_inside: Inside, directory: Path) -> AsyncIterator[Inside]:
    async with daemon(directory / "refused-bundle") as other:
        await comes(other.state, b"no bundle", "refused")
        yield other
        await asyncio.wrap_future(other.state.store.write(lambda tx: shelf.withdraw(tx, "bundle", "all")))
        other.state.releases.wake()
