"""The end of power in the middle of something. Ring and EEPROM raise it; whoever ran the firmware lets it die."""

from __future__ import annotations


class PowerCut(Exception):
    """The power failed in the middle of a write, as `cut_next_write` had wished."""
