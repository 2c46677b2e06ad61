"""Simulated logs -> a bundle: simulate, fit, judge on other customers, write."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from heat.catalog import Catalog
from models.bundle import Bundle
from models.evaluation.report import WorldReport
from models.manifest import Training
from models.ranker import LinearRanker
from models.train import PENALTY, About, Fit, fit, write_bundle
from picante.judging import judge_ranker
from picante.simulated import simulate_slates, training_crowd

Progress = Callable[[str], None]


def train_bundle(
    out: Path, catalog: Catalog, *, seed: int, customers: int, days: int, progress: Progress = lambda _: None
) -> tuple[Bundle, Fit, WorldReport]:
    """Simulate, fit, judge on other customers, and write the bundle into `out`."""
    slates = simulate_slates(training_crowd(seed, customers, catalog), seed, days)
    progress(f"{len(slates)} visits with a pour, of {customers} customers in {days} days")
    fitted = fit(slates)
    progress(
        f"fitted in {fitted.steps} Newton steps: {fitted.loss:.3f} nats a visit, guessing {fitted.guessing_loss:.3f}"
    )
    judged = judge_ranker(LinearRanker("model", fitted.weights), catalog, seed, max(customers // 4, 50))
    training = Training(seed=seed, customers=customers, slates=len(slates), penalty=PENALTY)
    about = About(training, _metrics(judged, fitted), catalog.version, created_by())
    bundle = write_bundle(out, fitted, slates, about)
    return bundle, fitted, judged


def created_by() -> str:
    """This program and its version."""
    try:
        return f"picante {version('picante')}"
    except PackageNotFoundError:
        return "picante, not installed"


def _metrics(judged: WorldReport, fitted: Fit) -> dict[str, float]:
    result = {"loss": round(fitted.loss, 4), "guessing_loss": round(fitted.guessing_loss, 4)}
    for name, group in zip(("overall", "cold_start"), judged.groups, strict=False):
        result |= {f"{name}.{score.policy}": score.accepted.value for score in group.scores}
    return result
