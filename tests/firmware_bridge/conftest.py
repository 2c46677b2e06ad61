"""A dispenser and a gateway, back to back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.firmware_bridge.pair import Pair


@pytest.fixture
def pair(tmp_path: Path) -> Pair:
    """A pair that has not exchanged a byte yet."""
    return Pair(tmp_path)
