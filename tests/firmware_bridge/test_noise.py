"""What a real serial line brings beside frames costs none of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware_bridge import serial_link
from firmware_bridge.serial_link import BABBLE_BYTES_S
from tests.firmware_bridge.noise import attempt


def test_ten_thousand_frames_among_noise_torn_frames_and_floods(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # a port that babbles is left alone as often, but not for as long: `make faults` has the time
    monkeypatch.setattr(serial_link, "BABBLE_BYTES_S", 20 * BABBLE_BYTES_S)
    attempt(tmp_path, seed=1)
