"""A released bundle beside real rankers: how long it looks on, what it must not do, and when its trial is over."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np
import pytest

from gateway.bundle_folder import Bundles
from gateway.bundle_trial import Terms, Trial, use_rankers
from gateway.probation import JUDGED, MAX_ERRORS
from gateway.rankers import Rankers
from gateway.store import Store
from heat.errors import ModelError
from models.bundle import load, pretrained, save
from models.experiment import Experiment
from models.features import FEATURES, Matrix
from models.probe import BAD_BUNDLE, check_budget
from models.ranker import LinearRanker, OnnxRanker, RuleRanker, Scorer, open_ranker

EXPERIMENT = Experiment("warmer-1", 50)


@dataclass
class Clock:
    """A monotonic clock, set by hand."""

    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def bundle(path: Path, experiment: Experiment | None = None, created_by: str = "tests") -> Path:
    """The bundle that ships, under another id."""
    shipped = load(pretrained())
    manifest = msgspec.structs.replace(shipped.manifest, created_by=created_by, experiment=experiment)
    return save(path, manifest, shipped.files).path


def slate() -> Matrix:
    return np.random.default_rng(3).normal(size=(9, len(FEATURES))).astype(np.float32)


def shown(rankers: Rankers, slates: int) -> None:
    for number in range(slates):
        rankers.answered(f"p{number}", rankers.current, slate)


@pytest.fixture
def rankers() -> Rankers:
    return Rankers(open_ranker(pretrained())[0])


async def test_it_looks_on_at_so_many_slates(rankers: Rankers, tmp_path: Path) -> None:
    trial, path = Trial(rankers, Terms(slates=5)), bundle(tmp_path / "new")
    assert await trial.looks_on(path) == "it looks on: 0 of 5 slates"
    shown(rankers, 4)
    assert await trial.looks_on(path) == "it looks on: 4 of 5 slates"
    shown(rankers, 3)
    assert await trial.looks_on(path) is None
    assert rankers.shadow is None, "nobody looks on any more"
    assert rankers.current.name == load(pretrained()).short_id, "and it answered nobody"


async def test_where_onnxruntime_ranks_it_runs_the_new_one_too(tmp_path: Path) -> None:
    rankers = Rankers(OnnxRanker(load(pretrained())))
    trial, path = Trial(rankers, Terms(slates=5)), bundle(tmp_path / "new")
    await trial.looks_on(path)
    assert rankers.shadow is not None
    assert rankers.shadow.ranker.scorer == "onnx"
    shown(rankers, 5)
    assert (rankers.shadow.same, await trial.looks_on(path)) == (5, None)


async def test_in_a_shop_without_customers_it_looks_on_for_so_long(rankers: Rankers, tmp_path: Path) -> None:
    clock = Clock()
    trial, path = Trial(rankers, Terms(slates=5, hours=24), clock), bundle(tmp_path / "new")
    assert await trial.looks_on(path)
    clock.now_s = 24 * 3600 - 1
    assert await trial.looks_on(path)
    clock.now_s += 1
    assert await trial.looks_on(path) is None


async def test_another_bundle_looks_on_from_the_beginning(rankers: Rankers, tmp_path: Path) -> None:
    trial = Trial(rankers, Terms(slates=5))
    await trial.looks_on(bundle(tmp_path / "new"))
    shown(rankers, 4)
    assert await trial.looks_on(bundle(tmp_path / "newer", created_by="others")) == "it looks on: 0 of 5 slates"


async def test_where_the_rule_ranks_anything_is_better(tmp_path: Path) -> None:
    assert await Trial(Rankers(RuleRanker()), Terms()).looks_on(bundle(tmp_path / "new")) is None


async def test_one_that_fails_beside_the_ranker_in_use_must_not_answer(rankers: Rankers, tmp_path: Path) -> None:
    trial, path = Trial(rankers, Terms(slates=5)), bundle(tmp_path / "new")
    await trial.looks_on(path)
    assert rankers.shadow is not None
    rankers.shadow.ranker = LinearRanker("new", [float("nan")] * len(FEATURES))
    shown(rankers, 1)
    with pytest.raises(ModelError, match="failed on 1 of 1 slates"):
        await trial.looks_on(path)
    assert rankers.shadow is None


async def test_on_trial_the_one_before_is_kept_and_an_experiment_divides(rankers: Rankers, tmp_path: Path) -> None:
    new, old = bundle(tmp_path / "new", EXPERIMENT), bundle(tmp_path / "old", created_by="others")
    assert await use_rankers(rankers, Bundles(new, old, on_trial=True), pretrained()) is None
    assert rankers.before is not None
    assert (rankers.current.name, rankers.before.name) == (load(new).short_id, load(old).short_id)
    assert rankers.experiment == EXPERIMENT
    await use_rankers(rankers, Bundles(new, None, on_trial=True), pretrained())
    assert rankers.before.name == load(pretrained()).short_id, "what gateway.toml names"
    await use_rankers(rankers, Bundles(new), pretrained())
    assert [rankers.before, rankers.experiment] == [None, None]


async def test_picks_go_on_while_a_bundle_is_opened(rankers: Rankers, tmp_path: Path) -> None:
    new, old = bundle(tmp_path / "new"), rankers.current
    using = asyncio.create_task(use_rankers(rankers, Bundles(new), pretrained()))
    meanwhile = 0
    while not using.done():
        meanwhile += rankers.current is old
        await asyncio.sleep(0)
    assert meanwhile > 1, "where they waited for it, they would go on once"
    assert rankers.current.name == load(new).short_id


async def test_a_bundle_that_can_not_be_read_leaves_the_rule(rankers: Rankers, tmp_path: Path) -> None:
    error = await use_rankers(rankers, Bundles(tmp_path / "gone"), pretrained())
    assert error is not None
    assert (error.reason, rankers.current.scorer) == ("missing", "rule")


def note(store: Store, rankers: Rankers, rated: int, too_hot: int) -> None:
    row = (rankers.current.name, rated, too_hot)
    store.write(lambda tx: tx.connection.execute("INSERT OR REPLACE INTO ranked VALUES (?, ?, ?)", row)).result(20)


async def test_what_customers_say_ends_its_trial(rankers: Rankers, store: Store, tmp_path: Path) -> None:
    trial, reader = Trial(rankers, Terms()), store.reader()
    await use_rankers(rankers, Bundles(bundle(tmp_path / "new"), None, on_trial=True), pretrained())
    note(store, rankers, JUDGED - 1, 20)
    assert (trial.why_back(reader), trial.settled(reader)) == (None, False)
    note(store, rankers, JUDGED, 20)
    assert (trial.why_back(reader), trial.settled(reader)) == (None, True)
    note(store, rankers, 60, 40)
    assert (trial.why_back(reader) or "").startswith("40 of 60 ratings were 'too hot'")
    note(store, rankers, 0, 0)
    rankers.errors[rankers.current.name] = MAX_ERRORS
    assert (trial.why_back(reader) or "").startswith(f"it failed {MAX_ERRORS} of")
    reader.close()


async def test_an_experiment_goes_on_until_it_is_ended(rankers: Rankers, store: Store, tmp_path: Path) -> None:
    trial, reader = Trial(rankers, Terms()), store.reader()
    await use_rankers(rankers, Bundles(bundle(tmp_path / "new", EXPERIMENT), None, on_trial=True), pretrained())
    note(store, rankers, 10 * JUDGED, 20)
    assert not trial.settled(reader)
    reader.close()


class Slow:
    """A ranker that takes its time."""

    name = "slow"
    scorer: Scorer = "numpy"
    deviations = None

    def __init__(self, takes_s: float) -> None:
        self.weights: Matrix = np.zeros(len(FEATURES), dtype=np.float32)
        self._takes_s = takes_s

    def scores(self, features: Matrix) -> Matrix:
        until_s = time.perf_counter() + self._takes_s
        while time.perf_counter() < until_s:
            pass
        return features @ self.weights


def test_a_model_that_takes_too_long_here_is_refused() -> None:
    shipped = load(pretrained())
    check_budget(shipped, Slow(0))
    with pytest.raises(ModelError, match=r"takes \d+\.\d ms for 60 sauces here, and may take 5") as raised:
        check_budget(shipped, Slow(0.006))
    assert raised.value.reason == "latency"
    told = "import sys, models.probe as it; it.BUDGET_US = -1; sys.exit(it.probe(it.Path(sys.argv[1])))"
    done = subprocess.run([sys.executable, "-c", told, str(pretrained())], check=False, capture_output=True, timeout=60)
    assert (done.returncode, done.stderr.splitlines()[-1:]) == (BAD_BUNDLE, [b"latency"]), "the probe asks as well"
