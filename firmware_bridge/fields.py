"""What messages are made of: the types of their fields, and the base of a body.

A body is one CBOR map with small integer keys. A struct gives each field its key with `key`.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

Uint = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Sequence = Annotated[int, Meta(ge=1, le=2**53 - 1)]
U32 = Annotated[int, Meta(ge=0, le=2**32 - 1)]
U8 = Annotated[int, Meta(ge=0, le=255)]
Name = Annotated[str, Meta(min_length=1, max_length=32)]
Nonce = Annotated[bytes, Meta(min_length=8, max_length=16)]
Mac = Annotated[bytes, Meta(min_length=32, max_length=32)]
Key = Annotated[bytes, Meta(min_length=32, max_length=32)]
KeyId = Annotated[bytes, Meta(min_length=4, max_length=4)]
Detail = Annotated[str, Meta(max_length=80)]
"""A few words for people."""
Text = Annotated[str, Meta(min_length=1, max_length=200)]
"""A customer's own words; as long as fits into a slot of 256 bytes of a ring, with what stands beside it."""
PickId = Annotated[str, Meta(min_length=1, max_length=32)]


def key(number: int, default: Any = msgspec.NODEFAULT) -> Any:
    """The integer key of a field; it travels as that integer, and as its decimal text only inside `codec`."""
    return msgspec.field(name=str(number), default=default)


class Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One CBOR map. `number` is its message type, or the kind of an event."""

    number: ClassVar[int]
