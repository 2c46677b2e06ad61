"""The figures of a report -> SVG that lies inline in its page. Needs Matplotlib, of the `train` extra.

Colours are the page's own: each stands in for a CSS variable, so that one drawing is read by day and by night.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from models.evaluation.outcomes import ALL, COLD, GROUPS
from models.evaluation.report import POPULARITY, Estimated, OffPolicy, Real, Report, WorldReport
from models.evaluation.rules import ABLATIONS, FAR_TOO_HOT_LIMIT, REFIT
from models.evaluation.statistics import Interval

COLOURS = {
    "#010101": "ink",
    "#020202": "muted",
    "#030303": "model",
    "#040404": "other",
    "#050505": "hot",
    "#060606": "line",
}
INK, MUTED, MODEL, OTHER, HOT, LINE = COLOURS
WIDTH_IN = 4.8
"""Inches; what a phone shows without scaling letters below 9 px."""
MEASURED = "DejaVu Sans"
"""The font that Matplotlib ships with, by whose letters it leaves room; a page shows its own."""
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.sans-serif": [MEASURED],
    "font.size": 9.0,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.spines.left": False,
    "axes.axisbelow": True,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "text.color": INK,
    "xtick.color": MUTED,
    "ytick.color": INK,
    "ytick.major.size": 0,
}


def scores(world: WorldReport, models: Sequence[str]) -> str:
    """Accepted slates by policy: all visits (filled), and cold start (hollow)."""
    everyone = world.group(ALL).scores[::-1]
    cold = {score.policy: score.accepted for group in world.groups if group.name == COLD for score in group.scores}
    figure, axes = _figure(0.55 + 0.24 * len(everyone))
    for y, score in enumerate(everyone):
        colour = _colour(score.policy, models)
        if score.policy in cold:
            _interval(axes, cold[score.policy], y - 0.16, colour, hollow=True)
        _interval(axes, score.accepted, y + 0.16, colour)
    _names(axes, [score.policy for score in everyone], models)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_xlabel("picks poured: all visits ●, no pour known ○")
    return _svg(figure, f"scores {world.world}")


def lift_by_history(report: Report, model: str) -> str:
    """How far a model is above popularity, by how many pours of the customer were known; a row of dots a world."""
    figure, axes = _figure(0.6 + 0.2 * (len(report.worlds) + 1) * len(GROUPS))
    names: list[tuple[float, str]] = []
    y = 0.0
    for name in reversed(GROUPS):
        for world in reversed(report.worlds):
            found = [group for group in world.groups if group.name == name]
            if found:
                _interval(axes, found[0].score(model).lift, y, MODEL)
                axes.annotate(
                    world.world, (1.01, y), xycoords=("axes fraction", "data"), va="center", color=MUTED, fontsize=8
                )
            y += 1
        names.append((y - (len(report.worlds) + 1) / 2, name))
        y += 0.8
    axes.set_yticks([at for at, _ in names], [name for _, name in names])
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" pts"))
    axes.locator_params(axis="x", nbins=5)
    axes.set_xlabel(f"{model} above popularity, by pours known")
    return _svg(figure, "history")


def far_too_hot(report: Report, models: Sequence[str]) -> str:
    """The share of shown sauces that were far too hot, by world: the models, popularity and the oracle."""
    policies = [*models, "rule", POPULARITY, "oracle"]
    figure, axes = _figure(0.6 + 0.2 * (len(policies) + 0.8) * len(report.worlds))
    ticks, y = [], 0.0
    for world in reversed(report.worlds):
        for policy in reversed(policies):
            _interval(axes, world.group(ALL).score(policy).far_too_hot, y, _colour(policy, models))
            ticks.append((y, f"{world.world}: {policy}"))
            y += 1
        y += 0.8
    axes.set_yticks([at for at, _ in ticks], [name for _, name in ticks])
    axes.axvline(FAR_TOO_HOT_LIMIT, color=HOT, linewidth=1)
    axes.annotate(
        "limit",
        (FAR_TOO_HOT_LIMIT, 1),
        xycoords=("data", "axes fraction"),
        color=HOT,
        fontsize=8,
        ha="center",
        va="bottom",
    )
    axes.set_xlim(left=0)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 1))
    axes.set_xlabel("shown sauces that were far too hot")
    return _svg(figure, "hot")


def lift_by_seed(report: Report, model: str) -> str:
    """How far a model is above popularity, a dot a seed: people whom no other seed has."""
    figure, axes = _figure(0.7 + 0.3 * len(report.worlds))
    for y, world in enumerate(reversed(report.worlds)):
        score = world.group(ALL).score(model)
        axes.plot(score.lift_by_seed, [y] * len(score.lift_by_seed), "o", color=MODEL, markersize=4, alpha=0.6)
        axes.plot([score.worst_lift], [y], "o", color=HOT, markersize=4)
    axes.set_yticks(range(len(report.worlds)), [world.world for world in reversed(report.worlds)])
    axes.set_ylim(-0.6, len(report.worlds) - 0.4)
    axes.axvline(0, color=INK, linewidth=0.8)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0, symbol=" pts"))
    axes.set_xlabel(f"{model} above popularity, by seed; the worst one apart")
    return _svg(figure, "seeds")


def off_policy(told: Sequence[OffPolicy], name: str) -> str:
    """What each estimator says, slot by slot (filled) and by whole slates (hollow); a line where the truth is."""
    rows = [(one, estimator) for one in told for estimator in _by_estimator(one)][::-1]
    figure, axes = _figure(0.6 + 0.26 * len(rows))
    for y, (one, estimator) in enumerate(rows):
        axes.plot([one.true.value] * 2, [y - 0.5, y + 0.5], color=MODEL, linewidth=1.4)
        for offset, of in zip((0.14, -0.18), _by_estimator(one)[estimator], strict=False):
            _interval(axes, of.value, y + offset, INK if offset > 0 else OTHER, hollow=offset < 0)
    axes.set_yticks(range(len(rows)), [f"{one.world}: {estimator}" for one, estimator in rows])
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.set_xlim(0, 1)
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_xlabel(f"{name}: picks poured, by slots ●, by whole slates ○, truly |")
    return _svg(figure, f"off-policy {name}")


def _by_estimator(told: OffPolicy) -> dict[str, list[Estimated]]:
    found: dict[str, list[Estimated]] = {}
    for one in told.estimates:
        found.setdefault(one.estimator, []).append(one)
    return found


def real(of: Real) -> str:
    """How often each way of choosing named people's own choice first."""
    rows = of.scores[::-1]
    figure, axes = _figure(0.55 + 0.24 * len(rows))
    for y, score in enumerate(rows):
        _interval(axes, score.hits, y, _colour(score.policy, ["model"]))
    _names(axes, [score.policy for score in rows], ["model"])
    axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    axes.set_xlabel("choices that were named first")
    return _svg(figure, of.name)


