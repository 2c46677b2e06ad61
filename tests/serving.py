"""A server for a fixture: running while its tests do, or a reason to skip them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TypeVar

import pytest

from tests.servers import ServerUnavailable

AServer = TypeVar("AServer")


def serving(kind: Callable[[Path], AbstractContextManager[AServer]], directory: Path) -> Iterator[AServer]:
    """A server with its files in a directory, for a fixture to yield from; where it can't be had, tests skip."""
    try:
        server = kind(directory)
    except ServerUnavailable as missing:
        pytest.skip(str(missing))
    with server as entered:
        yield entered
