"""A normalised text -> the scores of what it says of heat, for what the lexicon lacks: hashed n-grams, one layer.

`classifier()` gives `heat.language.parse` its function. The weights are whole numbers, and so are the sums: NumPy,
which the gateway uses, and the ONNX model, for whoever has a runtime and no Python, give the same scores to the bit, in
any order of adding. Both files are of one training, by `picante heat train` on `data/heat_sentences.csv`.

    data/heat_text.npy    int16 [BUCKETS + 1, classes]; the last row is the bias
    data/heat_text.onnx   input `buckets` int64 [n], without doubles; output `scores` int32 [classes]
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from importlib import resources
from itertools import pairwise
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

from heat.errors import ModelError
from heat.language import Classify, Scores
from heat.wording import words_of

BUCKETS = 8192
"""Rows of weights; an n-gram's is its CRC-32 modulo this. The sentences of the training have 20,000 n-grams."""
CLASSES = Scores._fields
CHARACTER_GRAMS = (3, 4)
"""Characters of the pieces that each word, between `<` and `>`, is cut into: *spiciest* shares most with *spicy*."""

Weights = npt.NDArray[np.int16]
Buckets = npt.NDArray[np.int64]
_AGAIN = "Install Picante again, or train it with `picante heat train`"


def data() -> Path:
    """The directory of the sentences and of what was trained on them."""
    return Path(str(resources.files("models").joinpath("data")))


def buckets(text: str) -> Buckets:
    """The rows of a normalised text's n-grams, each once, ascending."""
    return np.array(sorted({crc32(gram.encode()) % BUCKETS for gram in _grams(words_of(text))}), dtype=np.int64)


def _grams(words: list[str]) -> Iterator[str]:
    yield from (f"w {word}" for word in words)
    line = ["", *words, ""]
    yield from (f"b {first} {second}" for first, second in pairwise(line))
    for word in set(words):
        marked = f"<{word}>"
        for size in CHARACTER_GRAMS:
            yield from (marked[at : at + size] for at in range(len(marked) - size + 1))


def score(weights: Weights, rows: Buckets) -> Scores:
    """The scores of a text with these buckets."""
    total = weights[rows].sum(axis=0, dtype=np.int32) + weights[-1]
    return Scores(*(int(value) for value in total))


def load(path: Path) -> Weights:
    """The weights in a .npy file. Raises ModelError if they are none."""
    try:
        weights: Any = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise ModelError(f"{path}: can't be read: {error}", hint=_AGAIN) from error
    if not isinstance(weights, np.ndarray) or (weights.dtype, weights.shape) != (np.int16, (BUCKETS + 1, len(CLASSES))):
        raise ModelError(f"{path}: holds no weights of this version", hint=_AGAIN)
    return weights


@cache
def classifier() -> Classify:
    """What scores a normalised text, by the weights that ship. Raises ModelError if they are damaged."""
    weights = load(data() / "heat_text.npy")
    return lambda text: score(weights, buckets(text))
