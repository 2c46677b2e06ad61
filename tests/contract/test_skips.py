"""What skips on a developer's machine fails in CI."""

import os
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]

SKIPS = [
    "@pytest.mark.skip(reason='no cable')\ndef test_by_mark(): ...",
    "def test_by_call(): pytest.skip('no cable')",
    "@pytest.fixture\ndef cable(): pytest.skip('no cable')\n\ndef test_by_fixture(cable): ...",
    "pytest.skip('no cable', allow_module_level=True)",
    "pytest.importorskip('no_cable', reason='no cable')",
]
NO_SKIP = "@pytest.mark.xfail\ndef test_that_is_expected_to_fail(): assert False"


def run(folder: Path, ci: str) -> tuple[int, str]:
    """Run pytest with our conftest on test files outside the repository; return its exit status and its output."""
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command += ["-o", "asyncio_default_fixture_loop_scope=function", "--continue-on-collection-errors", "-rA"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_every_skip_fails_in_ci_and_only_there(tmp_path: Path) -> None:
    for number, body in enumerate([*SKIPS, NO_SKIP]):
        (tmp_path / f"test_{number}.py").write_text(f"import pytest\n\n{body}\n")
    status, output = run(tmp_path, "true")
    assert status == 1, output
    assert "1 failed, 1 xfailed, 4 errors" in output
    assert output.count("\nCI=true allows no skip: Skipped: no cable") == len(SKIPS), output
    status, output = run(tmp_path, "")
    assert status == 0, output
    assert "5 skipped, 1 xfailed" in output
