"""Logged slates -> bundles: out of the simulator or the lake, fitted, judged on customers whom they never saw, written.

The simulator's slates are of all its worlds, as many of each. What is learnt from one alone is as good there and worse
elsewhere, and nobody knows which of them people are like.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from heat.catalog import Catalog
from heat.errors import DataError
from hw_sim.shoppers.world import WORLDS, World
from models.assemble import About, write_bundle
from models.bundle import Bundle
from models.evaluation.outcomes import ALL, COLD
from models.evaluation.report import POPULARITY, Group, WorldReport
from models.features import FEATURES
from models.manifest import RankerKind, Training
from models.ranker import LinearRanker, Ranker, TreeRanker
from models.train import PENALTY, Fit, Slate, fit
from models.trees import Tree, Trees
from picante.judging import judge_ranker
from picante.simulated import simulate_slates, training_crowd

if TYPE_CHECKING:
    import pyarrow as pa

Wanted = Literal["linear", "trees", "both"]
SIMULATED_WORTH = 0.03
"""What a simulated slate counts as evidence about people, when it comes to how sure weights are: 12,000 of them as much
as 360 real ones. At 1, exploring would change one slate in eleven, and nobody would find out that people differ from
the simulator; at 0.03 it changes one in three or four, mostly the order alone."""
MOST_JUDGES = 200
"""Simulated customers in each world: an interval of six points, in ten seconds."""
MOST_SLATES = 50_000
"""Of a lake: half a gigabyte while fitting, a minute, and months of a chain of shops."""
LEAST_SLATES = 50
"""Fewer teach two dozen weights nothing."""
Step = Callable[[str], None]
"""Told what is done next, before it is begun: `steps` times."""


@dataclass(frozen=True, slots=True)
class Logs:
    """What a ranker is trained on, and where it comes from."""

    slates: list[Slate]
    source: Literal["simulation", "lake"]
    customers: int
    seed: int


@dataclass(frozen=True, slots=True)
class Trained:
    """One bundle and what became of it, by world, on other customers."""

    kind: RankerKind
    bundle: Bundle
    reports: dict[World, WorldReport]


def steps(wanted: Wanted, *, from_lake: bool) -> int:
    """How many steps there are: reading or a world each, the fit, the trees, judging in a world each, writing."""
    kinds = 2 if wanted == "both" else 1
    return (1 if from_lake else len(WORLDS)) + 1 + (wanted != "linear") + kinds * (len(WORLDS) + 1)


def simulated(catalog: Catalog, *, seed: int, customers: int, days: int, step: Step = lambda _: None) -> Logs:
    """The slates of simulated customers, a part of them in each world. Raises DataError: too few of them."""
    slates: list[Slate] = []
    for number, world in enumerate(WORLDS):
        step(f"simulating the world {world!r}")
        here = len(range(number, customers, len(WORLDS)))
        slates += simulate_slates(training_crowd(seed + number * 1_000_003, here, catalog, world), seed, days)
    _check_enough(slates, f"{customers} customers in {days} days", "Give more of --customers, or of --days")
    return Logs(slates, "simulation", customers, seed)


def in_lake(folder: Path, seed: int) -> Logs:
    """The visits in a lake that ended in a pour, the last `MOST_SLATES` of them. Needs the extra `cloud`.

    Raises LakeMissing, SinkUnavailable, DataError: too few of them.
    """
    from datetime import date

    from cloud.lake.lake import Lake
    from cloud.lake.query import connected
    from cloud.lake.training import TrainingRows

    with connected(Lake(str(folder))) as connection:
        reader = TrainingRows(connection, date(1970, 1, 1), date.max).reader()
        subjects: set[str] = set()
        slates = list(deque(_slates(reader, subjects), maxlen=MOST_SLATES))
    _check_enough(slates, str(folder), "Wait for more, or train on simulated customers: leave --lake out")
    return Logs(slates, "lake", len(subjects), seed)


def _check_enough(slates: Sequence[Slate], of: str, hint: str) -> None:
    if len(slates) < LEAST_SLATES:
        said = f"{of}: {len(slates)} picks that ended in a pour are too few: {LEAST_SLATES} is the least"
        raise DataError(said, hint=hint)


def _slates(batches: Iterable[pa.RecordBatch], subjects: set[str]) -> Iterator[Slate]:
    """The slates of training rows. Those of a pick lie together in one batch; its choice is what was poured most."""
    for batch in batches:
        if not batch.num_rows:
            continue
        picks, outcomes, owners = (batch[name].to_pylist() for name in ("pick_id", "outcome", "subject"))
        features = np.column_stack([batch[f"f_{name}"].to_numpy() for name in FEATURES])
        slots = batch["slot"].fill_null(0).to_numpy().astype(np.int8)
        poured_ul = batch["poured_ul"].to_numpy()
        starts = [row for row in range(len(picks)) if row == 0 or picks[row] != picks[row - 1]]
        for start, end in pairwise([*starts, len(picks)]):
            chosen = int(poured_ul[start:end].argmax())
            if outcomes[start] in {"poured", "elsewhere"} and poured_ul[start + chosen]:
                subjects.add(owners[start])
                yield Slate(features[start:end].copy(), slots[start:end].copy(), chosen)


def train_bundles(
    out: Path, catalog: Catalog, logs: Logs, wanted: Wanted = "linear", step: Step = lambda _: None
) -> list[Trained]:
    """Fit the logs, judge, and write the bundles: into `out`, or if both kinds are wanted into `out/KIND`.

    Raises OSError: something can't be written there.
    """
    out.mkdir(parents=True, exist_ok=True)  # now: fitting and judging take a while
    training = Training(
        source=logs.source,
        seed=logs.seed,
        customers=logs.customers,
        slates=len(logs.slates),
        penalty=PENALTY,
        worth=SIMULATED_WORTH if logs.source == "simulation" else 1.0,
    )
    step(f"fitting the slate logit to {len(logs.slates):,} visits with a pour")
    fitted = fit(logs.slates, worth=training.worth)
    kinds: tuple[RankerKind, ...] = ("linear", "trees") if wanted == "both" else (wanted,)
    result = []
    for kind in kinds:
        trees: tuple[Tree, ...] | None = None
        ranker: Ranker = LinearRanker("model", fitted.weights)
        if kind == "trees":
            from models.boost import grow

            step("growing trees on the same visits")
            trees = grow(logs.slates, logs.seed)
            ranker = TreeRanker("model", Trees(trees), fitted.weights)
        reports = _judged(ranker, catalog, logs, step)
        into = out / kind if wanted == "both" else out
        step(f"writing {into}")
        about = About(training, _metrics(reports, fitted), catalog.version, created_by())
        bundle = write_bundle(into, fitted, [slate.features for slate in logs.slates], about, trees)
        result.append(Trained(kind, bundle, reports))
    return result


def _judged(ranker: Ranker, catalog: Catalog, logs: Logs, step: Step) -> dict[World, WorldReport]:
    judges = min(max(logs.customers // 9, 10), MOST_JUDGES)
    reports = {}
    for world in WORLDS:
        step(f"judging in the world {world!r}")
        reports[world] = judge_ranker(ranker, catalog, logs.seed, judges, world)
    return reports


def created_by() -> str:
    """This program and its version."""
    try:
        return f"picante {version('picante')}"
    except PackageNotFoundError:
        return "picante, not installed"


def table(trained: Sequence[Trained]) -> str:
    """How each ranker did in each world: accepted slates of all visits and at cold start, and popularity's beside."""
    lines = [
        "Share of visits on which one of three picks was poured, by customers whom training never saw",
        "",
        f"{'ranker':8}{'world':14}{'visits':>6}{'all':>8}{'new':>8}{'oracle':>8}   more than popularity",
    ]
    for one in trained:
        for world, report in one.reports.items():
            overall, cold = report.group(ALL), report.group(COLD)
            lines.append(
                f"{one.kind:8}{world:14}{overall.visits:6}{_share(overall, 'model'):8.3f}{_share(cold, 'model'):8.3f}"
                f"{_share(overall, 'oracle'):8.3f}   {overall.score('model').lift}"
            )
    return "\n".join(lines)


def _metrics(reports: dict[World, WorldReport], fitted: Fit) -> dict[str, float]:
    result = {"loss": round(fitted.loss, 4), "guessing_loss": round(fitted.guessing_loss, 4)}
    for world, report in reports.items():
        for name, group in (("overall", ALL), ("cold_start", COLD)):
            for policy in ("model", POPULARITY, "oracle"):
                result[f"{world}.{name}.{policy}"] = _share(report.group(group), policy)
    return result


def _share(group: Group, policy: str) -> float:
    return group.score(policy).accepted.value
