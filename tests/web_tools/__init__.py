"""Node's tools, which check what runs in a browser: where they are, and what they say."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"


def node(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a script of a package; skip where Node or the package is missing."""
    program = shutil.which("node")
    if program is None or not (MODULES / script).is_file():
        pytest.skip("no node or no packages: run scripts/test-setup")
    return subprocess.run(
        [program, str(MODULES / script), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
