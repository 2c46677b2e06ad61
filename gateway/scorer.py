"""The bundle's model in onnxruntime, once a process of its own has survived running it.

Loading onnxruntime, or its first run, has killed processes on some boards, and may hang: meanwhile, and for good if it
does, the bundle is scored by NumPy, with the same scores. A model that scores otherwise than its manifest says makes
the whole bundle doubtful: then the rule ranks.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path
from typing import cast

from heat.errors import Flaw, ModelError, ScorerError
from models.bundle import load
from models.probe import BAD_BUNDLE
from models.ranker import OnnxRanker

PROBE = ("-m", "models.probe")
"""What Python is told to run; the bundle's directory follows."""
PROBE_TIMEOUT_S = 30.0
"""s; importing onnxruntime takes 1 s on a Pi 4 with a cold SD card at worst."""
LINE_CHARS = 300


async def open_onnx(bundle: Path) -> OnnxRanker:
    """The ranker of the bundle in a directory, in onnxruntime.

    Raises:
        ScorerError: onnxruntime does not work here.
        ModelError: the bundle's model is not the one that its manifest describes.
    """
    await probe(bundle)
    return await asyncio.to_thread(lambda: OnnxRanker(load(bundle)))


async def probe(bundle: Path) -> None:
    """Have a process run the bundle in a directory in onnxruntime. Cancelled, it ends the process.

    Raises:
        ScorerError, ModelError: as `open_onnx`.
    """
    try:
        status, said = await _run(bundle)
    except TimeoutError as error:
        raise _not_here(f"it did not load in {PROBE_TIMEOUT_S:.0f} s") from error
    except OSError as error:
        raise _not_here(f"no process to try it in: {error.strerror}") from error
    if status == BAD_BUNDLE:
        raise ModelError(said[-3], hint=said[-2], reason=cast("Flaw", said[-1]))
    if status < 0:
        raise _not_here(f"it died by signal {-status}")
    if status > 0:
        raise _not_here(said[-1] if said else "it failed without a word")


async def _run(bundle: Path) -> tuple[int, list[str]]:
    """How the process ended, and the lines that it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, *PROBE, str(bundle), stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            _, said = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    lines = [line[:LINE_CHARS] for line in said.decode(errors="replace").strip().splitlines()]
    return process.returncode or 0, lines


def _not_here(why: str) -> ScorerError:
    hint = "Picks are the same; reinstall onnxruntime for this board to use it again"
    return ScorerError(f"onnxruntime does not work here: {why}", hint=hint, reason="onnxruntime")
