"""Simulated logs -> a bundle: simulate, fit, judge on other customers, write."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from heat.catalog import Catalog
from hw_sim.shoppers.world import World
from models.bundle import Bundle
from models.evaluate import Outcome, Policy, Report, baselines, report, served
from models.explore import SLOTS
from models.manifest import Training
from models.ranker import LinearRanker, Ranker
from models.train import PENALTY, About, Fit, fit, write_bundle
from picante.simulated import Moment, judging_crowd, moments, simulate_slates, training_crowd

Progress = Callable[[str], None]


def evaluate_ranker(
    ranker: Ranker, catalog: Catalog, *, seed: int, customers: int, days: int, world: World = "burn"
) -> Report:
    """The ranker beside the baselines and the oracle, on customers whom training never saw.

    `world` is how they choose; training always simulates the first kind.
    """
    policies: dict[str, Policy] = {"model": lambda question: served(ranker, question)} | baselines()
    outcomes = []
    for moment in moments(judging_crowd(seed, customers, catalog, world), seed, days):
        offer = moment.question.menu.sauces
        picks = {name: policy(moment.question) for name, policy in policies.items()}
        picks["oracle"] = _oracle(moment)
        accepted = {name: moment.shopper.choose(moment.visit, offer, shown) in shown for name, shown in picks.items()}
        outcomes.append(Outcome(moment.customer, moment.history == 0, accepted))
    return report(ranker.name, outcomes, seed)


def train_bundle(
    out: Path, catalog: Catalog, *, seed: int, customers: int, days: int, progress: Progress = lambda _: None
) -> tuple[Bundle, Fit, Report]:
    """Simulate, fit, judge on other customers, and write the bundle into `out`."""
    slates = simulate_slates(training_crowd(seed, customers, catalog), seed, days)
    progress(f"{len(slates)} visits with a pour, of {customers} customers in {days} days")
    fitted = fit(slates)
    progress(
        f"fitted in {fitted.steps} Newton steps: {fitted.loss:.3f} nats a visit, guessing {fitted.guessing_loss:.3f}"
    )
    judged = evaluate_ranker(
        LinearRanker("model", fitted.weights), catalog, seed=seed, customers=max(customers // 3, 50), days=days
    )
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


def _metrics(judged: Report, fitted: Fit) -> dict[str, float]:
    result = {"loss": round(fitted.loss, 4), "guessing_loss": round(fitted.guessing_loss, 4)}
    for name, section in (("overall", judged.overall), ("cold_start", judged.cold_start)):
        result |= {f"{name}.{score.policy}": score.accepted for score in section.scores}
    return result


def _oracle(moment: Moment) -> Sequence[str]:
    """The three sauces that the shopper would truly enjoy most."""
    offer = moment.question.menu.sauces
    best = sorted(offer, key=lambda sauce: -moment.shopper.enjoyment(moment.visit, sauce))
    return [sauce.id for sauce in best[:SLOTS]]
