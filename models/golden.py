"""Golden vectors: slates, and the scores that were seen in training. Every scorer has to give them, bit for bit.

    golden.json   {"slates": [{"features": [[a number a feature] a sauce], "scores": [a number a sauce]}, ...]}

Numbers are float32, written as the shortest decimals that give them back. A gateway whose NumPy, onnxruntime or
processor adds otherwise than the machine that trained finds out here, before a customer does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import msgspec
import numpy as np

from heat.errors import ModelError
from models.features import FEATURES, Matrix

SLATES = 16
"""Slates of a bundle, spread over what it was trained on."""
ROWS = 6
"""Sauces of one of them, at most: enough to tell rankings apart, and the file stays small."""
MAX_SLATES = 64


@dataclass(frozen=True, slots=True)
class GoldenSlate:
    """`features` float32 [sauces, features], `scores` float32 [sauces]."""

    features: Matrix
    scores: Matrix


class _Slate(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    features: tuple[tuple[float, ...], ...]
    scores: tuple[float, ...]


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    slates: Annotated[tuple[_Slate, ...], msgspec.Meta(min_length=1, max_length=MAX_SLATES)]


def chosen(slates: Sequence[Matrix]) -> list[Matrix]:
    """The slates to keep out of those that a ranker was trained on: a few rows of a few, evenly spread."""
    step = max(len(slates) // SLATES, 1)
    return [slate[:ROWS] for slate in slates[::step][:SLATES]]


def to_json(slates: Iterable[Matrix], scores: Callable[[Matrix], Matrix]) -> bytes:
    """The bytes of golden.json for slates and what scores them."""
    rows = [_Slate(tuple(map(_short, slate)), _short(scores(slate))) for slate in slates]
    return msgspec.json.encode(_File(tuple(rows))) + b"\n"


def from_json(path: Path, content: bytes, hint: str) -> tuple[GoldenSlate, ...]:
    """The slates in golden.json. `path` is for the message. Raises ModelError."""
    try:
        slates = msgspec.json.decode(content, type=_File).slates
    except msgspec.DecodeError as error:
        raise ModelError(f"{path}: {error}", hint=hint, reason="unreadable") from error
    for number, slate in enumerate(slates):
        if len(slate.features) != len(slate.scores) or any(len(row) != len(FEATURES) for row in slate.features):
            raise ModelError(
                f"{path}: slate {number} must have {len(FEATURES)} features and one score a sauce", hint=hint
            )
    with np.errstate(over="ignore"):  # infinite: no scorer gives that
        return tuple(GoldenSlate(_matrix(slate.features), _matrix(slate.scores)) for slate in slates)


def check(slates: Iterable[GoldenSlate], scores: Callable[[Matrix], Matrix], path: Path, hint: str) -> None:
    """Raises ModelError unless these are the scores of every slate."""
    for number, slate in enumerate(slates):
        if not np.array_equal(scores(slate.features), slate.scores):
            raise ModelError(f"{path}: slate {number} does not get its scores here", hint=hint, reason="golden")


def _short(row: Matrix) -> tuple[float, ...]:
    return tuple(float(str(number)) for number in row)


def _matrix(rows: Sequence[object]) -> Matrix:
    matrix: Matrix = np.array(rows, dtype=np.float32)
    return matrix
