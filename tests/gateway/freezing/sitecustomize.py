"""Signals that freeze a Python process which finds this folder on its PYTHONPATH: the daemon itself has no such switch.

SIGUSR1 blocks the thread of the event loop for good, SIGUSR2 the one that writes to the store, at its next work.
"""

import signal
import threading


def _block(*_: object) -> None:
    threading.Event().wait()


def _block_the_writer(*_: object) -> None:
    from gateway.transaction import Transaction

    Transaction.finish = _block  # type: ignore[method-assign, assignment]


signal.signal(signal.SIGUSR1, _block)
signal.signal(signal.SIGUSR2, _block_the_writer)
