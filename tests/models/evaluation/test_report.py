"""Outcomes become figures by kind of visits, by seed, and a page that needs nothing else."""

from __future__ import annotations

import re

import msgspec
import pytest

from models.evaluation.estimates import off_policy
from models.evaluation.outcomes import ALL, COLD, GROUPS, join
from models.evaluation.page import html_of
from models.evaluation.report import Judged, Real, RealScore, Report, Split, json_of, table, world_report
from models.evaluation.rules import checks
from models.evaluation.statistics import Interval
from tests.models.evaluation.figures import both_seeds, good, logged_visits, outcomes


def _report(model: str = "model") -> Report:
    figures = both_seeds()
    some = Interval(value=0.4, low=0.3, high=0.5)
    return Report(
        mode="test",
        catalog="c-1",
        split=Split(training_days=56, judged_days=28, training_customers=9, judged_customers_a_seed=100),
        bundles=(Judged(name=model, bundle="ab" * 32, kind="linear", trained_on_visits=1234),),
        worlds=(world_report("burn", figures),),
        checks=checks([("burn", figures)], ["model"]),
        real=(
            Real(
                name="coffee <tasting>",
                split="split by person",
                baseline="popularity",
                choices=7,
                people=5,
                scores=(RealScore(policy="model", hits=some, lift=some),),
            ),
        ),
        off_policy=(off_policy("burn", model, logged_visits(), some),),
    )


def test_visits_are_told_apart_by_what_was_known() -> None:
    histories = [0, 1, 2, 4, 5, 40]
    seen = outcomes((i, history, "m") for i, history in enumerate(histories))
    assert [len(seen.where(group)) for group in GROUPS] == [6, 1, 1, 2, 2]
    report = world_report("burn", outcomes([(1, 5, "m")]))
    assert [group.name for group in report.groups] == [ALL, "5 pours and more"], "nobody else came"


def test_figures_count_visits_and_slots() -> None:
    part = outcomes([(1, 0, "m p"), (1, 3, "m"), (2, 0, "o"), (3, 9, "m o")], far=1)
    everyone = world_report("burn", part).group(ALL)
    assert (everyone.visits, everyone.customers) == (4, 3)
    assert everyone.score("model").accepted.value == 0.75
    assert everyone.score("model").lift.value == 0.5
    assert everyone.score("model").far_too_hot.value == pytest.approx(1 / 3, abs=1e-4)
    assert everyone.score("popularity").far_too_hot.value == 0
    assert next(score.policy for score in everyone.scores) == "model", "the best one first"


def test_seeds_are_told_one_by_one_with_the_worst() -> None:
    both = join([outcomes([(1, 0, "m"), (2, 0, "p")], seed=4), outcomes([(1, 0, "m"), (2, 0, "m")], seed=5)])
    score = world_report("burn", both).group(COLD).score("model")
    assert score.by_seed == (0.5, 1.0)
    assert (score.mean, score.worst) == (0.75, 0.5)
    assert (score.lift_by_seed, score.worst_lift) == ((0.0, 1.0), 0.0)


def test_only_the_same_policies_can_be_joined() -> None:
    with pytest.raises(ValueError, match="same policies"):
        join([])


def test_the_json_holds_every_figure_and_is_the_same_each_time() -> None:
    text = json_of(_report())
    assert text == json_of(_report())
    read = msgspec.json.decode(text, type=Report)
    assert read == _report()
    assert read.worlds[0].group(COLD).score("model").lift.low > 0


def test_the_table_names_policies_rules_and_real_choices() -> None:
    lines = table(_report()).splitlines()
    assert "burn, all visits: 200 visits of 200 customers" in lines
    assert any(line.startswith("pass: far too hot, burn") for line in lines)
    assert "coffee <tasting>: 7 choices of 5, split by person" in lines
    assert "burn, model: 0.400 [0.300, 0.500] of 4 visits, told from the log alone:" in lines


def test_the_page_needs_nothing_else_and_is_the_same_each_time() -> None:
    page = html_of(_report())
    assert page == html_of(_report())
    assert page.count("<svg") == 6
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", page), "no file, no address"
    assert not re.findall(r"url\((?!#)", page)
    assert "<?xml" not in page
    assert "coffee &lt;tasting&gt;" in page
    assert "Told from the log alone" in page
    assert "All 5 rules kept" in page
    assert not re.search(r"#0[1-6]0[1-6]0[1-6]", page), "every colour is one of the page's"


def test_the_page_says_first_what_is_broken() -> None:
    bad = outcomes(((i, 0, "m o r") for i in range(30)), far=1)
    broken = msgspec.structs.replace(_report(), checks=checks([("burn", join([good(), bad]))], ["model"]))
    assert "1 of 5 rules broken" in html_of(broken)