def _figure(height_in: float) -> tuple[Figure, Axes]:
    with rc_context(STYLE):
        figure = Figure(figsize=(WIDTH_IN, height_in), layout="constrained")
        axes = figure.add_subplot()
        axes.grid(axis="x")
    return figure, axes


def _interval(axes: Axes, of: Interval, y: float, colour: str, *, hollow: bool = False) -> None:
    axes.plot([of.low, of.high], [y, y], color=colour, linewidth=1.4, solid_capstyle="round")
    axes.plot([of.value], [y], "o", color=colour, markersize=4.5, markerfacecolor="none" if hollow else colour)


def _names(axes: Axes, policies: Sequence[str], models: Sequence[str]) -> None:
    axes.set_yticks(range(len(policies)), [policy.replace("_", " ") for policy in policies])
    axes.set_ylim(-0.7, len(policies) - 0.3)
    for label, policy in zip(axes.get_yticklabels(), policies, strict=True):
        if policy in models:
            label.set_color(MODEL)
            label.set_fontweight("bold")


def _colour(policy: str, models: Sequence[str]) -> str:
    if policy in models or policy.removesuffix(", greedy") in models:
        return MODEL
    return OTHER if policy in (*ABLATIONS, REFIT, "oracle") else INK


def _svg(figure: Figure, name: str) -> str:
    """The drawing, the same bytes for the same figures."""
    out = io.StringIO()
    with rc_context(STYLE | {"svg.hashsalt": name}):
        figure.savefig(out, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    # inline, so without an XML head; its size is the page's business
    text = text[text.index("<svg") :]
    text = text.replace(f"'{MEASURED}'", "system-ui")
    for colour, variable in COLOURS.items():
        text = text.replace(colour, f"var(--{variable})")
    return text
