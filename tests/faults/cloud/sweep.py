"""The kills of `make faults ARGS=cloud`: the cloud half through twenty of each part, again and again.

The cluster is one for all runs; each has topics of its own, which are made anew.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path

from tests.cluster import KafkaCluster
from tests.faults.cloud.kills import run
from tests.faults.cloud.outcome import HURTS, Outcome
from tests.faults.sweep import bound, is_too_slow, mend, on_a_cluster, spread, tell

RUNS = 5
KILLS_EACH = 20
"""Of the pipeline and of the lake's writer, in one run: three minutes."""


def cloud(seeds: Iterable[int]) -> int:
    """Sweep; 1 if a run failed, else 0."""
    return on_a_cluster(seeds, attempt, summary, table)


def attempt(directory: Path, cluster: KafkaCluster, seed: int) -> Outcome:
    """One run; one that broke off is a failure with its reason."""
    try:
        return run(directory, cluster, seed, KILLS_EACH, tell=lambda line: tell(f"  {line}"))
    except Exception as why:  # noqa: BLE001 -- whatever ends a run is this run's failure, and the sweep goes on
        mend(cluster)
        return Outcome(seed, directory / "kills.jsonl", broken=traceback.format_exc(), too_slow=is_too_slow(why))


def summary(outcome: Outcome) -> str:
    """A run in a line; more where it failed."""
    if outcome.broken is not None:
        return f"seed {outcome.seed}: broke off{' at a deadline' if outcome.too_slow else ''}\n{outcome.broken}"
    line = (
        f"seed {outcome.seed}: {outcome.records} records, {outcome.refused} refused, in {outcome.seconds:.0f} s,"
        f" lost {outcome.verdict.lost}, doubled {outcome.verdict.doubled}"
    )
    if outcome.good:
        return line
    aim = "" if outcome.aimed else "\ntoo few kills fell where they hurt"
    return f"{line}\n{outcome.verdict}{aim}"


def table(outcomes: Sequence[Outcome]) -> str:
    """All runs in figures."""
    bad = sum(not outcome.good for outcome in outcomes)
    rows: list[tuple[str, object]] = [
        ("tries", len(outcomes)),
        ("failed", bad),
        ("of these, too slow", sum(outcome.too_slow for outcome in outcomes)),
    ]
    kills = [kill for outcome in outcomes for kill in outcome.kills]
    for part, where in HURTS.items():
        theirs = [kill for kill in kills if kill.part == part]
        inside = sum(kill.inside for kill in theirs)
        rows += [(f"kills of {part}", len(theirs)), (f"  {where}", f"{inside} ({inside / max(len(theirs), 1):.0%})")]
    rows += [(f"kills of {part}", sum(kill.part == part for kill in kills)) for part in ("kafka", "redis")]
    rows += [
        ("records", sum(outcome.records for outcome in outcomes)),
        ("events that count", sum(outcome.events for outcome in outcomes)),
        ("dead letters", sum(outcome.refused for outcome in outcomes)),
        ("lost", sum(outcome.verdict.lost for outcome in outcomes)),
        ("doubled", sum(outcome.verdict.doubled for outcome in outcomes)),
    ]
    for part in HURTS:
        rows.append((f"recovery, {part}", spread(s for outcome in outcomes for s in outcome.recoveries[part])))
    lines = [f"{name:<36} {value:>24}" for name, value in rows]
    lines.append(bound(len(outcomes), bad))
    if not bad:
        lines.append(bound(sum(kill.part in HURTS for kill in kills), 0, "kills"))
    return "\n".join(lines)
