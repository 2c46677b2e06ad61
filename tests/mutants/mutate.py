"""`make mutants`: break a promise on purpose, in a copy of the tree, and see which test notices.

python -m tests.mutants.mutate

Each `*.patch` beside this file is one mutant; before the diff it says what breaks, and in a line `Tests:` which tests
must catch it. Those tests first run on a copy without a patch, where all must pass: one that fails anyway catches
nothing. Then each mutant gets a copy of its own. Tests run in the copy with its code before all other on Python's path,
in their child processes too.

Exit status: 0 when every mutant was caught, or could not be tried because its tests skip here; 1 when one was not.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
TRIES = "5"
"""Power cuts at most; the mutant that they are for has lost events at the first of them each time."""
_OURS = "import sys, gateway; sys.exit(not gateway.__file__.startswith(sys.argv[1]))"


class Useless(Exception):
    """What was to be tried shows nothing, and why."""


@dataclass(frozen=True, slots=True)
class Mutant:
    """A patch, and what must notice it."""

    patch: Path
    tests: tuple[str, ...]
    """As pytest's arguments."""

    @property
    def name(self) -> str:
        """The patch's, without its ending."""
        return self.patch.stem

    @classmethod
    def load(cls, patch: Path) -> Mutant:
        """Read a patch's head."""
        found = re.search(r"^Tests: (.+)$", patch.read_text(encoding="utf-8"), re.MULTILINE)
        if found is None:
            raise Useless(f"{patch.name} has no line that begins with 'Tests:' and names what must catch it")
        return cls(patch, tuple(found[1].split()))


@dataclass(frozen=True, slots=True)
class Result:
    """How a selection of tests ended."""

    status: int
    """pytest's exit status."""
    failed: tuple[str, ...]
    """The tests that failed, by their ids."""
    skipped: tuple[str, ...]
    """Where tests were skipped, and why."""
    passed: int
    """Tests that passed."""
    output: str
    seconds: float

    @property
    def caught(self) -> bool:
        """Whether a test failed, and not pytest itself."""
        return self.status == 1 and bool(self.failed)

    @property
    def untried(self) -> bool:
        """Whether all tests were skipped: one that passes lets a mutant through, whatever else is skipped."""
        return self.status == 0 and bool(self.skipped) and not self.passed


def all_mutants() -> list[Mutant]:
    """Every patch beside this file, by name."""
    return [Mutant.load(patch) for patch in sorted(HERE.glob("*.patch"))]


@contextlib.contextmanager
def copy_of_the_tree() -> Iterator[Path]:
    """A copy of what git knows or would add, as it is on disk now; it is gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="picante-mutant-") as place:
        tree = Path(place) / "tree"
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout
        for name in filter(None, names.split("\0")):
            if (ROOT / name).is_file():
                (tree / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(ROOT / name, tree / name)
        yield tree


def apply(patch: Path, tree: Path) -> None:
    """Change a copy. Raises Useless if the code is no longer what the patch knows."""
    # git would look for a repository around the copy, and skip files outside of it
    environment = {**os.environ, "GIT_CEILING_DIRECTORIES": str(tree.parent)}
    command = ["git", "apply", str(patch)]
    done = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise Useless(f"{patch.name} no longer applies; write it anew for the code as it is:\n{done.stderr}")


def run_tests(tree: Path, tests: Iterable[str]) -> Result:
    """Run a selection in a copy. Raises Useless if it would test other code."""
    environment = {**os.environ, "PYTHONPATH": str(tree), "PICANTE_TRIES": TRIES}
    environment.pop("PYTEST_ADDOPTS", None)
    if subprocess.run([sys.executable, "-c", _OURS, str(tree)], cwd="/", env=environment, check=False).returncode:
        raise Useless(f"Python does not take {tree} for the place of Picante: the mutant would not be what is tested")
    command = [sys.executable, "-m", "pytest", "-q", "-rfEs", "--tb=short", "-p", "no:cacheprovider"]
    began_s = time.monotonic()
    done = subprocess.run(
        [*command, f"--basetemp={tree.parent / 'tmp'}", *tests],
        cwd=tree,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    failed = tuple(re.findall(r"^FAILED (\S.*?)(?: - .*)?$", done.stdout, re.MULTILINE))
    skipped = tuple(re.findall(r"^SKIPPED (.+)$", done.stdout, re.MULTILINE))
    passed = re.search(r"(\d+) passed", done.stdout.rpartition("\n")[0].rpartition("\n")[2])
    return Result(
        done.returncode,
        failed,
        skipped,
        int(passed[1]) if passed else 0,
        done.stdout,
        time.monotonic() - began_s,
    )


def prove(tests: Iterable[str]) -> Result:
    """Run tests on an unchanged copy. Raises Useless unless all pass or skip."""
    with copy_of_the_tree() as tree:
        result = run_tests(tree, tests)
    if result.status:
        raise Useless(f"tests fail without any mutant; mend that first:\n{result.output}")
    return result


def attempt(mutant: Mutant) -> Result:
    """Run a mutant's tests on it. Raises Useless if it can't be made."""
    with copy_of_the_tree() as tree:
        apply(mutant.patch, tree)
        return run_tests(tree, mutant.tests)


def main() -> int:
    """Try all; the exit status."""
    mutants = all_mutants()
    try:
        unchanged = prove(sorted({test for mutant in mutants for test in mutant.tests}))
    except Useless as why:
        tell(str(why))
        return 1
    tell(f"{'mutant':<20} {'s':>5}  caught by")
    tell(f"{'(none)':<20} {unchanged.seconds:>5.1f}  nothing: the tests pass without one")
    return 1 if sum([not _tell_of(mutant) for mutant in mutants]) else 0


def _tell_of(mutant: Mutant) -> bool:
    """Print a mutant's row; whether it is as it should be."""
    try:
        result = attempt(mutant)
    except Useless as why:
        tell(f"{mutant.name:<20} {'-':>5}  NOT TRIED: {why}")
        return False
    good = True
    if result.caught:
        verdict = ", ".join(result.failed)
    elif result.untried:
        verdict = f"not tried here: {'; '.join(result.skipped)}"
    else:
        verdict, good = f"NOTHING: it survives {' '.join(mutant.tests)}\n{result.output}", False
    tell(f"{mutant.name:<20} {result.seconds:>5.1f}  {verdict}")
    return good


def tell(text: str) -> None:
    """Print at once: each mutant takes a while."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
