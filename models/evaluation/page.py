"""A report -> report.json and report.html, a page that needs nothing else."""

from __future__ import annotations

from pathlib import Path

import jinja2

from models.evaluation import plots
from models.evaluation.report import Report, json_of

JSON_NAME, HTML_NAME = "report.json", "report.html"


def write_report(report: Report, folder: Path) -> None:
    """Write both files into `folder`, which is made if missing. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / JSON_NAME).write_bytes(json_of(report))
    (folder / HTML_NAME).write_text(html_of(report), encoding="utf-8")


def html_of(report: Report) -> str:
    """The report as one page, its plots inside."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("models.evaluation"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["points"] = lambda share: f"{100 * share:+.1f}"
    environment.filters["percent"] = lambda share: f"{100 * share:.1f}"
    models = [judged.name for judged in report.bundles]
    return environment.get_template("report.html.j2").render(
        report=report,
        models=models,
        scores=[(world, plots.scores(world, models)) for world in report.worlds],
        histories=[(model, plots.lift_by_history(report, model)) for model in models],
        seeds=[(model, plots.lift_by_seed(report, model)) for model in models],
        hot=plots.far_too_hot(report, models),
        told=[(model, plots.off_policy(of, model)) for model in models if (of := report.off_policy_of(model))],
        real=[(one, plots.real(one)) for one in report.real],
    )
