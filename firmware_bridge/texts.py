"""How many bytes of UTF-8 the texts of a message take: the wire's sizes are in bytes, msgspec counts characters."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from itertools import chain
from operator import attrgetter
from typing import Any

import msgspec
from msgspec.inspect import Field, StrType, StructType, Type, UnionType, VarTupleType, type_info

Walk = tuple[tuple[str, int, Callable[[Any], Any]], ...]
"""The texts of a struct: key, most bytes, how to get it."""


@functools.cache
def _texts(cls: type) -> tuple[Walk, Walk, tuple[Callable[[Any], Any], ...]]:
    """The texts of a struct, its lists of texts, and its lists whose items have some."""
    info = type_info(cls)
    assert isinstance(info, StructType)
    texts: list[tuple[str, int, Callable[[Any], Any]]] = []
    listed: list[tuple[str, int, Callable[[Any], Any]]] = []
    lists: list[Callable[[Any], Any]] = []
    for field in info.fields:
        for one in _alternatives(field):
            if isinstance(one, StrType) and one.max_length is not None:
                texts.append((field.encode_name, one.max_length, attrgetter(field.name)))
            if isinstance(one, VarTupleType) and isinstance(item := one.item_type, StrType) and item.max_length:
                listed.append((field.encode_name, item.max_length, attrgetter(field.name)))
            if isinstance(one, VarTupleType) and isinstance(one.item_type, StructType):
                lists.append(attrgetter(field.name))
    return tuple(texts), tuple(listed), tuple(lists)


def _alternatives(field: Field) -> Iterator[Type]:
    yield from field.type.types if isinstance(field.type, UnionType) else (field.type,)


def too_long(message: msgspec.Struct) -> str | None:
    """What is wrong where a text takes more bytes than its field has characters; None where all fit."""
    texts, listed, lists = _texts(type(message))
    of_lists = ((key, most, text) for key, most, get in listed for text in get(message))
    for key, most, text in chain(((key, most, get(message)) for key, most, get in texts), of_lists):
        if text is not None and not text.isascii() and len(text.encode()) > most:
            return f"Expected a text of at most {most} bytes - at `$.{key}`"
    for get in lists:
        for item in get(message):
            if (why := too_long(item)) is not None:
                return why
    return None
