"""What skips on a developer's machine fails in CI."""

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.conftest import MAY_SKIP

REPOSITORY = Path(__file__).parents[2]

SKIPS = [
    "@pytest.mark.skip(reason='no cable')\ndef test_by_mark(): ...",
    "def test_by_call(): pytest.skip('no cable')",
    "@pytest.fixture\ndef cable(): pytest.skip('no cable')\n\ndef test_by_fixture(cable): ...",
    "pytest.skip('no cable', allow_module_level=True)",
    "pytest.importorskip('no_cable', reason='no cable')",
]
NO_SKIP = "@pytest.mark.xfail\ndef test_that_is_expected_to_fail(): assert False"


def run(folder: Path, ci: str, workers: int) -> tuple[int, str]:
    """Run pytest with our conftest on test files outside the repository; return its exit status and its output."""
    environment = {**os.environ, "CI": ci, "PYTHONPATH": str(REPOSITORY)}
    command = [sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", f"--rootdir={folder}"]
    command += [
        f"--numprocesses={workers}",
        "-o",
        "asyncio_default_fixture_loop_scope=function",
        "--continue-on-collection-errors",
        "-rA",
    ]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout


def test_every_skip_fails_in_ci(tmp_path: Path) -> None:
    write_tests(tmp_path)
    status, output = run(tmp_path, "true", 2)
    assert status == 1, output
    assert "1 failed, 1 xfailed, 4 errors" in output
    assert len(re.findall(r"^CI=true allows no skip: \S+: Skipped: no cable$", output, re.MULTILINE)) == len(SKIPS), (
        output
    )


def test_elsewhere_a_skip_is_a_skip(tmp_path: Path) -> None:
    write_tests(tmp_path)
    status, output = run(tmp_path, "", 0)
    assert status == 0, output
    assert "5 skipped, 1 xfailed" in output


def test_what_may_not_be_handed_on_is_skipped_in_ci_and_passes_on_nothing(tmp_path: Path) -> None:
    allowed, *_ = MAY_SKIP
    name, _, test = allowed.partition("::")
    path = tmp_path / name
    path.parent.mkdir(parents=True)
    path.write_text(
        "from pathlib import Path\nfrom tests.shared_data import captures\n\n"
        f"def {test}() -> None: assert captures(Path({str(tmp_path)!r}))\n"
    )
    status, output = run(tmp_path, "true", 0)
    assert status == 0, output
    assert "1 skipped" in output
    assert "no captures of real lines" in output


def write_tests(folder: Path) -> None:
    for number, body in enumerate([*SKIPS, NO_SKIP]):
        (folder / f"test_{number}.py").write_text(f"import pytest\n\n{body}\n")
