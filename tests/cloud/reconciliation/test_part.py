"""Hours are compared once they are over, again while somebody is behind, and what is found is told once."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud.config import CloudConfig
from cloud.metrics import REGISTRY
from cloud.reconciliation import gathering
from cloud.reconciliation.findings import Finding, Report
from cloud.reconciliation.gathering import GRACE_MS, Outcome, closed_hours
from cloud.reconciliation.part import AGAIN_S, FIRST_HOURS, LONGEST_HOURS, Reconciler
from cloud.reconciliation.sums import Line
from picante.cli import main

HOUR = 497_000
START_S = HOUR * 3600 + 1800.0
LOST = Finding(HOUR - 1, "gw-7", "rows_missing", 2, "2 rows of the outbox (positions 3 to 4) not in Kafka")


class Clock:
    """What a reconciler works with: a time that the test sets, and a comparison that is what it says."""

    def __init__(self) -> None:
        self.now_s = START_S
        self.compared: list[tuple[int, int]] = []
        self.report = Report()
        self.reconciler = Reconciler(self._compare, lambda: self.now_s)

    def _compare(self, hours: range, _stop: threading.Event) -> Outcome:
        self.compared.append((hours.start - HOUR, hours.stop - HOUR))
        return Outcome(hours, self.report, [])

    def look(self, after_s: float = 0) -> None:
        self.now_s += after_s
        self.reconciler.look(threading.Event())


def test_an_hour_is_over_some_minutes_after_its_end() -> None:
    end_ms = HOUR * 3_600_000
    assert closed_hours(end_ms + GRACE_MS - 1, 2) == range(HOUR - 3, HOUR - 1)
    assert closed_hours(end_ms + GRACE_MS, 2) == range(HOUR - 2, HOUR)


def test_each_hour_is_compared_once_from_some_before_the_start_on() -> None:
    clock = Clock()
    clock.look()
    clock.look(60)
    clock.look(1800 + GRACE_MS / 1000 - 61)
    assert clock.compared == [(-FIRST_HOURS, 0)]
    clock.look(1)
    assert clock.compared[1:] == [(0, 1)]
    clock.look(5 * 3600)
    assert clock.compared[2:] == [(1, 6)], "none is left out when one took long"


def test_hours_for_which_somebody_is_behind_come_again_for_a_day() -> None:
    clock = Clock()
    clock.report.waiting = ["the lake is behind"]
    clock.look()
    clock.look(AGAIN_S - 1)
    assert len(clock.compared) == 1
    clock.look(1)
    assert clock.compared == [(-FIRST_HOURS, 0)] * 2
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_waiting") == 1
    clock.look(48 * 3600)
    assert clock.compared[-1] == (48 - LONGEST_HOURS, 48)
    clock.report.waiting = []
    clock.look(3600)
    clock.look(3600)
    assert clock.compared[-1] == (49, 50)
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_waiting") == 0
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_time_seconds") == (HOUR + 50) * 3600


def test_what_is_found_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    clock, labels = Clock(), {"kind": "rows_missing"}
    before = REGISTRY.get_sample_value("picante_cloud_reconciliation_findings_total", labels) or 0
    clock.report = Report([LOST], ["the lake is behind"])
    clock.look()
    clock.look(AGAIN_S)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("Disagreement in 2026-09-12 07h UTC, gw-7: 2 rows of the outbox (positions 3 to 4) not in")
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_findings_total", labels) == before + 1


def test_the_command_names_hour_source_and_what_to_look_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cloud.toml").write_text('[kafka]\nbootstrap = "127.0.0.1:1"\n')
    asked: list[int] = []
    report = Report()

    def compare(_config: CloudConfig, hours: range) -> Outcome:
        asked.append(len(hours))
        return Outcome(hours, report, [Line("gw-7", 98, 97, 0, 1, 97, 98)])

    monkeypatch.setattr(gathering, "compare", compare)
    command = ["cloud", "reconcile", "--config", str(tmp_path / "cloud.toml"), "--hours", "3"]
    well = CliRunner().invoke(main, command)
    assert (well.exit_code, asked) == (0, [3])
    assert well.output.splitlines()[1].split() == ["gw-7", "98", "97", "0", "1", "97", "98"]
    assert well.output.endswith(": no disagreement\n")
    report.findings, report.waiting, report.elsewhere = [LOST], ["the lake is behind on x 0"], [2, 3]
    ill = CliRunner().invoke(main, command)
    assert ill.exit_code == 4
    for said in (
        "disagrees",
        "2026-09-12 07h UTC  gw-7: 2 rows of the outbox (positions 3 to 4) not in Kafka\n  Kafka lost",
        "Not compared: the lake is behind on x 0",
        "Another process has the states of partitions 2, 3",
        ": 1 disagreement of the parts",
    ):
        assert said in ill.output
    told = json.loads(CliRunner().invoke(main, [*command, "--json"]).output)
    assert told["findings"][0]["look"].startswith("Kafka lost")
    assert told["sources"] == [
        {"source": "gw-7", "outbox": 98, "events": 97, "samples": 0, "letters": 1, "folded": 97, "lake": 98}
    ]
    away = CliRunner().invoke(main, [*command, "--hours", "145"])
    assert away.exit_code == 2
