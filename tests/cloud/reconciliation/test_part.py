"""Hours are compared once they are over, again while somebody is behind, and what is found is told once."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from cloud.config import CloudConfig
from cloud.metrics import REGISTRY
from cloud.reconciliation import gathering
from cloud.reconciliation.findings import Finding, Reached, Report, Waiting
from cloud.reconciliation.gathering import GRACE_MS, MOST_HOURS, Outcome, closed_hours
from cloud.reconciliation.kept import FILE, FINDINGS, Kept, load, save
from cloud.reconciliation.part import AGAIN_S, AT_ONCE_HOURS, FIRST_HOURS, LONGEST_AGAIN_S, Reconciler
from cloud.reconciliation.sums import Line
from heat.errors import SinkUnavailable
from picante.cli import main

HOUR = 497_000
START_S = HOUR * 3600 + 1800.0
LOST = Finding(HOUR - 1, "gw-7", "rows_missing", 2, "2 rows of the outbox (positions 3 to 4) not in Kafka")


class Clock:
    """What a reconciler works with: a time that the test sets, and a comparison that is what it says."""

    def __init__(self, directory: Path) -> None:
        self.now_s = START_S
        self.compared: list[tuple[int, int]] = []
        self.given: list[Reached] = []
        self.away = False
        self.report = Report()
        self.behind = False
        """Whether somebody is, in all hours."""
        self.directory = directory
        self.restart()

    def restart(self) -> None:
        """What the process knows by heart is lost."""
        self.reconciler = Reconciler(self._compare, lambda: self.now_s, self.directory)

    def _compare(self, hours: range, _stop: threading.Event, reached: Reached) -> Outcome:
        if self.away:
            raise SinkUnavailable("Kafka is away")
        self.compared.append((hours.start - HOUR, hours.stop - HOUR))
        self.given.append(reached)
        waiting = [Waiting(hour, "the lake is behind") for hour in hours] if self.behind else []
        return Outcome(hours, replace(self.report, waiting=waiting, reached={("gw-7", 1): hours.stop - HOUR}), [])

    def look(self, after_s: float = 0) -> None:
        self.now_s += after_s
        self.reconciler.look(threading.Event())


def test_an_hour_is_over_some_minutes_after_its_end() -> None:
    end_ms = HOUR * 3_600_000
    assert closed_hours(end_ms + GRACE_MS - 1, 2) == range(HOUR - 3, HOUR - 1)
    assert closed_hours(end_ms + GRACE_MS, 2) == range(HOUR - 2, HOUR)


@pytest.fixture
def clock(tmp_path: Path) -> Clock:
    return Clock(tmp_path)


def test_each_hour_is_compared_once_from_some_before_the_start_on(clock: Clock) -> None:
    clock.look()
    clock.look(60)
    clock.look(1800 + GRACE_MS / 1000 - 61)
    assert clock.compared == [(-FIRST_HOURS, 0)]
    clock.look(1)
    assert clock.compared[1:] == [(0, 1)]
    clock.look(5 * 3600)
    assert clock.compared[2:] == [(1, 6)], "none is left out when one took long"
    assert clock.given == [{}, {("gw-7", 1): 0}, {("gw-7", 1): 1}], "each begins where the last one ended"


def test_hours_in_which_kafka_or_the_process_was_away_are_compared_later(clock: Clock) -> None:
    clock.look()
    clock.away = True
    with pytest.raises(SinkUnavailable):
        clock.look(7 * 3600)
    clock.restart()
    clock.away = False
    clock.look(3600)
    assert clock.compared == [(-FIRST_HOURS, 0), (0, 8)]
    clock.restart()
    clock.look(60 * 3600)
    clock.look()
    clock.look()
    assert clock.compared[2:] == [(8, 32), (32, 56), (56, 68)], "a day at once, for they are in memory"
    assert clock.given[-1] == {("gw-7", 1): 56}


def test_hours_that_no_topic_has_any_more_are_told_of(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    clock.look()
    clock.look((MOST_HOURS + 2) * 3600)
    assert clock.compared[-1] == (2, 2 + AT_ONCE_HOURS)
    assert clock.given[-1] == {}, "what lies between was not looked at"
    [line] = [record.getMessage() for record in caplog.records]
    assert line == "Hours were never compared: 2026-09-12 08h UTC to 2026-09-12 10h UTC"


def test_hours_for_which_somebody_is_behind_come_again_and_do_not_keep_the_next_one_waiting(clock: Clock) -> None:
    clock.behind = True
    clock.look()
    pause_s = FIRST_HOURS * AGAIN_S
    clock.look(pause_s - 1)
    assert len(clock.compared) == 1
    clock.restart()
    clock.look(1)
    assert clock.compared == [(-FIRST_HOURS, 0)] * 2
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_waiting") == FIRST_HOURS
    clock.look(30 * 3600)
    clock.look()
    assert clock.compared[2:] == [(0, 24), (24, 30)]
    clock.behind = False
    for _ in range(4):
        clock.look(LONGEST_AGAIN_S)
    assert clock.compared[4:] == [(30, 31), (-3, AT_ONCE_HOURS - 3), (31, 32), (21, 30)], "the new ones come first"
    clock.look(LONGEST_AGAIN_S - 1)
    assert clock.compared[8:] == [(32, 33)], "none waits"
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_waiting") == 0
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_time_seconds") == (HOUR + 33) * 3600


def test_hours_that_wait_for_longer_than_the_topics_keep_are_told_of(
    clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    clock.behind = True
    clock.look()
    clock.behind = False
    for _ in range(MOST_HOURS // AT_ONCE_HOURS):
        clock.look(AT_ONCE_HOURS * 3600)
    assert [record.getMessage() for record in caplog.records] == [
        "Hours were never compared in full: 2026-09-12 05h UTC, 2026-09-12 06h UTC, 2026-09-12 07h UTC"
    ]


def test_a_clock_that_was_far_ahead_keeps_no_hour_from_being_compared(clock: Clock) -> None:
    clock.look(1000 * 3600)
    clock.look(-900 * 3600)
    assert clock.compared[-1] == (100 - FIRST_HOURS, 100)


def test_what_is_found_is_told_once_whatever_restarts(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    labels = {"kind": "rows_missing"}
    before = REGISTRY.get_sample_value("picante_cloud_reconciliation_findings_total", labels) or 0
    clock.report.findings.append(LOST)
    clock.look()
    clock.restart()
    clock.look(3600)
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("Disagreement in 2026-09-12 07h UTC, gw-7: 2 rows of the outbox (positions 3 to 4) not in")
    assert REGISTRY.get_sample_value("picante_cloud_reconciliation_findings_total", labels) == before + 1
    assert len(clock.compared) == 2


def test_what_is_kept_is_bounded_and_begins_anew_when_it_is_damaged(tmp_path: Path) -> None:
    save(tmp_path, Kept(told=[replace(LOST, count=n) for n in range(FINDINGS + 5)], next_hour=7))
    kept = load(tmp_path)
    assert (len(kept.told), kept.told[-1].count, kept.next_hour) == (FINDINGS, FINDINGS + 4, 7)
    (tmp_path / FILE).write_bytes(b"x" * 8192)
    assert load(tmp_path) == Kept()


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
    report.waiting = [Waiting(HOUR + hour, "the lake is behind on x 0") for hour in range(3)]
    waits = CliRunner().invoke(main, command)
    assert waits.exit_code == 3
    line = "Not compared: 2026-09-12 08h UTC to 2026-09-12 10h UTC: the lake is behind on x 0\n"
    assert waits.output.count("Not compared") == 1
    assert line in waits.output
    report.findings, report.elsewhere = [LOST], [2, 3]
    ill = CliRunner().invoke(main, command)
    assert ill.exit_code == 4
    for said in (
        "disagrees",
        "2026-09-12 07h UTC  gw-7: 2 rows of the outbox (positions 3 to 4) not in Kafka\n  Kafka lost",
        line,
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
