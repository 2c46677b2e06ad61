"""The bundle's model in onnxruntime, once a process of its own has survived running it.

Loading onnxruntime, or its first run, has killed processes on some boards, and may hang: meanwhile, and for good if it
does, the bundle is scored by NumPy, with the same scores.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

from heat.errors import ModelError
from models.bundle import load
from models.ranker import PROBE, OnnxRanker

PROBE_TIMEOUT_S = 30.0
"""s; importing onnxruntime takes 1 s on a Pi 4 with a cold SD card at worst."""
LINE_CHARS = 300


async def open_onnx(bundle: Path) -> OnnxRanker:
    """The ranker of the bundle in a directory, in onnxruntime.

    Raises:
        ModelError: onnxruntime does not work here, or not with this bundle.
    """
    if (why := await _probe(bundle)) is not None:
        raise ModelError(
            f"onnxruntime does not work here: {why}",
            hint="Picks are the same; reinstall onnxruntime for this board to use it again",
        )
    return await asyncio.to_thread(lambda: OnnxRanker(load(bundle)))


async def _probe(bundle: Path) -> str | None:
    """Why a process could not run the bundle in onnxruntime; None if it could. Cancelled, it ends the process."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROBE, str(bundle), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            _, said = await process.communicate()
    except TimeoutError:
        return f"it did not load in {PROBE_TIMEOUT_S:.0f} s"
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    if process.returncode == 0:
        return None
    if process.returncode is not None and process.returncode < 0:
        return f"it died by signal {-process.returncode}"
    return (said.decode(errors="replace").strip().splitlines() or ["it failed without a word"])[-1][:LINE_CHARS]
