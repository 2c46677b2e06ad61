"""Bundle -> exit status: `python -m models.probe DIRECTORY` runs a bundle in onnxruntime, or dies of it.

    0               the model scores as the manifest's weights do
    `BAD_BUNDLE`    onnxruntime works, the bundle does not; the last three lines of stderr: what, what to do, in a word
    any other end   onnxruntime does not work here; the last line of stderr may say why

The two are told apart by the bundle that ships with Picante: what fails with that one, too, is not the bundle's fault.
"""

from __future__ import annotations

import resource
import sys
from pathlib import Path

from heat.errors import ModelError
from models.bundle import load, pretrained
from models.ranker import OnnxRanker

BAD_BUNDLE = 3
"""Neither Python nor a signal ends a process with this status."""


def probe(directory: Path) -> int:
    """The exit status for the bundle in a directory."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core of each start would fill the disk
    try:
        OnnxRanker(load(directory))
    except ModelError as error:
        OnnxRanker(load(pretrained()))
        for line in (error.args[0], error.hint, error.reason):
            sys.stderr.write(" ".join(line.split()) + "\n")
        return BAD_BUNDLE
    return 0


if __name__ == "__main__":
    sys.exit(probe(Path(sys.argv[1])))
