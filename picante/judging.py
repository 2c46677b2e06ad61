"""Shoppers who judge: every policy on the very same simulated visits.

The split is by person and by time at once. A bundle, and each refit, learns from the first `TRAINING_DAYS` days of the
training crowd (even seeds). Judged are the `JUDGED_DAYS` days after those, of a crowd of other people (odd seeds),
whose own earlier visits are their history and nothing else. Policies choose from all that the dispenser holds: none of
it is sampled. Whatever a policy shows, the visit goes on as it was logged, so that all see the same past.

Each world has a ranker fitted anew on its own training crowd, whole (`refit`) and with a part taken away: without the
heat state, and with shuffled labels. One that loses nothing by it would have learnt nothing from it.
"""

from __future__ import annotations

import multiprocessing
import os
import random
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from heat.catalog import Catalog
from hw_sim.shoppers.world import World
from models.bundle import Bundle
from models.evaluation.estimates import LoggedVisit, off_policy
from models.evaluation.outcomes import ALL, FAR_OCTAVES, Outcomes, Recorder, join
from models.evaluation.policies import Policy, Question, baselines, greedy, served, without_heat
from models.evaluation.report import Judged, Report, Split, WorldReport, world_report
from models.evaluation.rules import NO_HEAT_STATE, REFIT, SHUFFLED_LABELS, checks
from models.explore import SLOTS
from models.ranker import LinearRanker, Ranker, open_ranker
from models.train import Slate, fit
from picante.log_reader import LogReader
from picante.simulated import Moment, judging_crowd, moments, slate, training_crowd

TRAINING_DAYS, JUDGED_DAYS = 56, 28
WORKERS = 2


@dataclass(frozen=True, slots=True)
class Size:
    """How much is simulated: judging seeds, customers a seed, and customers that each refit learns from."""

    mode: str
    seeds: tuple[int, ...]
    customers: int
    training_customers: int


FULL = Size("full", tuple(range(1001, 1009)), 300, 1000)
QUICK = Size("quick", (1001, 1002), 150, 250)
"""Rough: to see that all is well, not to publish."""


@dataclass(frozen=True, slots=True)
class Refits:
    """Weights fitted on one world."""

    whole: tuple[float, ...]
    no_heat_state: tuple[float, ...]
    shuffled_labels: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Held:
    """What came of a contest, and the log as each bundle sees it."""

    outcomes: Outcomes
    logs: Mapping[str, Sequence[LoggedVisit]]


@dataclass(frozen=True, slots=True)
class Contest:
    """What one process judges: these bundles by name, in one world, with one seed."""

    bundles: Mapping[str, Path]
    refits: Refits
    world: World
    catalog: Catalog
    seed: int
    customers: int


def judge_bundles(
    bundles: Sequence[Bundle],
    catalog: Catalog,
    worlds: Sequence[World],
    size: Size,
    workers: int = WORKERS,
    step: Callable[[], None] = lambda: None,
) -> Report:
    """The bundles beside the baselines, the oracle and the ablations, in each world.

    `step` hears of each of the `steps()` that is done.
    """
    named = _named(bundles)
    paths = {name: bundle.path for name, bundle in named.items()}
    refit = partial(fit_refits, catalog=catalog, customers=size.training_customers)
    with _mapping(workers) as each:
        refits = {}
        for world, fitted in zip(worlds, each(refit, worlds), strict=True):
            refits[world] = fitted
            step()
        contests = [
            Contest(paths, refits[world], world, catalog, seed, size.customers)
            for world in worlds
            for seed in size.seeds
        ]
        parts: dict[World, list[Held]] = {world: [] for world in worlds}
        for contest, held in zip(contests, each(hold, contests), strict=True):
            parts[contest.world].append(held)
            step()
    joined = {world: join([held.outcomes for held in parts[world]]) for world in worlds}
    reports = {world: world_report(world, outcomes) for world, outcomes in joined.items()}
    return Report(
        mode=size.mode,
        catalog=catalog.version,
        split=Split(
            training_days=TRAINING_DAYS,
            judged_days=JUDGED_DAYS,
            training_customers=size.training_customers,
            judged_customers_a_seed=size.customers,
        ),
        bundles=tuple(_judged(name, bundle) for name, bundle in named.items()),
        worlds=tuple(reports.values()),
        checks=checks(joined.items(), list(named)),
        off_policy=tuple(
            off_policy(
                world,
                name,
                [visit for held in parts[world] for visit in held.logs[name]],
                reports[world].group(ALL).score(name).accepted,
            )
            for world in worlds
            for name in named
        ),
    )


def sized(size: Size, seeds: int | None, customers: int | None) -> Size:
    """The size with so many seeds, and so many customers a seed, where either is given."""
    numbers = size.seeds if seeds is None else tuple(range(FULL.seeds[0], FULL.seeds[0] + seeds))
    asked = replace(size, seeds=numbers, customers=customers or size.customers)
    # figures of another size are not those of a full run
    return asked if asked == size else replace(asked, mode=f"{len(numbers)} x {asked.customers}")


def steps(worlds: Sequence[World], size: Size) -> int:
    """How many steps `judge_bundles` takes."""
    return len(worlds) * (1 + len(size.seeds))


