"""docs/simulator.md names every verb of the remote control, and its example can be run."""

from __future__ import annotations

import re

from hw_sim.control import VERBS
from hw_sim.scenario import parse_scenario
from tests.docs.markdown import fences, rows, section, text

SIMULATOR = text("docs/simulator.md")


def test_every_verb_is_documented() -> None:
    table = rows(section(SIMULATOR, "Remote control"), "verb")
    named = [verb for cells in table for verb in re.findall(r"`(\w+)`", cells[0])]
    assert sorted(named) == sorted(VERBS)


def test_the_example_of_faults_can_be_read() -> None:
    example = fences(section(SIMULATOR, "Faults by chance, and again"), "toml")[0]
    assert [fault["do"] for fault in parse_scenario(example).dispensers[0].faults] == ["leak", "freeze"]
