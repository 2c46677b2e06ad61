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
    from cloud.reconciliation.findings import Finding
    from cloud.reconciliation.gathering import Outcome

_HEAD = ("SOURCE", "OUTBOX", "EVENTS", "SAMPLES", "DEAD LETTERS", "FOLDED", "LAKE", "")


@click.command()
@CLOUD_CONFIG
@click.option("--hours", default=24, type=click.IntRange(1, 144), help="How many hours, the last that are over.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def reconcile(config_path: Path, *, hours: int, as_json: bool) -> None:
    """Compare, by hour of receipt and source, what gateways sent with what everybody has of it.

    An hour is over five minutes after its end. Whoever is behind is told of. States are those of this machine's
    pipeline: which partitions another process has is told, too.

    \b
    Exit status: 0 all agree, or wait, 1 Kafka or the lake is not there or refuses, 2 configuration,
    4 there is a disagreement: hour and source are named, and what to look at.
    Example:  picante cloud reconcile --hours 48
    """
    with told():
        from cloud.config import load_cloud_config
        from cloud.reconciliation.gathering import closed_hours, compare

        outcome = compare(load_cloud_config(config_path), closed_hours(int(time.time() * 1000), hours))
        click.echo("\n".join([_as_json(outcome)] if as_json else _as_text(outcome)))
        sys.exit(NEEDS_A_PERSON if outcome.report.findings else 0)


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
    lines += ["", *(f"Not compared: {waits}" for waits in report.waiting)] if report.waiting else []
    if report.elsewhere:
        lines += ["", f"Another process has the states of partitions {', '.join(map(str, report.elsewhere))}"]
    verdict = f"{_count(report.findings)} of the parts" if report.findings else "no disagreement"
    return [*lines, "", f"{over}: {verdict}"]


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
            "waiting": outcome.report.waiting,
            "elsewhere": outcome.report.elsewhere,
        },
        indent=2,
    )
