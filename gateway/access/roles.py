"""What somebody may do."""

from __future__ import annotations

from enum import IntEnum


class Role(IntEnum):
    """What somebody may do; each may do what those below may."""

    VIEWER = 1
    """Reads."""
    TECHNICIAN = 2
    """Serves the dispensers and the gateway."""
    OWNER = 3
    """Lets people in, restores, wipes."""
