"""MQTT topics of the dispenser link: `picante/v1/{store}/{dispenser}/{up|down|state}`.

`up` carries messages to the gateway, `down` to the dispenser: 1 byte protocol version, 1 byte message type, CBOR body,
without COBS and CRC, since MQTT frames and checks by itself. `state` is retained, `online` or `offline`; the
dispenser's last will says `offline`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

from heat.errors import RemoteProtocolError
from heat.identity import SOURCE_NAME

PREFIX = "picante/v1"
ONLINE = b"online"
OFFLINE = b"offline"

Leaf = Literal["up", "down", "state"]


class Topic(NamedTuple):
    """A parsed topic."""

    store: str
    dispenser: str
    leaf: Leaf


def topic(store: str, dispenser: str, leaf: Leaf) -> str:
    """The topic of one dispenser's leaf."""
    return f"{PREFIX}/{store}/{dispenser}/{leaf}"


def subscription(store: str, leaf: Leaf) -> str:
    """The filter for one leaf of all dispensers of a store."""
    return f"{PREFIX}/{store}/+/{leaf}"


def parse_topic(text: str) -> Topic:
    """A topic taken apart. Raises RemoteProtocolError if it is none of ours."""
    parts = text.split("/")
    if len(parts) == 5 and parts[0] + "/" + parts[1] == PREFIX:
        _, _, store, dispenser, leaf = parts
        if SOURCE_NAME.match(store) and SOURCE_NAME.match(dispenser) and leaf in ("up", "down", "state"):
            return Topic(store, dispenser, leaf)  # type: ignore[arg-type]  # narrowed by the line above
    raise RemoteProtocolError(
        f"topic {text[:80]!r} is not of this protocol", hint=f"It reads {PREFIX}/STORE/DISPENSER/up|down|state"
    )
