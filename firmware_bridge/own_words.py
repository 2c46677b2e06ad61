"""An EVENT with a customer's own words -> the same, without what would say how to reach them. Pure.

What is refused is filed with its bytes, and a trace has what passed: neither is a place for telephone numbers.
"""

from __future__ import annotations

import msgspec

from firmware_bridge.bodies import StatedBody
from firmware_bridge.messages import EventMessage
from heat.contacts import without_contacts

_TEXT = 4
MAX_CHARS = 1_000
"""Of a text; no frame holds more."""


def without_contacts_in(message: EventMessage) -> EventMessage:
    """The message itself, if nothing in it had to go. Its `raw` is left as it was."""
    text = message.body.get(_TEXT) if message.kind == StatedBody.number else None
    if not isinstance(text, str) or (plain := without_contacts(text, MAX_CHARS)) == text:
        return message
    return msgspec.structs.replace(message, body=message.body | {_TEXT: plain})
