"""Who is in a capture: the pieces that each dispenser sent, at whichever port it was.

A link is not a dispenser. Cables are swapped, a dispenser moves to another port, a port has only noise: whose a piece
is, the last HELLO of its link tells. A dispenser that has a cable and a network has two roles.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from firmware_bridge.capture import Entry
from firmware_bridge.codec import BadMessage, decode_message, decode_packet
from firmware_bridge.framing import BadFrame, FrameDecoder
from firmware_bridge.messages import Hello, Message
from heat.errors import DataError
from heat.identity import SOURCE_NAME


@dataclass(slots=True)
class Role:
    """A dispenser on its cables, one after the other, or on the network."""

    dispenser: str
    on_mqtt: bool
    entries: list[Entry] = field(default_factory=list)
    """What it sent, from a HELLO on."""


@dataclass(frozen=True, slots=True)
class Cast:
    """What of a capture can be played."""

    roles: dict[str, Role] = field(default_factory=dict)
    """By dispenser; that on the network has `mqtt:` before it."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Links of which nothing, or not all, can be played: why."""


def cast(entries: Iterable[Entry]) -> Cast:
    """Who is in a capture. What came at a link before the first HELLO is nobody's.

    Raises:
        DataError: a HELLO can't be read, or nobody is in it.
    """
    found = Cast()
    at: dict[str, Role | None] = {}
    for entry in entries:
        if entry.way == "up" and entry.is_ == "hello":
            at[entry.link] = _role_of(entry, found)
        role = at.setdefault(entry.link, None)
        if role is not None and entry.way == "up":
            role.entries.append(entry)
    for link, role in at.items():
        if role is None:
            found.left_out.setdefault(link, "nobody says HELLO there")
    if not found.roles:
        why = next((f": {link}: {why}" for link, why in found.left_out.items()), ": no link had any traffic")
        raise DataError(f"nothing in this capture can be played{why}")
    return found


def _role_of(entry: Entry, found: Cast) -> Role | None:
    """Whose HELLO it is; None, and a reason, where the name is none: it becomes a file's name, and a key's."""
    name = hello_in(entry).dispenser
    if not SOURCE_NAME.match(name):
        found.left_out[entry.link] = f"{name[:40]!r} is no name of a dispenser"
        return None
    on_mqtt = is_packet(entry)
    return found.roles.setdefault(f"mqtt:{name}" if on_mqtt else name, Role(name, on_mqtt))


def hello_in(entry: Entry) -> Hello:
    """The HELLO of an entry that is called one. Raises DataError."""
    hello = message_in(entry)
    if not isinstance(hello, Hello):
        raise DataError(f"{entry.link}: its HELLO can't be read")
    return hello


def message_in(entry: Entry) -> Message | BadMessage | BadFrame | None:
    """What an entry says; None where its bytes are withheld."""
    if is_packet(entry):
        return decode_packet(entry.data)
    frame = next(iter(FrameDecoder().feed(entry.data)), None)
    return frame if frame is None or isinstance(frame, BadFrame) else decode_message(frame)


def is_packet(entry: Entry) -> bool:
    """Whether it was on MQTT."""
    return entry.link.startswith("mqtt:")
