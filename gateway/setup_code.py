"""The code that opens the setup of a gateway that was never set up, told at its start."""

from __future__ import annotations

import logging
import sys

from gateway.access.access import Access

log = logging.getLogger("gateway")


def tell_code(access: Access) -> None:
    """At the start: make the code of a gateway that was never set up, and say it where the label is printed from."""
    code = access.begin()
    if code is not None:
        log.warning("this gateway waits for its setup: `picante gateway setup-code` tells the code that opens it")
        if sys.stderr.isatty():  # a log is read by others, and kept
            sys.stderr.write(f"Setup code: {code}\n")
