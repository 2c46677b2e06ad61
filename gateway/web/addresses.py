"""The addresses of this machine by which a phone in the same network can reach it. Linux alone is asked."""

from __future__ import annotations

import contextlib
import fcntl
import ipaddress
import socket
import struct
from pathlib import Path

_SIOCGIFADDR = 0x8915
_INET6 = Path("/proc/net/if_inet6")


def own_addresses() -> list[str]:
    """Addresses of the network interfaces that are up, but for loopback and those that need a zone; IPv4 first."""
    found: list[ipaddress.IPv4Address | ipaddress.IPv6Address] = [*_v4(), *_v6()]
    return [str(address) for address in found if not (address.is_loopback or address.is_link_local)]


def _v4() -> list[ipaddress.IPv4Address]:
    found = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        for _, name in socket.if_nameindex():
            with contextlib.suppress(OSError):  # it has none
                answer = fcntl.ioctl(asked, _SIOCGIFADDR, struct.pack("256s", name.encode()[:15]))
                found.append(ipaddress.IPv4Address(answer[20:24]))
    return found


def _v6() -> list[ipaddress.IPv6Address]:
    try:
        lines = _INET6.read_text().splitlines()
    except OSError:  # the kernel has no IPv6
        return []
    return [ipaddress.IPv6Address(bytes.fromhex(line.split()[0])) for line in lines]
