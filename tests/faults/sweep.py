"""The kills of `make faults`: the shop of `kills` through its kills again and again, each time with another seed.

The cluster is one for all. It prints a line a run and a table at the end. The directory of a run that failed stays
where the table says, and the cluster's beside it. A run fails too when it showed nothing, because it broke off or its
kills fell beside the transactions.
"""

from __future__ import annotations

import logging
import shutil
import statistics
import subprocess
import sys
import tempfile
import traceback
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from tests.cluster import KafkaCluster
from tests.faults.kills import KINDS, PATIENCE_S, Outcome, run
from tests.waiting import TooLate

RUNS = 100


class Tried(Protocol):
    """What came of a run, whatever was killed."""

    @property
    def seed(self) -> int:
        """What has it again."""

    @property
    def good(self) -> bool:
        """Whether the promise held, and was tried."""


T = TypeVar("T", bound=Tried)


def kills(seeds: Iterable[int]) -> int:
    """Sweep; 1 if a run failed, else 0."""
    return on_a_cluster(seeds, attempt, summary, table)


def on_a_cluster(
    seeds: Iterable[int],
    go: Callable[[Path, KafkaCluster, int], T],
    summary: Callable[[T], str],
    table: Callable[[Sequence[T]], str],
) -> int:
    """Sweep with one cluster for all runs; 1 if a run failed, else 0."""
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # that brokers are dead is no news here
    place = Path(tempfile.mkdtemp(prefix="picante-faults-"))
    try:
        with KafkaCluster(place / "kafka") as cluster:
            sweep(place, seeds, lambda directory, seed: go(directory, cluster, seed), summary, table)
    finally:
        failed = list(place.glob("run-*"))
        if not failed:
            shutil.rmtree(place)
    return 1 if failed else 0


def sweep(
    place: Path,
    seeds: Iterable[int],
    go: Callable[[Path, int], T],
    summary: Callable[[T], str],
    table: Callable[[Sequence[T]], str],
) -> list[T]:
    """A run for each seed, its summary after each, and the table at the end, an early one by Ctrl-C too."""
    outcomes: list[T] = []
    try:
        for seed in seeds:
            directory = place / f"run-{seed}"
            try:
                outcome = go(directory, seed)
            except KeyboardInterrupt:  # this run has not failed
                shutil.rmtree(directory, ignore_errors=True)
                raise
            outcomes.append(outcome)
            if outcome.good:
                shutil.rmtree(directory)
            tell(summary(outcome))
    finally:
        tell(table(outcomes))
        for outcome in outcomes:
            if not outcome.good:
                tell(f"failed: seed {outcome.seed}; its files are in {place / f'run-{outcome.seed}'}")
    return outcomes


def attempt(directory: Path, cluster: KafkaCluster, seed: int) -> Outcome:
    """One run; one that broke off is a failure with its reason."""
    try:
        return run(directory, cluster, seed, tell=lambda line: tell(f"  {line}"))
    except Exception as why:  # noqa: BLE001 -- whatever ends a run is this run's failure, and the sweep goes on
        mend(cluster)
        return Outcome(seed, directory / "kills.jsonl", broken=traceback.format_exc(), too_slow=is_too_slow(why))


def mend(cluster: KafkaCluster) -> None:
    """Bring the nodes back that a run left dead when it broke off."""
    for node in cluster.nodes:
        if not node.alive:
            node.start()
    cluster.wait_until_in_sync(PATIENCE_S)


def is_too_slow(why: Exception) -> bool:
    """Whether a run broke off at a deadline."""
    return isinstance(why, (TooLate, TimeoutError, subprocess.TimeoutExpired))


def summary(outcome: Outcome) -> str:
    """A run in a line; more where it failed."""
    if outcome.broken is not None:
        return f"seed {outcome.seed}: broke off{' at a deadline' if outcome.too_slow else ''}\n{outcome.broken}"
    verdict = outcome.verdict
    line = (
        f"seed {outcome.seed}: {outcome.made} events in {outcome.seconds:.0f} s,"
        f" lost {len(verdict.lost)}, doubled {len(verdict.doubled)}, written twice {outcome.written_twice}"
    )
    if outcome.good:
        return line
    aim = "" if outcome.aimed else "\ntoo few kills of the gateway fell into a transaction and left records there"
    return f"{line}\n{verdict}\nintegrity: {outcome.integrity}{aim}"


def table(outcomes: Sequence[Outcome]) -> str:
    """All runs in figures."""
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    gateway = [kill for kill in kills if kill.kind == "gateway"]
    inside = sum(kill.inside for kill in gateway)
    hits = sum(outcome.hits for outcome in outcomes)
    verdicts = [outcome.verdict for outcome in outcomes]
    recoveries = [recovery for outcome in outcomes for recovery in outcome.recoveries]
    bad = sum(not outcome.good for outcome in outcomes)
    rows: list[tuple[str, object]] = [
        ("tries", len(outcomes)),
        ("failed", bad),
        ("of these, too slow", sum(outcome.too_slow for outcome in outcomes)),
        *((f"kills of {kind}", sum(kill.kind == kind for kill in kills)) for kind in KINDS),
        ("of the gateway's, in a transaction", f"{inside} ({inside / max(len(gateway), 1):.0%})"),
        ("of these, left records", f"{hits} ({hits / max(inside, 1):.0%})"),
        ("events made", sum(outcome.made for outcome in outcomes)),
        ("lost", sum(len(verdict.lost) for verdict in verdicts)),
        ("doubled", sum(len(verdict.doubled) for verdict in verdicts)),
        ("out of order", sum(len(verdict.disordered) for verdict in verdicts)),
        ("made up", sum(len(verdict.made_up) for verdict in verdicts)),
        ("written twice, seen once", sum(outcome.written_twice for outcome in outcomes)),
        *((f"recovery, {what}", spread(getattr(r, name) for r in recoveries)) for what, name in _RECOVERY.items()),
    ]
    lines = [f"{name:<36} {value:>24}" for name, value in rows]
    lines.append(bound(len(outcomes), bad))
    if not bad:
        lines.append(bound(len(gateway), 0, "kills of the gateway"))
    return "\n".join(lines)


_RECOVERY = {"to ready": "ready_s", "to an event on disk": "stored_s", "to an event in Kafka": "confirmed_s"}


def spread(seconds: Iterable[float]) -> str:
    """How long it took, as a table has it."""
    found = list(seconds)
    return f"p50 {statistics.median(found):.1f} s, max {max(found):.1f} s" if found else "-"


def bound(tries: int, failures: int, of: str = "tries") -> str:
    """What so many tries show, by the rule of three."""
    if failures or not tries:
        return f"{failures} of {tries} {of} failed"
    return f"0 of {tries} {of} failed: the rate is under {min(3 / tries, 1):.2%} at 95 % (rule of three)"


def tell(text: str) -> None:
    """Print at once: a sweep takes hours."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
