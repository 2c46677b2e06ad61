"""Each promise broken on purpose is noticed by a test, and what tries that would notice if it were not."""

from __future__ import annotations

import os
from difflib import unified_diff
from pathlib import Path

import pytest

from tests.mutants.mutate import ROOT, Mutant, Useless, all_mutants, apply, attempt, copy_of_the_tree, prove, run_tests

pytestmark = pytest.mark.timeout(400)  # a whole selection of tests runs inside of one

SLOW = {
    "ack_before_commit",
    "mqtt_auto_ack",
    "synchronous_normal",
    "no_dedup",
    "lake_without_transactions",
}
"""Ten to thirty seconds each: `make mutants` tries them, and whoever runs this file by hand."""
MUTANTS = [mutant for mutant in all_mutants() if not (os.environ.get("CI") and mutant.name in SLOW)]
QUIET = "heat/scale.py"
QUICK = "tests/heat/test_scale.py"


def made_up(directory: Path, before: str, after: str) -> Mutant:
    """A mutant of one file, from what the file is and what it becomes."""
    lines = unified_diff(before.splitlines(True), after.splitlines(True), f"a/{QUIET}", f"b/{QUIET}")
    path = directory / "made-up.patch"
    path.write_text(f"Tests: {QUICK}\n\n{''.join(lines)}")
    return Mutant.load(path)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_broken_promise_is_noticed(mutant: Mutant) -> None:
    # that its tests pass without it is what the rest of this run is for; `make mutants` proves it first
    result = attempt(mutant)
    if result.untried:
        pytest.skip("; ".join(result.skipped))
    assert result.caught, f"it survives:\n{result.output}"


def test_what_breaks_nothing_survives(tmp_path: Path) -> None:
    source = (ROOT / QUIET).read_text()
    result = attempt(made_up(tmp_path, source, source + "# nothing\n"))
    assert (result.status, result.caught) == (0, False), result.output


@pytest.mark.parametrize(("beside", "untried"), [("", True), ("def test_that_passes(): pass\n", False)])
def test_only_what_skips_all_its_tests_is_not_tried(
    monkeypatch: pytest.MonkeyPatch, beside: str, untried: bool
) -> None:
    monkeypatch.delenv("CI", raising=False)  # there, nothing may skip
    skips = "import pytest\n\ndef test_that_skips(): pytest.skip('no disk here')\n\n"
    with copy_of_the_tree() as tree:
        (tree / QUICK).write_text(skips + beside)
        result = run_tests(tree, [QUICK])
    assert (result.untried, result.caught) == (untried, False), result.output


def test_a_mutant_that_does_not_even_load_is_not_caught(tmp_path: Path) -> None:
    source = (ROOT / QUIET).read_text()
    result = attempt(made_up(tmp_path, source, source + "this is no Python\n"))
    assert result.status != 0
    assert not result.caught, result.output


def test_a_patch_of_code_that_has_changed_is_told(tmp_path: Path) -> None:
    mutant = made_up(tmp_path, "what stood here once\n", "what stands here now\n")
    with copy_of_the_tree() as tree, pytest.raises(Useless, match=r"made-up\.patch no longer applies"):
        apply(mutant.patch, tree)


def test_a_patch_must_name_its_tests(tmp_path: Path) -> None:
    (tmp_path / "silent.patch").write_text("--- a/heat/errors.py\n")
    with pytest.raises(Useless, match="Tests:"):
        Mutant.load(tmp_path / "silent.patch")


def test_a_test_that_fails_anyway_proves_nothing() -> None:
    with pytest.raises(Useless, match="fail without any mutant"):
        prove(["tests/heat/test_that_is_not_there.py"])


def test_a_copy_that_is_not_what_runs_is_told(tmp_path: Path) -> None:
    with pytest.raises(Useless, match="not be what is tested"):
        run_tests(tmp_path, [QUICK])  # nothing is in it, so Python finds Picante elsewhere
