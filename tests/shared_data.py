"""Recordings and logs from the field, kept beside the checkout: their licences forbid to hand them on.

Tests that read them skip where they are absent, and hold without them.
"""

from pathlib import Path

SHARED_DATA = Path(__file__).parents[2] / "shared/data"


def captures() -> list[Path]:
    """Raw captures of real serial lines, none of which speaks our protocol."""
    return sorted((SHARED_DATA / "serial").glob("*.log"))
