"""What was fitted -> a bundle. Needs the `train` extra; never imported on a gateway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from models import golden, posterior
from models.bundle import GOLDEN_NAME, MODEL_NAME, POSTERIOR_NAME, TREES_NAME, Bundle, save
from models.export import onnx_model, onnx_trees
from models.features import Matrix
from models.manifest import Manifest, Training
from models.ranker import LinearRanker
from models.train import Fit
from models.trees import Tree, Trees, to_json


@dataclass(frozen=True, slots=True)
class About:
    """What a bundle says of itself besides the model."""

    training: Training
    metrics: Mapping[str, float]
    catalog_version: str
    created_by: str


def write_bundle(
    path: Path, fitted: Fit, slates: Sequence[Matrix], about: About, trees: Sequence[Tree] | None = None
) -> Bundle:
    """Write what was fitted to the slates as a bundle into the directory `path`.

    With `trees`, these rank, and the weights explain. Golden slates are some of `slates`.
    """
    scores = LinearRanker("golden", fitted.weights).scores if trees is None else Trees(trees).scores
    files = {
        MODEL_NAME: onnx_model(fitted.weights) if trees is None else onnx_trees(trees),
        POSTERIOR_NAME: posterior.to_npy(posterior.draw(fitted.covariance, about.training.seed)),
        GOLDEN_NAME: golden.to_json(golden.chosen(slates), scores),
    }
    if trees is not None:
        files[TREES_NAME] = to_json(trees)
    manifest = Manifest(
        kind="linear" if trees is None else "trees",
        weights=fitted.weights,
        files={},
        catalog_version=about.catalog_version,
        training=about.training,
        metrics=dict(about.metrics),
        created_by=about.created_by,
    )
    return save(path, manifest, files)
