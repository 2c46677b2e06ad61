"""`picante cloud reconcile`: whether outbox, topics, state, dead letters and lake say the same of each source."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from picante.cloud_options import CLOUD_CONFIG, NEEDS_A_PERSON, table, told

if TYPE_CHECKING:
    from cloud.reconciliation.findings import Finding, Waiting
    from cloud.reconciliation.gathering import Outcome

NOT_ALL = 3
"""Exit status: nothing disagrees, and not everything could be compared."""
_HEAD = ("SOURCE", "OUTBOX", "EVENTS", "SAMPLES", "DEAD LETTERS", "FOLDED", "LAKE", "")


@click.command()
@CLOUD_CONFIG
@click.option("--hours", default=24, type=click.IntRange(1, 144), help="How many hours, the last that are over.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(config_path: Path, *, hours: int, as_json: bool) -> None:
    """Compare, by hour of receipt and source, what gateways sent with what everybody has of it.

    An hour is over five minutes after its end. Whoever is behind, gone or damaged is told of. States are those of this
    machine's pipeline: which partitions another process has is told, too.

    \b
    Exit status: 0 all agree, 1 Kafka or the lake is not there or refuses, 2 configuration,
    3 nothing disagrees, and not everything could be compared, 4 there is a disagreement: hour and source are named,
    and what to look at.
    Example:  picante cloud reconcile --hours 48
    """
    with told():
        from cloud.config import load_cloud_config
        from cloud.reconciliation.gathering import closed_hours, compare

        outcome = compare(load_cloud_config(config_path), closed_hours(int(time.time() * 1000), hours))
        click.echo("\n".join([_as_json(outcome)] if as_json else _as_text(outcome)))
        report = outcome.report
        sys.exit(NEEDS_A_PERSON if report.findings else NOT_ALL if report.waiting else 0)


def _as_text(outcome: Outcome) -> list[str]:
    from cloud.reconciliation.findings import LOOK, hour_text

    report, over = outcome.report, f"{hour_text(outcome.hours.start)} to {hour_text(outcome.hours.stop)}"
    wrong = {finding.source for finding in report.findings}
    rows = [
        (
            line.source or "(can't be read)",
            *(f"{n:,}" for n in (line.outbox, line.events, line.samples, line.letters, line.folded, line.lake)),
            "disagrees" if line.source in wrong else "",
        )
        for line in outcome.lines
    ]
    lines = list(table([_HEAD, *rows])) if rows else ["Nothing was sent"]
    for finding in report.findings:
        lines += ["", f"{hour_text(finding.hour)}  {finding.source or '(unknown)'}: {finding.what}"]
        lines += [f"  {LOOK[finding.kind]}"]
    lines += ["", *_waiting(report.waiting)] if report.waiting else []
    if report.elsewhere:
        lines += ["", f"Another process has the states of partitions {', '.join(map(str, report.elsewhere))}"]
    verdict = f"{_count(report.findings)} of the parts" if report.findings else "no disagreement"
    verdict += ", and not all was compared" if report.waiting else ""
    return [*lines, "", f"{over}: {verdict}"]


def _waiting(waiting: list[Waiting]) -> list[str]:
    """What waits, once, with its first and last hour."""
    from cloud.reconciliation.findings import hour_text

    hours: dict[str, list[int]] = {}
    for one in waiting:
        hours.setdefault(one.what, []).append(one.hour)
    return [
        f"Not compared: {' to '.join(hour_text(hour) for hour in sorted({min(those), max(those)}))}: {what}"
        for what, those in hours.items()
    ]


def _count(findings: list[Finding]) -> str:
    return "1 disagreement" if len(findings) == 1 else f"{len(findings)} disagreements"


def _as_json(outcome: Outcome) -> str:
    from cloud.reconciliation.findings import LOOK

    return json.dumps(
        {
            "from_hour": outcome.hours.start,
            "to_hour": outcome.hours.stop,
            "sources": [asdict(line) for line in outcome.lines],
            "findings": [asdict(finding) | {"look": LOOK[finding.kind]} for finding in outcome.report.findings],
            "waiting": [asdict(one) for one in outcome.report.waiting],
            "elsewhere": outcome.report.elsewhere,
        },
        indent=2,
    )
