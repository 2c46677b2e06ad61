"""`[lake]` of cloud.toml -> where the lake is, how it is written, and how long it keeps what."""

from __future__ import annotations

import tomllib

from cloud.config import CloudConfig
from cloud.lake.lake import Lake
from cloud.lake.maintenance import Retention
from cloud.lake.writer import Bounds
from cloud_sync.private import check_private, read_text
from heat.errors import ConfigError

PATIENCE = {"max_retries": "3", "retry_timeout": "30s", "connect_timeout": "5s"}
"""Of delta-rs with an object store, unless the file of options says otherwise: the supervisor tries again anyway."""


def folder(config: CloudConfig) -> str:
    """The lake's folder, or its place in an object store."""
    path = config.lake.path
    return path if "://" in path else str(config.path(path))


def storage_options(config: CloudConfig) -> dict[str, str]:
    """delta-rs' options of the object store, from the file that `storage_options` names. Raises ConfigError."""
    if config.lake.storage_options is None:
        return PATIENCE
    file = config.path(config.lake.storage_options)
    check_private(file, "lake.storage_options")
    try:
        options = tomllib.loads(read_text(file, "lake.storage_options"))
    except tomllib.TOMLDecodeError:
        # its message would quote the line
        raise ConfigError(f"{file}: not TOML", hint='A line reads: AWS_REGION = "eu-central-1"') from None
    for name, value in options.items():
        if not isinstance(value, str):
            raise ConfigError(f"{file}: {name} is no text", hint='A line reads: AWS_ALLOW_HTTP = "true"')
    return {**PATIENCE, **options}


def lake_of(config: CloudConfig) -> Lake:
    """The lake, not opened yet. Raises ConfigError."""
    return Lake(folder(config), storage_options(config))


def bounds(config: CloudConfig) -> Bounds:
    """When a batch is committed."""
    lake = config.lake
    return Bounds(lake.commit_rows, lake.commit_mib * 1024 * 1024, lake.commit_seconds)


def retention(config: CloudConfig) -> Retention:
    """How long the lake keeps what."""
    lake = config.lake
    return Retention(lake.raw_days, lake.event_days, lake.vacuum_hours)