def judge_ranker(ranker: Ranker, catalog: Catalog, seed: int, customers: int, world: World) -> WorldReport:
    """The ranker beside the baselines and the oracle, in one world; quickly, for whoever has just fitted it."""
    policies: dict[str, Policy] = {"model": partial(greedy, ranker)}
    return world_report(world, judge(policies | baselines(), world, catalog, seed, customers))


def fit_refits(world: World, catalog: Catalog, customers: int, seed: int = 1) -> Refits:
    """Rankers fitted on a world's training crowd: as they should be, and with a part taken away."""
    whole: list[Slate] = []
    blind: list[Slate] = []
    for moment in moments(training_crowd(seed, customers, catalog, world), seed, TRAINING_DAYS):
        if moment.chosen is not None:
            whole.append(slate(moment, moment.question.reading))
            blind.append(slate(moment, without_heat(moment.question.reading, moment.question.prior)))
    rng = random.Random(seed)
    shuffled = [replace(one, chosen=rng.randrange(len(one.features))) for one in whole]
    return Refits(fit(whole).weights, fit(blind).weights, fit(shuffled).weights)


def hold(contest: Contest) -> Held:
    """One contest."""
    policies: dict[str, Policy] = {}
    logs: dict[str, LogReader] = {}
    for name, path in contest.bundles.items():
        ranker, error = open_ranker(path)
        if error is not None:
            raise error
        policies[name] = partial(served, ranker)
        policies[f"{name}, greedy"] = partial(greedy, ranker)
        logs[name] = LogReader(ranker, contest.refits.whole)
    whole, blind, shuffled = (
        LinearRanker(REFIT, weights)
        for weights in (contest.refits.whole, contest.refits.no_heat_state, contest.refits.shuffled_labels)
    )
    policies[REFIT] = partial(greedy, whole)
    policies[NO_HEAT_STATE] = lambda question: greedy(blind, _unread(question))
    policies[SHUFFLED_LABELS] = partial(greedy, shuffled)
    everyone = policies | baselines()
    outcomes = judge(everyone, contest.world, contest.catalog, contest.seed, contest.customers, readers=logs.values())
    return Held(outcomes, {name: reader.visits for name, reader in logs.items()})


def judge(
    policies: Mapping[str, Policy],
    world: World,
    catalog: Catalog,
    seed: int,
    customers: int,
    *,
    readers: Collection[LogReader] = (),
) -> Outcomes:
    """What comes of each judged visit under these policies and under the oracle's. `readers` read what was logged."""
    recorder = Recorder((*policies, "oracle"), seed)
    for moment in judged_moments(world, catalog, seed, customers):
        shown = [list(policy(moment.question)) for policy in policies.values()]
        for reader in readers:
            reader.read(seed, moment)
        recorder.add(moment.customer, moment.history, [_result(moment, slate) for slate in (*shown, _oracle(moment))])
    return recorder.outcomes()


def judged_moments(world: World, catalog: Catalog, seed: int, customers: int) -> Iterator[Moment]:
    """The visits that a seed judges on, after those that only make history."""
    crowd = judging_crowd(seed, customers, catalog, world)
    for moment in moments(crowd, seed, TRAINING_DAYS + JUDGED_DAYS):
        if moment.day >= TRAINING_DAYS:
            yield moment


def _unread(question: Question) -> Question:
    return replace(question, reading=without_heat(question.reading, question.prior))


def _result(moment: Moment, shown: Sequence[str]) -> tuple[bool, int, int]:
    menu = moment.question.menu
    too_hot_mo = 1000 * (moment.shopper.tolerance_octaves(moment.visit) + FAR_OCTAVES)
    far = sum(menu.milli_octaves[menu.rows[sauce]] > too_hot_mo for sauce in shown)
    return moment.shopper.choose(moment.visit, menu.sauces, shown) in shown, len(shown), far


def _oracle(moment: Moment) -> list[str]:
    """The sauces that the shopper would truly enjoy most."""
    offer = moment.question.menu.sauces
    best = sorted(offer, key=lambda sauce: -moment.shopper.enjoyment(moment.visit, sauce))
    return [sauce.id for sauce in best[:SLOTS]]


def _named(bundles: Sequence[Bundle]) -> dict[str, Bundle]:
    """One bundle is the `model`; several go by their folders' names, or where two are equal by their ids."""
    if len(bundles) == 1:
        return {"model": bundles[0]}
    folders = [bundle.path.resolve().name for bundle in bundles]
    unique = len(set(folders)) == len(folders)
    return {folder if unique else bundle.short_id: bundle for folder, bundle in zip(folders, bundles, strict=True)}


def _judged(name: str, bundle: Bundle) -> Judged:
    manifest = bundle.manifest
    return Judged(name=name, bundle=bundle.id, kind=manifest.kind, trained_on_visits=manifest.training.slates)


@contextmanager
def _mapping(workers: int) -> Iterator[Callable[..., Iterable[Any]]]:
    """A `map` that works on so many cores, in the order of what it is given."""
    if workers == 1:
        yield map
        return
    # a fresh interpreter each (a fork would take locks along that another thread may hold), with a core to itself:
    # more threads than cores wait for one another
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        yield pool.map
