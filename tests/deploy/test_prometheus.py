"""Alert rules name metrics and labels that there are, and what to do is a command that there is."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import pytest
import yaml  # type: ignore[import-untyped]  # it has no stubs, and few lines need them

import cloud.app  # noqa: F401 -- each part's figures are there once it is imported
from cloud.fleet import Trouble
from cloud.metrics import REGISTRY
from picante.cli import main
from tests.docs.markdown import text

RULES = Path(__file__).parents[2] / "deploy" / "prometheus" / "picante-cloud.rules.yml"
GROUPS: list[dict[str, Any]] = yaml.safe_load(RULES.read_text())["groups"]
ALERTS: list[dict[str, Any]] = [rule for group in GROUPS for rule in group["rules"]]


def names() -> set[str]:
    """All sample names: the cloud's by their registry, the gateway's by their documentation, which is tested."""
    cloud = {sample.name for family in REGISTRY.collect() for sample in family.samples}
    return (
        cloud
        | {family.name for family in REGISTRY.collect()}
        | set(re.findall(r"`(picante_\w+)", text("docs/operations.md")))
    )


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_a_rule_names_what_there_is(alert: dict[str, Any]) -> None:
    metrics = set(re.findall(r"picante_\w+", alert["expr"]))
    assert metrics
    assert metrics <= names()
    assert alert["labels"]["severity"] in {"warning", "critical"}
    assert alert["annotations"]["summary"]
    assert alert.get("for", "1m")[-1] in "mh"


def test_the_troubles_that_rules_name_are_told_of() -> None:
    told = {label for labels in re.findall(r'trouble=~?"([\w|]+)"', RULES.read_text()) for label in labels.split("|")}
    assert told == {"silent", "stopped", "backlog", "clock", "disk"}
    assert told < {each.name.lower() for each in Trouble}


@pytest.mark.parametrize("alert", ALERTS, ids=lambda alert: alert["alert"])
def test_a_command_that_a_rule_names_can_be_called(alert: dict[str, Any]) -> None:
    words = alert["annotations"]["todo"].split()
    if words[0] != "picante":
        return
    command: Any = main
    for word in words[1:]:
        if isinstance(command, click.Group):
            command = command.get_command(click.Context(command), word)
        elif word.startswith("-"):
            assert any(word in option.opts for option in command.params)


def test_every_rule_is_documented() -> None:
    page = text("docs/cloud.md")
    assert [alert["alert"] for alert in ALERTS if f"`{alert['alert']}`" not in page] == []
