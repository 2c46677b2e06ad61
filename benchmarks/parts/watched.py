"""`picante`, with its event loop watched: `python -m benchmarks.parts.watched gateway run ...`.

At SIGUSR1 it writes ms into the file `watched` of its directory, and begins anew:

    CPU of the process since it began, longest time of CPU that the loop's thread took without a pause
"""

from __future__ import annotations

import asyncio
import runpy
import signal
import sys
import time
from pathlib import Path

FILE = Path("watched")


def main() -> None:
    """Be the command, watched."""
    longest_s = 0.0
    run = asyncio.Handle._run  # noqa: SLF001 -- asyncio has no other place where a turn begins and ends

    def watched(handle: asyncio.Handle) -> None:
        nonlocal longest_s
        begun_s = time.thread_time()
        run(handle)
        longest_s = max(longest_s, time.thread_time() - begun_s)

    def tell(*_: object) -> None:
        nonlocal longest_s
        new = FILE.with_suffix(".new")
        new.write_text(f"{time.process_time() * 1e3} {longest_s * 1e3}")
        new.rename(FILE)
        longest_s = 0.0

    asyncio.Handle._run = watched  # type: ignore[assignment, method-assign]  # noqa: SLF001 -- as above
    signal.signal(signal.SIGUSR1, tell)
    sys.argv[0] = "picante"
    runpy.run_module("picante", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
