"""How sure a ranker is of its weights: a fixed set of deviations, drawn once when it is trained.

    posterior.npy   float32 [members, features], little-endian, C order: what to add to the weights, a row a member

Exploring draws one of the members (`models.explore`). As they are a finite set that the bundle carries, the chance of
whatever was shown is an exact count over them, on any machine, for as long as the bundle is kept.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from heat.errors import ModelError
from models.features import FEATURES, Matrix

if TYPE_CHECKING:
    from numpy.typing import NDArray

MEMBERS = 64
"""Deviations of a bundle: chances of picks are known to 1/64, and counting over all of them stays far below 1 ms."""
MAX_MEMBERS = 256
DECIMALS = 4
"""Deviations are rounded to this, so that the last bits of a sum can't change a bundle's id."""
_TYPE = np.dtype("<f4")


def draw(covariance: NDArray[np.float64], seed: int) -> Matrix:
    """`MEMBERS` draws from a Gaussian around 0: float32, shape (MEMBERS, len(FEATURES)).

    The second half is the first one's mirror image: the members' mean is exactly 0, so that exploring around the
    weights favours no direction.
    """
    values, vectors = np.linalg.eigh(covariance)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T  # the symmetric one: no sign is left to chance
    half = np.random.default_rng(seed).standard_normal((MEMBERS // 2, len(covariance))) @ root
    rounded: Matrix = (np.vstack([half, -half]).round(DECIMALS) + 0.0).astype(_TYPE)
    return rounded


def to_npy(deviations: Matrix) -> bytes:
    """The bytes of posterior.npy."""
    written = io.BytesIO()
    np.lib.format.write_array(written, np.ascontiguousarray(deviations, dtype=_TYPE), version=(1, 0))
    return written.getvalue()


def from_npy(path: Path, content: bytes, hint: str) -> Matrix:
    """The deviations in posterior.npy, read-only. `path` is for the message. Raises ModelError."""
    reading = io.BytesIO(content)
    try:
        if np.lib.format.read_magic(reading) != (1, 0):
            raise ValueError("it is of another version of the format")
        shape, fortran, dtype = np.lib.format.read_array_header_1_0(reading)
        wanted = f"float32 [1 to {MAX_MEMBERS}, {len(FEATURES)}]"
        if fortran or dtype != _TYPE or len(shape) != 2 or shape[1] != len(FEATURES):
            raise ValueError(f"it holds {dtype} {list(shape)}, not {wanted}")
        if not 1 <= shape[0] <= MAX_MEMBERS or len(content) - reading.tell() != shape[0] * shape[1] * _TYPE.itemsize:
            raise ValueError(f"it holds {list(shape)} numbers in {len(content)} bytes, not {wanted}")
        # never np.load: it makes room for whatever shape a file claims to have
        deviations: Matrix = np.frombuffer(content, dtype=_TYPE, offset=reading.tell()).reshape(shape)
    except ValueError as error:
        raise ModelError(f"{path}: {error}", hint=hint, reason="unreadable") from error
    if not np.isfinite(deviations).all():
        raise ModelError(f"{path}: has numbers that are not finite", hint=hint, reason="unreadable")
    return deviations
