"""A configuration that was released to gateways, over what gateway.toml says.

It is TOML as gateway.toml is, and may hold what does not depend on the machine and can't cut it off: never who the
gateway is, where it finds Kafka, brokers and ports, its keys, or where it keeps its data.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import ValidationError

from cloud_sync.nearest import nearest
from gateway.config import Config
from heat.errors import DataError

PUSHABLE = {
    "clock": ("hold_hours",),
    "downlink": ("share_percent",),
    "samples": ("budget_mib", "coldest_c", "warmest_c"),
}
"""The keys that a release may set, by table."""
_ALLOWED = [f"{table}.{key}" for table, keys in PUSHABLE.items() for key in keys]


def overlay(config: Config, text: bytes) -> Config:
    """The configuration with what was released. Raises DataError, naming key and remedy."""
    try:
        document = tomllib.loads(text.decode())
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise DataError(f"configuration: {error}", hint="TOML reads: key = value, texts in quotes") from error
    for key in _keys(document):
        if key not in _ALLOWED:
            raise DataError(f"configuration: {key} can't be released", hint=nearest(key, _ALLOWED))
    changed = {}
    for table, values in document.items():
        section = getattr(config, table)
        try:
            changed[table] = type(section).model_validate({**section.model_dump(), **values})
        except ValidationError as error:
            problem = error.errors()[0]
            where = ".".join([table, *map(str, problem["loc"])])
            message = problem["msg"].removeprefix("Value error, ")
            raise DataError(f"configuration: {where}: {message} (got {problem['input']!r})") from error
    return config.model_copy(update=changed)


def _keys(document: Mapping[str, Any]) -> Iterator[str]:
    for table, values in document.items():
        if isinstance(values, dict) and (values or table in PUSHABLE):
            yield from (f"{table}.{key}" for key in values)
        else:
            yield table
