"""Growing pauses after wrong passwords, for an account and for an address. The console is never asked."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from collections.abc import Callable, Iterable

FREE_TRIES = 5
"""Wrong tries before the first pause: fingers slip on a phone."""
FIRST_PAUSE_S = 2.0
LONGEST_PAUSE_S = 300.0
"""s; longer ones would let anybody keep the owner out."""
FORGOTTEN_S = 3_600.0
KEPT = 2_000
"""Accounts and addresses that are remembered; the oldest go first."""


NETWORK_BITS = 64
"""Of an IPv6 address: whoever has one has the other 2^64 of its network, too."""


def place_of(address: str) -> str:
    """What is counted as one place: an IPv4 address, or an IPv6 network; what is neither is what it is."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv4Address):
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    bits = 128 - NETWORK_BITS
    return f"{ipaddress.IPv6Address(int(parsed) >> bits << bits)}/{NETWORK_BITS}"


class Lockout:
    """Counts wrong tries by key; `now_s` is a monotonic clock."""

    def __init__(self, now_s: Callable[[], float]) -> None:
        self._now_s = now_s
        self._wrong: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def pause_s(self, keys: Iterable[str]) -> float:
        """How long nobody is let try with any of these; 0: now."""
        return max((self._pause_of(key) for key in keys), default=0.0)

    def failed(self, keys: Iterable[str]) -> None:
        """Note a try that is wrong until it has `passed`: many at once are counted, too."""
        for key in keys:
            count, _ = self._known(key)
            self._wrong[key] = count + 1, self._now_s()
            self._wrong.move_to_end(key)
        while len(self._wrong) > KEPT:
            self._wrong.popitem(last=False)

    def passed(self, account: str, address: str) -> None:
        """Forget an account's wrong tries; the address keeps its own but the last."""
        self._wrong.pop(account, None)
        count, last_s = self._wrong.get(address, (0, 0.0))
        if count:
            self._wrong[address] = count - 1, last_s

    def _known(self, key: str) -> tuple[int, float]:
        count, last_s = self._wrong.get(key, (0, 0.0))
        return (0, 0.0) if count and self._now_s() - last_s > FORGOTTEN_S else (count, last_s)

    def _pause_of(self, key: str) -> float:
        count, last_s = self._known(key)
        if count < FREE_TRIES:
            return 0.0
        pause_s = min(FIRST_PAUSE_S * 2.0 ** min(count - FREE_TRIES, 30), LONGEST_PAUSE_S)
        return max(0.0, last_s + pause_s - self._now_s())
