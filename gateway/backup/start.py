"""What a start does before anything is opened: wipe, or put back, what was ordered before."""

from __future__ import annotations

import os

from gateway.backup import restoring, wiping
from gateway.config import Config
from gateway.store import lock_directory


def put_in_order(config: Config) -> bool:
    """Do what was ordered. Returns whether anything was: the configuration is to be read again then.

    Raises:
        StoreLocked: a daemon runs.
        StoreError: the disk does not do it.
    """
    data_dir = config.path(config.gateway.data_dir)
    if not (data_dir / wiping.ORDER).exists() and not restoring.ordered(data_dir):
        return False
    lock = lock_directory(data_dir)
    try:
        wiped = wiping.finish(data_dir)
        restored = restoring.finish(config)
    finally:
        os.close(lock)
    return wiped is not None or restored is not None
