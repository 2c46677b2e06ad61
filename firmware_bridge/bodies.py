"""What EVENTs carry, by kind."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from msgspec import Meta

from firmware_bridge.fields import U8, Body, Name, PickId, Text, Uint, key

UNREADABLE = 0
"""Kind of an EVENT that came with no readable one; no dispenser sends it."""


class PouredBody(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A pour. The volume is signed on the wire, so that a broken meter is seen and not wrapped around."""

    number: ClassVar[int] = 1
    nozzle: U8 = key(1)
    sauce: Name = key(2)
    volume_ul: int = key(3)
    duration_ms: Uint = key(4)
    pick_id: PickId | None = key(5, None)
    confirmed: bool = key(6, False)
    """The customer was asked whether they meant it, and did. Version 2."""


class RatedBody(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A press of *too hot*, *just right* or *more*."""

    number: ClassVar[int] = 2
    sauce: Name = key(1)
    verdict: Literal["too_hot", "just_right", "more"] = key(2)
    pick_id: PickId | None = key(3, None)


class StatedBody(Body, frozen=True, kw_only=True, omit_defaults=True):
    """What the customer says they like: exactly one of SHU, a category word, a dial position (0..100), own words."""

    number: ClassVar[int] = 3
    shu: int | None = key(1, None)
    word: Name | None = key(2, None)
    dial: Annotated[int, Meta(ge=0, le=100)] | None = key(3, None)
    text: Text | None = key(4, None)


class RefilledBody(Body, frozen=True, kw_only=True, omit_defaults=True):
    """A bottle was put on a nozzle."""

    number: ClassVar[int] = 4
    nozzle: U8 = key(1)
    sauce: Name = key(2)
    volume_ul: Uint = key(3)


EventBody = PouredBody | RatedBody | StatedBody | RefilledBody

BODY_BY_KIND: dict[int, type[EventBody]] = {
    cls.number: cls for cls in (PouredBody, RatedBody, StatedBody, RefilledBody)
}
