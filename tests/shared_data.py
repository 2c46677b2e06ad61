"""Recordings and logs from the field, kept beside the checkout: their licences forbid to hand them on.

Tests that read them skip where they are absent, in CI too (`MAY_SKIP` in conftest.py), and never pass on none.
"""

from pathlib import Path

import pytest


def captures(below: Path = Path(__file__).parents[1]) -> list[Path]:
    """Raw captures of real serial lines, none of which speaks our protocol; skips the test where there are none."""
    found = [path for folder in below.parents for path in sorted((folder / "shared/data/serial").glob("*.log"))]
    if not found:
        pytest.skip(f"no captures of real lines in shared/data/serial beside {below}")
    return found
