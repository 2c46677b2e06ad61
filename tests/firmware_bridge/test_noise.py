"""What a real serial line brings beside frames costs none of them."""

from __future__ import annotations

from pathlib import Path

from tests.firmware_bridge.noise import attempt


def test_ten_thousand_frames_among_noise_torn_frames_and_floods(tmp_path: Path) -> None:
    attempt(tmp_path, seed=1)
